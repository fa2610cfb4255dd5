//! Durations, sizes and percentages, as compose files and command lines write them.
//!
//! ```
//! use std::time::Duration;
//! use haddock_core::Share;
//! use haddock_core::value;
//!
//! assert_eq!(value::duration("1m30s")?, Duration::from_secs(90));
//! assert_eq!(value::size("64m")?.as_u64(), 64 * 1024 * 1024);
//! assert_eq!(value::percentage("12.5%")?, Share::basis_points(1_250));
//! # Ok::<(), haddock_core::Error>(())
//! ```

use std::time::Duration;

use bytesize::ByteSize;

use crate::error::{Error, ErrorKind, Result};
use crate::routing::{Rate, Share};

/// The units of the Compose Specification, in nanoseconds.
const DURATION_UNITS: [(&str, u128); 10] = [
    ("ns", 1),
    ("us", 1_000),
    // The micro sign, and the Greek letter.
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 24 * 3_600_000_000_000),
    ("w", 7 * 24 * 3_600_000_000_000),
];
/// The longest duration. Nothing that is timed takes longer, and any engine can store it.
const MAX_DURATION: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

fn invalid(message: String, hint: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidValue, message).with_hint(hint)
}

/// Reads a duration as in the Compose Specification: numbers with the units `w`, `d`, `h`, `m`, `s`, `ms`, `us`, `ns`,
/// such as `1m30s` or `1.5h`. At most ten years; fractions of a nanosecond are dropped.
///
/// # Errors
/// [`InvalidValue`](ErrorKind::InvalidValue) with the reason.
pub fn duration(text: &str) -> Result<Duration> {
    let form = "write a number and a unit, such as `30s`, `1m30s` or `2h`; the units are `w`, `d`, `h`, `m`, `s`, `ms`, `us`, `ns`";
    if text.is_empty() {
        return Err(invalid("the duration is empty".into(), form));
    }
    if text.contains(char::is_whitespace) {
        return Err(invalid(format!("duration `{text}` contains a space"), form));
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut nanos = 0_u128;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let unit = rest[number..].find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len() - number);
        let (value, name) = (&rest[..number], &rest[number..number + unit]);
        if value.is_empty() {
            return Err(invalid(format!("duration `{text}` has no number before `{rest}`"), form));
        }
        if name.is_empty() && rest.len() == number {
            return Err(invalid(format!("duration `{text}` has no unit after `{value}`"), missing_unit(value)));
        }
        let Some((_, unit_nanos)) = DURATION_UNITS.iter().find(|(unit, _)| *unit == name) else {
            let unit = rest[number..].split(|c: char| c.is_ascii_digit()).next().unwrap_or_default();
            return Err(invalid(format!("duration `{text}` has the unknown unit `{unit}`"), form));
        };
        let part = times(value, *unit_nanos);
        let part =
            part.ok_or_else(|| invalid(format!("duration `{text}` has `{value}`, which is not a number"), form))?;
        nanos = nanos.saturating_add(part);
        rest = &rest[number + unit..];
    }
    match u64::try_from(nanos).map(Duration::from_nanos) {
        Ok(duration) if duration <= MAX_DURATION => Ok(duration),
        _ => Err(invalid(format!("duration `{text}` is longer than ten years"), "write a shorter one")),
    }
}

/// A decimal number times a unit, rounded down to a whole number; `None` if it is no number.
fn times(number: &str, unit: u128) -> Option<u128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || (whole.is_empty() && part.is_empty()) {
        return None;
    }
    // A week has 15 digits in nanoseconds. More digits make no difference.
    let part = &part[..part.len().min(15)];
    let scale = 10_u128.pow(u32::try_from(part.len()).ok()?);
    let read = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u128>().ok() };
    let whole = read(whole).unwrap_or(u128::MAX).saturating_mul(unit);
    Some(whole.saturating_add(read(part)?.checked_mul(unit)? / scale))
}

fn missing_unit(value: &str) -> String {
    format!("write `{value}s` for seconds or `{value}m` for minutes")
}

/// Reads a size in bytes as Compose does: a number with the unit `b`, `k` or `kb`, `m` or `mb`, `g` or `gb`, upper or
/// lower case, in steps of 1024. Numbers without a unit are bytes. As in Docker, a fraction of a byte is dropped.
///
/// # Errors
/// [`InvalidValue`](ErrorKind::InvalidValue) with the reason.
pub fn size(text: &str) -> Result<ByteSize> {
    let form = "write a number and a unit, such as `512m` or `2g`; the units are `b`, `k`, `m`, `g`";
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let Ok(number) = number.parse::<f64>() else {
        return Err(invalid(format!("size `{text}` does not begin with a number"), form));
    };
    let step = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => bytesize::KIB,
        "m" | "mb" | "mib" => bytesize::MIB,
        "g" | "gb" | "gib" => bytesize::GIB,
        "t" | "tb" | "tib" => bytesize::TIB,
        _ => return Err(invalid(format!("size `{text}` has the unknown unit `{unit}`"), form)),
    };
    #[allow(clippy::cast_precision_loss, reason = "a step is a power of two")]
    let bytes = number * step as f64;
    // Above 2^53 a float no longer holds each whole number.
    if bytes > (1_u64 << 53) as f64 {
        return Err(invalid(format!("size `{text}` is larger than 8 PiB"), form));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, at most 2^53")]
    Ok(ByteSize::b(bytes as u64))
}

