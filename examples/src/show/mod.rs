//! What the main example is made of: the load as a process of its own, the record of what was seen, the verdict.

mod arguments;
mod breaker;
mod director;
mod house;
mod load;
mod outcome;
mod scenario;
mod site;
mod story;
mod timeline;

pub use arguments::{Arguments, Sabotage};
pub use breaker::Breaker;
pub use director::Director;
pub use house::{APP, House};
pub use load::{CLIENT, Load, client_main};
pub use outcome::{AtSwitch, Outcome, Wanted};
pub use scenario::perform;
pub use site::{Site, told};
pub use story::Story;
pub use timeline::Timeline;
