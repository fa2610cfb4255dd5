//! For tests: mocks of the ports, time that passes at once, and a whole world in it.
//!
//! | file | part |
//! |---|---|
//! | `faulty` | a port around another, whose calls are late, fail, or lose their answers |
//! | `mocks` | a mock of each port, by mockall, for tests of what is called in which order |
//! | `virtual_time` | a runtime on which eight hours pass in milliseconds |
//! | `world` | engine, locator and controller in that time: where a test of a release begins |

#[cfg(feature = "controller")]
mod faulty;
mod mocks;
#[cfg(feature = "controller")]
mod virtual_time;
#[cfg(feature = "controller")]
mod world;

#[cfg(feature = "controller")]
pub use faulty::{Call, Fault, Faults, Faulty};
pub use mocks::{MockContainerRuntime, MockImageBuilder, MockJournal, MockServiceLocator};
#[cfg(feature = "controller")]
pub use virtual_time::VirtualTime;
#[cfg(feature = "controller")]
pub use world::{Session, World};
