//! The demo application's client, and what the programs that show and measure Haddock share.
//!
//! - [`client`]: sessions that put a service under load and notice each that is lost. It knows nothing of Haddock.
//! - [`compose`]: Docker Compose, to compare with.
//! - [`image`]: the demo application as an image on a Docker engine.
//! - [`show`]: what the main example is made of.
//! - [`tomcat`]: the same with Tomcat, whose sessions are known by its own cookie.
#![forbid(unsafe_code)]

pub mod client;
pub mod compose;
pub mod image;
pub mod show;
pub mod tomcat;
