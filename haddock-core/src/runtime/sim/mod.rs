//! A container engine whose containers are data, on a clock that the test moves.
//!
//! [`SimEngine`] is the engine itself: synchronous, the time an argument. An image is a behaviour: how long it boots,
//! whether it ever answers, when and how it ends. [`SimRuntime`] puts the engine behind the port
//! [`ContainerRuntime`](super::ContainerRuntime) and adds faults by script. Addresses are unique loopback addresses on
//! which nothing listens; ask [`SimRuntime::answers`] instead of connecting.
//!
//! | file | part |
//! |---|---|
//! | `engine` | images and containers, as a runtime asks for them |
//! | `made` | one container: its lives, its restart policy, its health |
//! | `storage` | volumes, and what is written in them and in containers |
//! | `network` | networks, and who is on them |
//! | `hands` | what somebody else does: pauses and renames containers, restarts the engine |
//! | `port` | the engine as a runtime, with faults |

#[cfg(feature = "controller")]
mod attach;
mod engine;
mod hands;
mod image;
mod made;
mod network;
mod port;
mod storage;

pub use engine::SimEngine;
pub use image::SimImage;
pub use port::SimRuntime;
pub use storage::{MountPoint, SimVolume};
