//! Images: references as the OCI distribution specification and the Docker reference grammar have them.
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

mod grammar;
mod reference;

pub use reference::ImageReference;
