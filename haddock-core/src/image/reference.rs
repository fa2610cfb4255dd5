//! Image references.

use std::fmt;

use crate::error::Result;

/// The name of an image: registry, repository, tag, digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageReference(String);

impl ImageReference {
    /// Reads a reference as people write it.
    ///
    /// # Errors
    /// [`InvalidImageReference`](crate::ErrorKind::InvalidImageReference) with the reason.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
