//! A file that was read, with everything that the meaning of its texts depends on: its paths and its variables.

use std::path::PathBuf;
use std::sync::Arc;

use super::variables::Variables;

/// A file that was read.
#[derive(Debug, Clone)]
pub(super) struct SourceFile {
    /// The file's name in messages.
    pub(super) name: String,
    /// Where its relative paths start.
    pub(super) directory: PathBuf,
    /// The folder that is built if the file names none. A file that is extended has that of the file that extends it.
    pub(super) project: PathBuf,
    /// The variables that fill it in.
    pub(super) variables: Arc<Variables>,
}
