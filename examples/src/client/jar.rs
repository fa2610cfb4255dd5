//! The cookies of one session.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue, header};

/// A cookie jar for one origin: name and value, and removal by `Max-Age=0`. The client speaks to one service only, so
/// domain and path say nothing.
#[derive(Debug, Default)]
pub(crate) struct Jar(BTreeMap<String, String>);

impl Jar {
    /// Takes over what the answer sets.
    pub(crate) fn take(&mut self, headers: &HeaderMap) {
        for line in headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            let removed = parts
                .filter_map(|attribute| attribute.split_once('='))
                .filter(|(key, _)| key.eq_ignore_ascii_case("max-age"))
                .any(|(_, age)| age.trim().parse::<i64>().is_ok_and(|age| age <= 0));
            if removed {
                self.0.remove(name);
            } else {
                self.0.insert(name.into(), value.into());
            }
        }
    }

    /// The value of a cookie.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The `Cookie` header, if there is a cookie.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if pairs.is_empty() { None } else { HeaderValue::try_from(pairs.join("; ")).ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (header::SET_COOKIE, HeaderValue::from_static(line))).collect()
    }

    #[test]
    fn cookies_are_kept_replaced_and_removed() {
        let mut jar = Jar::default();
        assert_eq!(jar.header(), None);
        jar.take(&set(&["a=1; Path=/; HttpOnly", "b=x=y; Max-Age=60"]));
        assert_eq!(jar.header().unwrap(), "a=1; b=x=y");
        jar.take(&set(&["a=2", "b=; max-age=0"]));
        assert_eq!((jar.get("a"), jar.get("b")), (Some("2"), None));
        assert_eq!(jar.header().unwrap(), "a=2");
    }
}
