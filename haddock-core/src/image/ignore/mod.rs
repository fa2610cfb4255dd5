//! Which files of a build context Docker leaves out, by the `.dockerignore` file.
//!
//! These are the rules of Docker's own matcher (`moby/patternmatcher` 0.6), not those of git. A pattern is anchored at the
//! root of the context, the last pattern that matches decides, and some characters mean more than one expects.
//!
//! ```text
//!  reader       the lines of the file that hold a pattern, each cleaned
//!  pattern      one pattern: is it accepted, how is it compared
//!  expression   the regular expressions that Docker makes of patterns, in Go's syntax
//! ```
//!
//! ```
//! use haddock_core::image::ignore::Ignore;
//!
//! let ignore = Ignore::parse(".dockerignore", "target\n**/*.log\ndocs/*\n!docs/manual.md\n")?;
//! assert!(ignore.excludes("target/debug/shop"));
//! assert!(ignore.excludes("logs/today.log"));
//! assert!(!ignore.excludes("docs/manual.md"));
//! assert!(!ignore.excludes("tools/target"), "patterns are anchored at the root");
//! # Ok::<(), haddock_core::Error>(())
//! ```

mod expression;
mod fault;
mod pattern;
mod reader;

use pattern::Pattern;

use crate::error::{Error, ErrorKind, Place, Result};

/// The patterns of a `.dockerignore` file, ready to decide about paths.
///
/// To walk a context, begin at [`root`](Self::root). For a single path, ask [`excludes`](Self::excludes).
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

impl Ignore {
    /// The rules of a context that has no `.dockerignore` file: nothing is left out.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads the text of a `.dockerignore` file. `file` is its name for errors.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] with the place, if a pattern is malformed. Docker notices some mistakes only when there
    /// is a path to compare with the pattern. Here all are refused at once. The escapes `\p` and `\P`, which are Unicode
    /// classes in Docker, are refused, too.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let mut patterns = Vec::new();
        for line in reader::lines(text) {
            let pattern = Pattern::parse(&line.pattern).map_err(|fault| {
                let place = Place { file: file.to_owned(), line: line.number, column: line.column, key: String::new() };
                let message = format!("pattern `{}`: {}", line.pattern, fault.reason);
                Error::new(ErrorKind::InvalidValue, message).with_hint(fault.hint).at(place)
            })?;
            patterns.extend(pattern);
        }
        Ok(Self { patterns })
    }

    /// The root of the context, where a walk begins. It is never left out.
    ///
    /// ```
    /// use haddock_core::image::ignore::Ignore;
    ///
    /// let ignore = Ignore::parse(".dockerignore", "docs\n!docs/manual.md\n")?;
    /// let docs = ignore.root().enter("docs");
    /// assert!(docs.is_excluded() && docs.may_descend());
    /// assert!(docs.enter("notes.md").is_excluded());
    /// assert!(!docs.enter("manual.md").is_excluded());
    /// # Ok::<(), haddock_core::Error>(())
    /// ```
    #[must_use]
    pub fn root(&self) -> Matched<'_> {
        Matched { ignore: self, path: String::new(), by: vec![false; self.patterns.len()], excluded: false }
    }

    /// Whether Docker leaves this file out, or a folder on the way to it with all that it holds.
    ///
    /// The path is relative to the context's root, with `/` between its parts.
    #[must_use]
    pub fn excludes(&self, path: &str) -> bool {
        let mut at = self.root();
        for name in path.split('/').filter(|name| !matches!(*name, "" | ".")) {
            if !at.may_descend() {
                return true;
            }
            at = at.enter(name);
        }
        at.excluded
    }
}

/// A file or folder of the context, met on a walk from [`Ignore::root`].
///
/// Docker decides about a path with the help of what it found for the folder above it. So a walk must go through each
/// folder on the way.
#[derive(Debug, Clone)]
pub struct Matched<'a> {
    ignore: &'a Ignore,
    path: String,
    /// For each pattern: whether it was compared and matched here or in a folder above.
    by: Vec<bool>,
    excluded: bool,
}

impl<'a> Matched<'a> {
    /// The path from the context's root, with `/` between its parts; empty for the root itself.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether Docker leaves this file or folder itself out.
    #[must_use]
    pub fn is_excluded(&self) -> bool {
        self.excluded
    }

    /// Whether Docker looks into this folder.
    ///
    /// It looks into one that is left out only if an inverted pattern begins with the folder's path. The comparison is
    /// of letters: `!docs/manual.md` leads into `docs`, `!**/manual.md` and `!d*/manual.md` do not. This is how the
    /// client packs a context for the classic builder. BuildKit looks into every folder as soon as one inverted pattern
    /// has a wildcard in front of its end.
    #[must_use]
    pub fn may_descend(&self) -> bool {
        let within = |pattern: &Pattern| {
            pattern.inverted
                && pattern
                    .text
                    .strip_prefix(&self.path)
                    .is_some_and(|rest| matches!(rest.chars().next(), None | Some('/')))
        };
        !self.excluded || self.ignore.patterns.iter().any(within)
    }

    /// What this folder holds under a name.
    #[must_use]
    pub fn enter(&self, name: &str) -> Matched<'a> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) };
        let mut by = self.by.clone();
        let mut excluded = false;
        for (pattern, matched) in self.ignore.patterns.iter().zip(&mut by) {
            // A pattern that can change nothing is not compared, and so is not known to match for what is below.
            *matched = *matched || (pattern.inverted == excluded && pattern.matches(&path));
            if *matched {
                excluded = !pattern.inverted;
            }
        }
        Matched { ignore: self.ignore, path, by, excluded }
    }
}

#[cfg(test)]
#[path = "ignore_tests.rs"]
mod tests;
