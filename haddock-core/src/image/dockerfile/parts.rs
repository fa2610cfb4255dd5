//! The parts of a Dockerfile.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use super::words::Word;
use crate::error::{Error, ErrorKind, Place};

/// A Dockerfile, as far as images matter.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) file: String,
    pub(super) text: String,
    pub(super) escape: char,
    pub(super) globals: Vec<Global>,
    /// The names of all arguments that `ARG` declares.
    pub(super) args: BTreeSet<String>,
    /// At least one.
    pub(super) stages: Vec<Stage>,
    /// What needs BuildKit, and where.
    pub(super) buildkit: Option<(String, Place)>,
}

/// An argument before the first `FROM`.
#[derive(Debug, Clone)]
pub(super) struct Global {
    pub(super) name: String,
    /// Its default as written.
    pub(super) default: Option<String>,
    pub(super) at: usize,
}

/// A stage: `FROM` and what follows.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    pub(super) image: Word,
    pub(super) platform: Option<Word>,
    /// Its name in small letters.
    pub(super) name: Option<String>,
    pub(super) sources: Vec<Source>,
}

/// What a stage takes files from: a stage or an image.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) by: UsedBy,
    pub(super) word: Word,
}

/// An image from elsewhere that a build needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUse {
    /// The image, with the values of arguments in place of their names.
    pub image: String,
    /// Where it is named.
    pub place: Place,
    /// What for.
    pub by: UsedBy,
    /// What `FROM --platform` says.
    pub platform: Option<String>,
    /// The bytes of the file that name it.
    pub span: Range<usize>,
}

/// What a build needs an image for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsedBy {
    /// A stage stands on it.
    From,
    /// `COPY --from` takes files from it.
    Copy,
    /// `RUN --mount=…,from=` takes files from it.
    Mount,
}

impl fmt::Display for UsedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::From => "FROM",
            Self::Copy => "COPY --from",
            Self::Mount => "RUN --mount=from",
        })
    }
}

impl Parts {
    pub(super) fn place(&self, at: usize) -> Place {
        place(&self.file, &self.text, at)
    }
}

/// The place of a byte.
pub(super) fn place(file: &str, text: &str, at: usize) -> Place {
    let before = &text[..at];
    let line = before.matches('\n').count() as u64 + 1;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let column = before[start..].chars().filter(|c| *c != '\u{feff}').count() as u64 + 1;
    Place { file: file.to_owned(), line, column, key: String::new() }
}

pub(super) fn wrong(message: &str, hint: &str, at: Place) -> Error {
    Error::new(ErrorKind::ImageTree, message).with_hint(hint).at(at)
}
