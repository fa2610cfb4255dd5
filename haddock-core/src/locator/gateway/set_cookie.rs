//! `Set-Cookie`, read as browsers read it (RFC 6265, 5.1.1 and 5.2).

use std::ops::Range;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::time::Timestamp;

/// What one `Set-Cookie` header says of a cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SetCookie<'a> {
    /// Where its value is in the header, without quotes around it.
    pub(super) value: Range<usize>,
    /// Whether the client has no such cookie after it.
    pub(super) deletes: bool,
    pub(super) scope: Scope<'a>,
}

/// A path and a domain, as they are written. Cookies that differ in these are different cookies.
pub(super) type Scope<'a> = (&'a [u8], &'a [u8]);

/// Reads a header, if it is about the cookie of this name.
pub(super) fn read<'a>(header: &'a [u8], name: &[u8], now: Timestamp) -> Option<SetCookie<'a>> {
    let mut parts = header.split(|byte| *byte == b';');
    let pair = parts.next()?;
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    if pair[..equals].trim_ascii() != name {
        return None;
    }
    let value = unquoted(pair, equals + 1..pair.len());
    let (mut max_age, mut expires) = (None, None);
    let mut scope: Scope<'_> = (b"", b"");
    for part in parts {
        let (key, value) = match part.iter().position(|byte| *byte == b'=') {
            Some(equals) => (part[..equals].trim_ascii(), part[equals + 1..].trim_ascii()),
            None => (part.trim_ascii(), b"".as_slice()),
        };
        // Of several attributes of one name, the last one counts.
        if key.eq_ignore_ascii_case(b"max-age") {
            max_age = is_past_age(value).or(max_age);
        } else if key.eq_ignore_ascii_case(b"expires") {
            expires = cookie_date(value).map(|at| at <= now).or(expires);
        } else if key.eq_ignore_ascii_case(b"path") {
            scope.0 = value;
        } else if key.eq_ignore_ascii_case(b"domain") {
            scope.1 = value;
        }
    }
    let deletes = value.is_empty() || max_age.or(expires).unwrap_or(false);
    Some(SetCookie { value, deletes, scope })
}

/// The part of the bytes that is left without spaces and quotes around it.
pub(super) fn unquoted(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let Range { mut start, mut end } = range;
    while start < end && bytes[start].is_ascii_whitespace() {
        start += 1;
    }
    while start < end && bytes[end - 1].is_ascii_whitespace() {
        end -= 1;
    }
    if end - start >= 2 && bytes[start] == b'"' && bytes[end - 1] == b'"' { start + 1..end - 1 } else { start..end }
}

/// Whether a `Max-Age` is over at once. `None`: it is not a number, and counts as not there.
fn is_past_age(value: &[u8]) -> Option<bool> {
    let (is_negative, digits) = match value {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| is_negative || digits.iter().all(|digit| *digit == b'0'))
}

/// A date in any of the forms in which servers write one. `None`: it is none, and counts as not there.
fn cookie_date(value: &[u8]) -> Option<Timestamp> {
    let is_delimiter = |byte: &u8| matches!(byte, 0x09 | 0x20..=0x2f | 0x3b..=0x40 | 0x5b..=0x60 | 0x7b..=0x7e);
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in value.split(is_delimiter).filter(|token| !token.is_empty()) {
        if let (None, Some(found)) = (time, time_of(token)) {
            time = Some(found);
        } else if let (None, Some(found)) = (day, leading_number(token, 1..=2)) {
            day = Some(found);
        } else if let (None, Some(found)) = (month, month_of(token)) {
            month = Some(found);
        } else if let (None, Some(found)) = (year, leading_number(token, 2..=4)) {
            year = Some(found);
        }
    }
    let ((hour, minute, second), year) = (time?, year?);
    let year = match year {
        70..=99 => year + 1900,
        0..=69 => year + 2000,
        _ => year,
    };
    if year < 1601 {
        return None;
    }
    let small = |number: u16| i8::try_from(number).ok();
    let date =
        DateTime::new(i16::try_from(year).ok()?, month?, small(day?)?, small(hour)?, small(minute)?, small(second)?, 0);
    let millis = date.ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
    // All that is before 1970 is as past as 1970.
    Some(Timestamp::from_millis(u64::try_from(millis).unwrap_or(0)))
}

/// A number of so many digits. What follows it may be anything but a digit.
fn leading_number(token: &[u8], digits: std::ops::RangeInclusive<usize>) -> Option<u16> {
    let count = token.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = std::str::from_utf8(&token[..count]).ok()?;
    if digits.contains(&count) { text.parse().ok() } else { None }
}

