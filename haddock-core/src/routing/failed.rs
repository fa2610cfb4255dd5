//! Which requests count as failed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// Which requests count as failed.
///
/// A request that gets no answer (no connection, a time-out, an answer that breaks off) has always failed. One that is
/// answered has failed by its status code or by a header. Requests outside [`paths`](Self::paths) count neither as failed nor
/// as slow.
///
/// ```
/// use haddock_core::routing::FailedPolicy;
///
/// let policy = FailedPolicy { paths: vec!["/shop".to_owned()], ..FailedPolicy::default() };
/// let no_header = |_: &str| false;
/// assert!(policy.is_failed("/shop/cart", Some(502), no_header));
/// assert!(policy.is_failed("/shop", None, no_header), "no answer");
/// assert!(!policy.is_failed("/shop", Some(404), no_header));
/// assert!(!policy.is_failed("/shopping", Some(502), no_header), "a path of another name");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct FailedPolicy {
    /// Answers with these status codes have failed. By default `5xx`.
    pub status: Vec<StatusRange>,
    /// Answers with these status codes have not, although `status` has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<StatusRange>,
    /// Only requests for these paths, and for paths below them, count. Empty: all count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Requests for these paths, and for paths below them, do not count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except_paths: Vec<String>,
    /// An answer with this header has failed, whatever its status code and the header's value are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
}

impl Default for FailedPolicy {
    /// 5xx, on any path.
    fn default() -> Self {
        Self {
            status: vec![StatusRange::SERVER_ERRORS],
            except: Vec::new(),
            paths: Vec::new(),
            except_paths: Vec::new(),
            header: None,
        }
    }
}

impl FailedPolicy {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a request for this path (without query) counts at all.
    #[must_use]
    pub fn counts(&self, path: &str) -> bool {
        let within = |paths: &[String]| paths.iter().any(|whole| is_within(path, whole));
        (self.paths.is_empty() || within(&self.paths)) && !within(&self.except_paths)
    }

    /// Whether a request has failed. `status` is that of the answer; `None`: there was no answer, or it broke off.
    /// `has_header` says whether the answer has this header.
    #[must_use]
    pub fn is_failed(&self, path: &str, status: Option<u16>, has_header: impl FnOnce(&str) -> bool) -> bool {
        let is_among = |ranges: &[StatusRange], status| ranges.iter().any(|range| range.contains(status));
        let failed = match status {
            None => true,
            Some(status) => {
                (is_among(&self.status, status) && !is_among(&self.except, status))
                    || self.header.as_deref().is_some_and(has_header)
            }
        };
        failed && self.counts(path)
    }
}

/// Whether the path is this one, or one below it.
fn is_within(path: &str, whole: &str) -> bool {
    path.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || whole.ends_with('/'))
}

/// A status code, a class of them such as `5xx`, or a range such as `500-504`.
///
/// ```
/// use haddock_core::routing::StatusRange;
///
/// let class: StatusRange = "5xx".parse()?;
/// assert!(class.contains(500) && class.contains(599) && !class.contains(499));
/// assert_eq!(StatusRange::new(500, 504)?.to_string(), "500-504");
/// assert!("504-500".parse::<StatusRange>().is_err());
/// # Ok::<(), haddock_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl StatusRange {
    /// 5xx.
    pub const SERVER_ERRORS: Self = Self { first: 500, last: 599 };

    /// From the first to the last, both included.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`] if they are not status codes (100 to 599), or in the wrong order.
    pub fn new(first: u16, last: u16) -> Result<Self> {
        let invalid = |message: String, hint: &str| Err(Error::new(ErrorKind::InvalidValue, message).with_hint(hint));
        if let Some(code) = [first, last].into_iter().find(|code| !(100..=599).contains(code)) {
            return invalid(format!("`{code}` is not a status code"), "a status code is between 100 and 599");
        }
        if first > last {
            return invalid(format!("the range `{first}-{last}` has no status code"), "write the smaller one first");
        }
        Ok(Self { first, last })
    }

    /// Whether the status code is in it.
    #[must_use]
    pub const fn contains(self, status: u16) -> bool {
        self.first <= status && status <= self.last
    }
}

