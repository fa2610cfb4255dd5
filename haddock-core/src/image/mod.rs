//! Images: references as the OCI distribution specification and the Docker reference grammar have them.

mod reference;

pub use reference::ImageReference;
