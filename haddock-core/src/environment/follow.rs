//! What the compose file says about continuous releases.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::freeze::Freeze;
use crate::error::{Error, ErrorKind};
use crate::image::ImageReference;

/// `x-haddock.follow`: which tags of a registry are released by themselves.
///
/// It is about who asks for a release, not about what a version is. So it is no part of a version, and not kept with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowSettings {
    /// The tags.
    pub release: TagPattern,
    /// The repository whose tags are meant; its own tag does not count. `None`: that of the entry component's image.
    pub image: Option<ImageReference>,
    /// How often the registry is asked. More than zero.
    pub every: Duration,
    /// When no release begins by itself.
    pub freeze: Vec<Freeze>,
}

impl FollowSettings {
    /// How often the registry is asked by default.
    pub const DEFAULT_EVERY: Duration = Duration::from_secs(30);

    /// These tags of the entry component's image, at all times.
    #[must_use]
    pub fn new(release: TagPattern) -> Self {
        Self { release, image: None, every: Self::DEFAULT_EVERY, freeze: Vec::new() }
    }
}

/// A pattern for whole tags: `*` is any text, `?` any character, `[0-9]` one of these, `[!0-9]` none of these.
///
/// ```
/// use haddock_core::environment::TagPattern;
///
/// let pattern: TagPattern = "main-*".parse()?;
/// assert!(pattern.matches("main-3f2a1bc"));
/// assert!(!pattern.matches("feature-main-3f2a1bc"));
/// # Ok::<(), haddock_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagPattern(glob::Pattern);

impl TagPattern {
    /// Whether this tag is meant.
    #[must_use]
    pub fn matches(&self, tag: &str) -> bool {
        self.0.matches(tag)
    }
}

impl FromStr for TagPattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = |why: &str| {
            Error::new(ErrorKind::InvalidValue, format!("`{text}` is not a pattern for tags: {why}"))
                .with_hint("write `main-*` for all tags that begin with `main-`")
        };
        if text.is_empty() {
            return Err(refused("it is empty"));
        }
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"_.-*?[]!".contains(*c)) {
            return Err(refused(&format!("no tag contains {bad:?}")));
        }
        glob::Pattern::new(text).map(Self).map_err(|error| refused(error.msg))
    }
}

impl fmt::Display for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_about_the_whole_tag() {
        for (pattern, tag, expected) in [
            ("main-*", "main-1", true),
            ("main-*", "main-", true),
            ("main-*", "xmain-1", false),
            ("main-*", "Main-1", false),
            ("v[0-9]*", "v10.2", true),
            ("v[0-9]*", "vx", false),
            ("v?", "v1", true),
            ("v?", "v12", false),
            ("*", ".hidden", true),
            ("latest", "latest", true),
        ] {
            assert_eq!(pattern.parse::<TagPattern>().expect(pattern).matches(tag), expected, "{pattern} {tag}");
        }
    }

    #[test]
    fn what_fits_no_tag_is_refused() {
        for text in ["", "main/*", "main *", "shop:main-*", "[", "a***"] {
            let error = text.parse::<TagPattern>().expect_err(text);
            assert_eq!(error.kind(), ErrorKind::InvalidValue, "{text}");
        }
    }
}