/// Reads a percentage from `0%` to `100%`, with at most two digits after the point.
///
/// # Errors
/// [`InvalidValue`](ErrorKind::InvalidValue) with the reason.
pub fn percentage(text: &str) -> Result<Share> {
    let form = "write a percentage from `0%` to `100%`, such as `10%` or `12.5%`";
    let Some(number) = text.strip_suffix('%') else {
        let bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let hint = if bare { format!("write `{text}%`") } else { form.to_owned() };
        return Err(invalid(format!("percentage `{text}` does not end with `%`"), hint));
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return Err(invalid(format!("percentage `{text}` is not a number"), form));
    }
    if part.len() > 2 {
        return Err(invalid(format!("percentage `{text}` has more than two digits after the point"), form));
    }
    let hundredths: u32 = format!("{part:0<2}").parse().expect("two digits");
    match whole.parse::<u32>() {
        Ok(whole) if whole < 100 || (whole == 100 && hundredths == 0) => {
            Ok(Share::basis_points(whole * 100 + hundredths))
        }
        _ => Err(invalid(format!("percentage `{text}` is more than 100%"), form)),
    }
}

/// Reads a rate: a percentage such as `1%` or `0.05%`, or a number between 0 and 1 such as `0.01`.
///
/// ```
/// use haddock_core::value;
///
/// assert_eq!(value::rate("1%")?, value::rate("0.01")?);
/// assert!(value::rate("1").is_err(), "1 %, or all?");
/// # Ok::<(), haddock_core::Error>(())
/// ```
///
/// # Errors
/// [`InvalidValue`](ErrorKind::InvalidValue) with the reason.
pub fn rate(text: &str) -> Result<Rate> {
    let form = "write a percentage from `0%` to `100%`, such as `1%`, or a number between 0 and 1, such as `0.01`";
    let (number, exponent) = text.strip_suffix('%').map_or((text, 0), |number| (number, -2));
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || (whole.is_empty() && part.is_empty()) {
        return Err(invalid(format!("rate `{text}` is not a number"), form));
    }
    // Shifted as text, so that `1%` and `0.01` are the same number.
    let rate: f64 = format!("0{whole}.{part}0e{exponent}").parse().unwrap_or(f64::INFINITY);
    if exponent == 0 && rate >= 1.0 {
        return Err(invalid(format!("rate `{text}` has no unit"), format!("write `{text}%`")));
    }
    Rate::new(rate).map_err(|_| invalid(format!("rate `{text}` is more than 100%"), form))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn errors<T: std::fmt::Debug>(read: fn(&str) -> Result<T>, texts: &[&str]) -> String {
        let error = |text: &&str| format!("{:#}\n\n", read(text).expect_err(text));
        texts.iter().map(error).collect()
    }

    #[test]
    fn durations() {
        for (text, micros) in [
            ("0s", 0),
            ("500us", 500),
            ("500ms", 500_000),
            ("1.5s", 1_500_000),
            ("30s", 30_000_000),
            ("1m30s", 90_000_000),
            ("2h", 7_200_000_000),
            ("1h1m1s1ms1us", 3_661_001_001),
            ("1d", 86_400_000_000),
            ("1.5d", 129_600_000_000),
            ("1w2d", 777_600_000_000),
            ("1µs", 1),
            ("1000ns", 1),
            ("1s2m", 121_000_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text).expect(text), Duration::from_micros(micros), "{text}");
        }
        let shown = errors(
            duration,
            &["", "30", "1m30", "30 s", "30sec", "-30s", "s", "1y", "1.2.3s", "99999999h", "soon", "1m 30s", "ten"],
        );
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("12b", 12),
            ("64m", 64 << 20),
            ("1gb", 1 << 30),
            ("1.5K", 1536),
            ("0.1k", 102),
            ("2GiB", 2 << 30),
            ("1t", 1 << 40),
        ] {
            assert_eq!(size(text).expect(text).as_u64(), bytes, "{text}");
        }
        let shown = errors(size, &["", "m", "64x", "64 m", "-1m", "1.2.3m", "99999999t", "NaN"]);
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn percentages() {
        for (text, points) in [
            ("0%", 0),
            ("10%", 1_000),
            ("12.5%", 1_250),
            ("0.01%", 1),
            ("99.99%", 9_999),
            ("100%", 10_000),
            ("100.0%", 10_000),
        ] {
            assert_eq!(percentage(text).expect(text), Share::basis_points(points), "{text}");
        }
        let shown = errors(
            percentage,
            &[
                "",
                "10",
                "0.1",
                "%",
                "10 %",
                "-1%",
                "1.%",
                ".5%",
                "0.001%",
                "100.01%",
                "101%",
                "99999999999%",
                "ten%",
                "half",
            ],
        );
        insta::assert_snapshot!(shown);
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(points in 0_u32..=10_000) {
            let share = Share::basis_points(points);
            prop_assert_eq!(percentage(&share.to_string()).expect("valid"), share);
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,12}|[0-9.]{0,25}[a-zµ% ]{0,3}([0-9]{0,3}[smh]){0,2}") {
            let _ = (duration(&text), size(&text), percentage(&text));
        }
    }
}
