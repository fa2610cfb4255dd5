//! The release step, case by case: what it decides in a world where everything works, unless a test says otherwise. The
//! `worlds` show that it keeps its invariants when nothing works.

mod adopt;
mod blind;
mod by_client;
mod clock;
mod cold;
mod counts;
mod gates;
mod hiccups;
mod judged;
mod layouts;
mod recover;
mod retire;
mod scene;
mod states;
mod steer;
mod tell;
mod unchanged;
