//! The release step, case by case: what it decides in a world where all goes as it should, unless a test says
//! otherwise. The `worlds` show that it keeps its invariants where nothing does.

mod adopt;
mod blind;
mod clock;
mod cold;
mod hiccups;
mod recover;
mod retire;
mod scene;
mod states;
mod steer;
mod tell;
mod unchanged;
