//! A container engine whose containers are data, on a clock that the test moves.
//!
//! [`SimEngine`] is the engine itself: synchronous, the time an argument. An image is a behaviour: how long it boots,
//! whether it ever answers, when and how it ends. [`SimRuntime`] puts the engine behind the port
//! [`ContainerRuntime`](super::ContainerRuntime) and adds faults by script. Addresses are unique loopback addresses on
//! which nothing listens; ask [`SimRuntime::answers`] instead of connecting.
//!
//! | file | part |
//! |---|---|
//! | `engine` | images and containers, as a runtime asks for them; it never waits |
//! | `image` | how the containers of an image behave |
//! | `made` | one container: its lives, its restart policy, its health |
//! | `storage`, `volume` | volumes, and what is written in them and in containers |
//! | `network` | networks, and who is on them |
//! | `interference` | what somebody else does: pauses and renames containers, restarts the engine |
//! | `port` | the engine as a runtime, with faults; for calls that are late, see [`Faulty`](crate::testing::Faulty) |
//! | `shelf`, `builds`, `builder` | builds, pushes and pulls of images, and the engine as a builder |
//! | `attach` | the output of a process within a container |

#[cfg(feature = "controller")]
mod attach;
mod builder;
mod builds;
mod engine;
mod image;
mod interference;
mod made;
mod network;
mod port;
mod registry;
mod shelf;
mod storage;
mod volume;

pub use engine::SimEngine;
pub use image::SimImage;
pub use port::SimRuntime;
pub use shelf::SimBuild;
pub use volume::{MountPoint, SimVolume};