fn time_of(token: &[u8]) -> Option<(u16, u16, u16)> {
    let mut fields = token.splitn(3, |byte| *byte == b':');
    let mut field = |is_last: bool| {
        let field = fields.next()?;
        let is_plain = is_last || field.iter().all(u8::is_ascii_digit);
        leading_number(field, 1..=2).filter(|_| is_plain)
    };
    Some((field(false)?, field(false)?, field(true)?))
}

fn month_of(token: &[u8]) -> Option<i8> {
    const MONTHS: [&[u8; 3]; 12] =
        [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
    let start = token.get(..3)?.to_ascii_lowercase();
    (1..).zip(MONTHS).find(|(_, month)| start == month[..]).map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-18.
    const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    fn of(header: &str) -> Option<(&str, bool)> {
        let read = read(header.as_bytes(), b"JSESSIONID", NOW)?;
        Some((&header[read.value], read.deletes))
    }

    #[test]
    fn a_value_is_what_browsers_take_for_it() {
        for (header, value) in [
            ("JSESSIONID=5A3C.node1; Path=/; HttpOnly", "5A3C.node1"),
            ("JSESSIONID=5A3C", "5A3C"),
            (" JSESSIONID = 5A3C ;Path=/", "5A3C"),
            ("JSESSIONID=\"5A3C\"; Version=1", "5A3C"),
            ("JSESSIONID=a=b==; Path=/", "a=b=="),
            ("JSESSIONID=\"", "\""),
            ("JSESSIONID=\"5A\"3C", "\"5A\"3C"),
        ] {
            assert_eq!(of(header), Some((value, false)), "{header}");
        }
        for other in ["jsessionid=1", "XJSESSIONID=1", "JSESSIONIDX=1", "JSESSIONID", "", "a=b; JSESSIONID=1"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_deletion_is_an_empty_value_an_age_that_is_over_or_a_date_in_the_past() {
        for deleted in [
            "JSESSIONID=",
            "JSESSIONID=; Path=/",
            "JSESSIONID=\"\"; Path=/",
            "JSESSIONID=x; Max-Age=0",
            "JSESSIONID=x; max-age=-1",
            "JSESSIONID=x; Max-Age=60; Max-Age=0",
            "JSESSIONID=x; Max-Age=0; Expires=Wed, 01 Jan 2031 00:00:00 GMT",
            "JSESSIONID=x; Expires=Thu, 01 Jan 1970 00:00:10 GMT",
            "JSESSIONID=x; Expires=Thu, 01-Jan-1970 00:00:10 GMT",
            "JSESSIONID=x; expires=Thursday, 01-Jan-70 00:00:10 GMT",
            "JSESSIONID=x; Expires=Thu Jan  1 00:00:10 1970",
            "JSESSIONID=x; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Secure",
            "JSESSIONID=deleted; Expires=Mon, 01 Jan 1601 00:00:00 GMT",
        ] {
            assert!(of(deleted).expect("ours").1, "{deleted}");
        }
        for kept in [
            "JSESSIONID=x; Max-Age=1",
            "JSESSIONID=x; Max-Age=0; Max-Age=60",
            "JSESSIONID=x; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:10 GMT",
            "JSESSIONID=x; Max-Age=none",
            "JSESSIONID=x; Max-Age=",
            "JSESSIONID=x; Max-Age=-",
            "JSESSIONID=x; Expires=Wed, 01 Jan 2031 00:00:00 GMT",
            "JSESSIONID=x; Expires=Wed, 01-Jan-31 00:00:00 GMT",
            "JSESSIONID=x; Expires=yesterday",
            "JSESSIONID=x; Expires=Thu, 31 Feb 1970 00:00:10 GMT",
            "JSESSIONID=x; Expires=",
            "JSESSIONID=x; Expired=1",
        ] {
            assert!(!of(kept).expect("ours").1, "{kept}");
        }
    }

    #[test]
    fn path_and_domain_tell_cookies_apart() {
        let scope = |header: &'static str| read(header.as_bytes(), b"a", NOW).expect("ours").scope;
        assert_eq!(scope("a=1; Path=/app; Domain=example.com"), (b"/app".as_slice(), b"example.com".as_slice()));
        assert_eq!(scope("a=1; path=/x; PATH = /app "), (b"/app".as_slice(), b"".as_slice()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_quietly(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let header = [b"a=".as_slice(), &bytes].concat();
            let read = read(&header, b"a", NOW).expect("ours");
            prop_assert!(read.value.end <= header.len() && read.value.start <= read.value.end);
        }

        #[test]
        fn any_date_text_is_read_quietly(text in "[ -~]{0,40}|[A-Z][a-z]{2}, [0-9]{1,3}[- ][A-Za-z]{3}[- ][0-9]{1,5} [0-9:]{1,9}") {
            cookie_date(text.as_bytes());
        }
    }
}
