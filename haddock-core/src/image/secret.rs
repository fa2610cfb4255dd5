//! The secrets of a build.

use std::path::PathBuf;

use crate::container::Sensitive;

/// A file whose content the steps of a build may read, and that does not get into the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSecret {
    /// The name in `RUN --mount=type=secret,id=…`.
    pub id: String,
    /// Where its value is.
    pub source: SecretSource,
}

/// Where the value of a secret is. A file and a variable are read when the build asks for the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In a file.
    File(PathBuf),
    /// In a variable of this process.
    Variable(String),
    /// Here.
    Value(Sensitive),
}
