//! Times, durations and numbers as people read them.

use std::time::Duration;

use super::model::{Page, Scale};
use crate::routing::Share;
use crate::time::Timestamp;

/// The longest text that is shown of something that happened.
const MAX_TEXT: usize = 320;

/// A text from elsewhere, such as an error message: not too long, and without control characters.
pub(super) fn plain(text: &str) -> String {
    let control = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown: String = text.chars().take(MAX_TEXT).map(|c| if control(c) { ' ' } else { c }).collect();
    if text.chars().nth(MAX_TEXT).is_some() {
        shown.push('…');
    }
    shown
}

/// A point in time, as far as it has to be told apart from others of the page.
pub(super) fn moment(page: &Page, at: Timestamp) -> String {
    match page.scale {
        Scale::Since(start) => lasting(at.since(start)),
        Scale::Utc => {
            let one_day = calendar("%F", page.from) == calendar("%F", page.to);
            calendar(if one_day { "%H:%M:%S" } else { "%F %H:%M:%S" }, at)
        }
    }
}

/// By this format of jiff, in UTC.
pub(super) fn calendar(format: &str, at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(time) => time.strftime(format).to_string(),
        Err(_) => at.to_string(),
    }
}

/// A duration in its two largest units.
pub(crate) fn lasting(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let two = |large: u64, name: &str, small: u64, small_name: &str| match small {
        0 => format!("{large} {name}"),
        _ => format!("{large} {name} {small} {small_name}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => two(minutes, "min", seconds % 60, "s"),
        (0, ..) => two(hours, "h", minutes, "min"),
        _ => two(days, "d", hours, "h"),
    }
}

/// A count, with spaces between thousands.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            // It does not break.
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

pub(super) fn share(share: Share) -> String {
    share.to_string().replace('%', "\u{202f}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        for (seconds, told) in
            [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h"), (3720, "1 h 2 min"), (180_000, "2 d 2 h")]
        {
            assert_eq!(lasting(Duration::from_secs(seconds)), told);
        }
    }

    #[test]
    fn thousands_are_apart() {
        for (number, told) in [(7, "7"), (999, "999"), (1000, "1\u{202f}000"), (1_234_567, "1\u{202f}234\u{202f}567")] {
            assert_eq!(count(number), told);
        }
    }

    #[test]
    fn what_is_long_or_odd_is_made_plain() {
        assert_eq!(plain("a\u{1b}[1mb\n\u{202e}c"), "a [1mb  c");
        assert_eq!(plain(&"x".repeat(500)).chars().count(), MAX_TEXT + 1);
    }
}
