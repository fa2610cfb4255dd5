//! What the main example is made of: the load as a process of its own, the record of what was seen, the verdict.

mod arguments;
mod breaker;
mod load;
mod outcome;
mod story;
mod timeline;

pub use arguments::{Arguments, Sabotage};
pub use breaker::Breaker;
pub use load::{CLIENT, Load, client_main};
pub use outcome::{AtSwitch, Outcome, Wanted};
pub use story::Story;
pub use timeline::Timeline;
