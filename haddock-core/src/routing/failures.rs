//! What the failures of an instance have in common.

use serde::{Deserialize, Serialize};

/// Sessions of one instance whose first failed (or first slow) request was of this kind. It says where a difference between
/// two versions comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct FailureKind {
    /// The first segment of the path, as [`first_segment`] has it; or [`OTHER`](Self::OTHER).
    pub path: String,
    /// The status code of the answer; `None`: there was no answer, or it broke off.
    #[serde(default)]
    pub status: Option<u16>,
    /// Whether the sessions are counted here because a request was slow, and not because one failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub slow: bool,
    /// How many sessions since [`counting_since`](super::LocatorReport::counting_since).
    pub sessions: u64,
}

impl FailureKind {
    /// The path of the kinds that a locator has no room for. Every other path begins with `/`.
    pub const OTHER: &'static str = "other";
}

/// The longest segment that is kept, in bytes.
const MAX_SEGMENT: usize = 40;
/// A segment with more digits than this is likely to be a number or an id.
const MAX_DIGITS: usize = 3;

/// The first segment of a path, or `/*` if it may be an id or a secret: if it is long, has several digits, or a character that
/// names of pages rarely have. Nothing after it, and nothing after a `;` or `?`, is kept.
///
/// ```
/// use haddock_core::routing::first_segment;
///
/// assert_eq!(first_segment("/shop/cart?item=7"), "/shop");
/// assert_eq!(first_segment("/shop;jsessionid=1A2B"), "/shop");
/// assert_eq!(first_segment("/"), "/");
/// assert_eq!(first_segment("/7f3a9c21/photo"), "/*");
/// assert_eq!(first_segment("/ann@example.com"), "/*");
/// ```
#[must_use]
pub fn first_segment(path: &str) -> &str {
    let end = path.char_indices().skip(1).find(|(_, c)| matches!(c, '/' | ';' | '?' | '#')).map(|(at, _)| at);
    let segment = &path[..end.unwrap_or(path.len())];
    let name = segment.strip_prefix('/').unwrap_or("*");
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~'));
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    if is_plain && name.len() <= MAX_SEGMENT && digits <= MAX_DIGITS { segment } else { "/*" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_but_a_short_first_segment_is_kept(path in "\\PC{0,80}") {
            let kept = first_segment(&path);
            prop_assert!(kept.len() <= MAX_SEGMENT + 1 && kept.starts_with('/') && !kept[1..].contains(['/', ';', '?', '#']));
            prop_assert!(kept == "/*" || path.starts_with(kept));
        }
    }

    #[test]
    fn what_may_be_an_id_is_not_kept() {
        for (path, kept) in [
            ("/api.v2/users/9", "/api.v2"),
            ("/2024/05", "/*"),
            ("/%70rivate", "/*"),
            ("/größe", "/*"),
            ("*", "/*"),
            ("", "/*"),
            ("/index.html", "/index.html"),
            ("//evil", "/"),
        ] {
            assert_eq!(first_segment(path), kept, "{path}");
        }
        assert_eq!(first_segment(&format!("/{}", "a".repeat(MAX_SEGMENT + 1))), "/*");
    }
}