impl FromStr for StatusRange {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || {
            Error::new(ErrorKind::InvalidValue, format!("`{text}` is not a status code, nor a range of them"))
                .with_hint("write a code such as `503`, a class such as `5xx`, or a range such as `500-504`")
        };
        if let [class @ b'1'..=b'5', b'x' | b'X', b'x' | b'X'] = text.as_bytes() {
            let first = u16::from(class - b'0') * 100;
            return Self::new(first, first + 99);
        }
        let code = |text: &str| match text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse().map_err(|_| invalid()),
            false => Err(invalid()),
        };
        match text.split_once('-') {
            Some((first, last)) => Self::new(code(first)?, code(last)?),
            None => code(text).and_then(|code| Self::new(code, code)),
        }
    }
}

impl TryFrom<String> for StatusRange {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<StatusRange> for String {
    fn from(range: StatusRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        if first == last {
            write!(f, "{first}")
        } else if first % 100 == 0 && *last == first + 99 {
            write!(f, "{}xx", first / 100)
        } else {
            write!(f, "{first}-{last}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(status: &[&str], except: &[&str]) -> FailedPolicy {
        let ranges = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("valid")).collect();
        FailedPolicy { status: ranges(status), except: ranges(except), ..FailedPolicy::default() }
    }

    #[test]
    fn a_status_fails_unless_it_is_excepted() {
        let policy = policy(&["5xx", "429"], &["503", "507-508"]);
        let failed: Vec<u16> = (100..600).filter(|status| policy.is_failed("/", Some(*status), |_| false)).collect();
        let expected = (500..600).filter(|status| ![503, 507, 508].contains(status));
        assert_eq!(failed, [429].into_iter().chain(expected).collect::<Vec<_>>());
        assert!(policy.is_failed("/", None, |_| false), "no answer is no exception");
    }

    #[test]
    fn a_header_fails_whatever_the_status_is() {
        let policy = FailedPolicy { header: Some("x-failed".to_owned()), ..policy(&[], &["200"]) };
        assert!(policy.is_failed("/", Some(200), |name| name == "x-failed"));
        assert!(!policy.is_failed("/", Some(500), |_| false), "the list of status codes is empty");
    }

    #[test]
    fn a_path_counts_with_what_is_below_it() {
        let paths = |paths: &[&str], except: &[&str]| {
            let texts = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
            FailedPolicy { paths: texts(paths), except_paths: texts(except), ..FailedPolicy::default() }
        };
        let shop = paths(&["/shop", "/till/"], &["/shop/ads"]);
        for (path, counts) in [
            ("/shop", true),
            ("/shop/", true),
            ("/shop/cart", true),
            ("/shop/ads", false),
            ("/shop/ads/1", false),
            ("/shop/adsense", true),
            ("/shopping", false),
            ("/till", false),
            ("/till/1", true),
            ("/", false),
        ] {
            assert_eq!(shop.counts(path), counts, "{path}");
            assert_eq!(shop.is_failed(path, None, |_| true), counts, "{path}");
        }
        assert!(paths(&["/"], &[]).counts("/anything") && paths(&[], &[]).counts("/anything"));
    }

    #[test]
    fn it_is_stored_as_it_is_written_and_the_default_is_left_out() {
        let policy = FailedPolicy { header: Some("x-failed".to_owned()), ..policy(&["5xx", "429"], &["503"]) };
        let text = serde_json::to_string(&policy).expect("plain data");
        assert_eq!(text, r#"{"status":["5xx","429"],"except":["503"],"header":"x-failed"}"#);
        assert_eq!(serde_json::from_str::<FailedPolicy>(&text).expect("valid"), policy);
        assert_eq!(serde_json::from_str::<FailedPolicy>("{}").expect("valid"), FailedPolicy::default());
        for bad in ["", "6xx", "0xx", "50", "5000", "99", "600", "500-", "500-499", "５00", "+50", "5xxx"] {
            assert!(bad.parse::<StatusRange>().is_err(), "{bad}");
        }
    }
}
