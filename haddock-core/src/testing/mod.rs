//! For tests: mocks of the ports, time that passes at once, and a whole world in it.
//!
//! | file | part |
//! |---|---|
//! | `mocks` | a mock of each port, by mockall, for tests of what is called in which order |
//! | `virtual_time` | a runtime on which eight hours pass in milliseconds |
//! | `world` | engine, locator and controller in that time: where a test of a release begins |

mod mocks;
#[cfg(feature = "controller")]
mod virtual_time;
#[cfg(feature = "controller")]
mod world;

pub use mocks::{MockContainerRuntime, MockJournal, MockServiceLocator};
#[cfg(feature = "controller")]
pub use virtual_time::VirtualTime;
#[cfg(feature = "controller")]
pub use world::{Session, World};
