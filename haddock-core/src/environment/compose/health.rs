//! `healthcheck`.

use super::keys;
use super::reader::{Cursor, REFUSED_BY_ENGINE, Reader};
use super::tree::Value;
use super::words::read_words;
use crate::container::HealthCheck;
use crate::error::{Error, ErrorKind};
use crate::value;

pub(super) fn read_health_check<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<HealthCheck> {
    let errors = reader.error_count();
    let (mut test, mut disable) = (None, false);
    let mut check = HealthCheck::default();
    for entry in reader.known_entries(cursor, &keys::HEALTH_CHECK)? {
        let at = &entry.value;
        match entry.key.text.as_str() {
            "test" => test = read_test(reader, at),
            "interval" => check.interval = reader.word(at, engine_duration),
            "timeout" => check.timeout = reader.word(at, engine_duration),
            "start_interval" => check.start_interval = reader.word(at, engine_duration),
            "start_period" => check.start_period = reader.word(at, engine_duration),
            "retries" => check.retries = reader.number(at, 0),
            "disable" => disable = reader.boolean(at).unwrap_or(false),
            other => keys::unread(other),
        }
    }
    if reader.error_count() > errors {
        return None;
    }
    let none = || vec!["NONE".to_owned()];
    check.test = match (test, disable) {
        // As in an override file that switches the check off.
        (_, true) => none(),
        (Some(test), false) => test,
        // The image's own.
        (None, false) => Vec::new(),
    };
    Some(check)
}

/// Engines refuse a duration below a millisecond. Zero stands for their default.
fn engine_duration(text: &str) -> Result<std::time::Duration, Error> {
    match value::duration(text)? {
        short if !short.is_zero() && short.as_micros() < 1000 => {
            Err(Error::new(ErrorKind::InvalidValue, format!("duration `{text}` is shorter than 1ms"))
                .with_hint("write `1ms` or more")
                .stricter_than_compose(REFUSED_BY_ENGINE))
        }
        duration => Ok(duration),
    }
}

fn read_test(reader: &mut Reader<'_>, cursor: &Cursor<'_>) -> Option<Vec<String>> {
    if let Value::Scalar(_) = cursor.node.value {
        let line = reader.text(cursor)?;
        if line.trim().is_empty() {
            let hint = "write a command that succeeds when the component is healthy";
            reader.stricter(cursor, "the `test` is empty", hint, "the check: an empty one always succeeds");
            return None;
        }
        return Some(vec!["CMD-SHELL".to_owned(), line]);
    }
    if cursor.is_null() {
        reader.mistyped(cursor, "a command", "write one that succeeds when the component is healthy");
        return None;
    }
    let words = read_words(reader, cursor)?;
    match (words.first().map_or("", String::as_str), words.len()) {
        ("NONE", 1) | ("CMD-SHELL", 2) | ("CMD", 2..) => Some(words),
        // The image's own.
        ("", 0) => Some(Vec::new()),
        // The engine hands further words to the shell as `$0`, `$1` and so on.
        ("CMD-SHELL", 3..) => {
            let what = if words.len() == 3 { "word has" } else { "words have" };
            let message =
                format!("the {} {what} no effect: only the line behind `CMD-SHELL` is run", further(words.len()));
            reader.note(cursor, message);
            Some(words)
        }
        ("NONE", 2..) => {
            reader.note(cursor, "the words behind `NONE` have no effect");
            Some(vec!["NONE".to_owned()])
        }
        ("NONE" | "CMD-SHELL" | "CMD", _) => {
            let message = format!("`{}` is followed by the wrong number of words", words[0]);
            let hint = "write `[\"CMD\", program, argument…]`, `[\"CMD-SHELL\", line]` or `[\"NONE\"]`";
            reader.stricter(cursor, message, hint, "the check: there is nothing to run");
            None
        }
        _ => {
            let message = "the list of `test` begins with neither `CMD` nor `CMD-SHELL` nor `NONE`";
            reader.unfit(cursor, message, "put `CMD` first, or write one text, which a shell runs");
            None
        }
    }
}

/// How many words follow the line of a `CMD-SHELL`, for a message.
fn further(words: usize) -> String {
    match words {
        3 => "third".to_owned(),
        _ => format!("last {}", words - 2),
    }
}
