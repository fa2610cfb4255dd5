//! Images: references as defined by the OCI distribution specification and the Docker reference
//! grammar, tags from branch and commit, the secrets of a build, what a build context leaves out
//! ([`ignore`]), the images that a Dockerfile needs ([`dockerfile`]), and folders of
//! Dockerfiles that build on each other ([`tree`]).
//!
//! ```
//! use haddock_core::image::ImageReference;
//!
//! let image = ImageReference::parse("registry.local:5000/shop/accounting:main-3f2a1bc")?;
//! assert_eq!(image.registry(), "registry.local:5000");
//! assert_eq!(image.repository(), "shop/accounting");
//! assert_eq!(image.tag(), Some("main-3f2a1bc"));
//! assert_eq!(ImageReference::parse("postgres")?.canonical(), "docker.io/library/postgres:latest");
//! # Ok::<(), haddock_core::Error>(())
//! ```

pub mod dockerfile;
mod grammar;
pub mod ignore;
mod reference;
mod secret;
mod tag;
pub mod tree;

pub use reference::ImageReference;
pub use secret::{BuildSecret, SecretSource};
pub use tag::{Revision, TagTemplate};
