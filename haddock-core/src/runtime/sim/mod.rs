//! A container engine whose containers are data, on a clock that the test moves.
//!
//! [`SimEngine`] is the engine itself: synchronous, the time an argument. An image is a behaviour: how long it boots,
//! whether it ever answers, when and how it ends. [`SimRuntime`] puts the engine behind the port
//! [`ContainerRuntime`](super::ContainerRuntime) and adds faults by script. Addresses are unique loopback addresses on
//! which nothing listens; ask [`SimRuntime::answers`] instead of connecting.

#[cfg(feature = "controller")]
mod attach;
mod engine;
mod port;

pub use engine::{SimEngine, SimImage};
pub use port::SimRuntime;
