//! For tests: mocks of the ports, and time that passes at once.
//!
//! | file | part |
//! |---|---|
//! | `mocks` | a mock of each port, by mockall, for tests of what is called in which order |
//! | `virtual_time` | a runtime on which eight hours pass in milliseconds |

mod mocks;
#[cfg(feature = "controller")]
mod virtual_time;

pub use mocks::{MockContainerRuntime, MockJournal, MockServiceLocator};
#[cfg(feature = "controller")]
pub use virtual_time::VirtualTime;
