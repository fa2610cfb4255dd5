//! Values that must not be shown, in texts that others wrote.

/// Shorter values are not masked: they occur in too many words that have nothing to do with them.
pub(crate) const MIN_MASKED_LENGTH: usize = 4;

/// The text with `shown` in place of each `value` that is not a part of a longer word.
pub(crate) fn replaced(text: &str, value: &str, shown: &str) -> String {
    let mut told = String::new();
    let mut rest = text;
    while let Some(found) = rest.find(value) {
        let (before, after) = (&rest[..found], &rest[found + value.len()..]);
        let within = |c: Option<char>, own: Option<char>| {
            c.is_some_and(char::is_alphanumeric) && own.is_some_and(char::is_alphanumeric)
        };
        let begins = before.chars().next_back().or_else(|| told.chars().next_back());
        let is_part = within(begins, value.chars().next()) || within(after.chars().next(), value.chars().next_back());
        told.push_str(before);
        told.push_str(if is_part { value } else { shown });
        rest = after;
    }
    told.push_str(rest);
    told
}
