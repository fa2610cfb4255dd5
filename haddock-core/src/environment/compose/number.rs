//! The spellings that YAML has for numbers.

/// The number in decimal digits. `None` if the text is no number, or has only decimal digits already. Spellings are
/// read as in Compose: `0x1F`, `0o17`, `0b1`, `017` (octal, as in YAML 1.1), `1_000`. If a number with a point or an
/// exponent is whole, such as `1e3`, the result is the whole number.
pub(super) fn plain(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.replace('_', "");
    let based = |lead: [&str; 2], base| {
        let rest = digits.strip_prefix(lead[0]).or_else(|| digits.strip_prefix(lead[1]))?;
        i128::from_str_radix(rest, base).ok().filter(|_| !rest.starts_with(['+', '-']))
    };
    let octal = || {
        let rest = digits.strip_prefix('0').filter(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))?;
        i128::from_str_radix(rest, 8).ok()
    };
    let whole = based(["0x", "0X"], 16).or_else(|| based(["0o", "0O"], 8)).or_else(|| based(["0b", "0B"], 2));
    if let Some(number) = whole.or_else(octal) {
        return Some(format!("{sign}{number}"));
    }
    let number = digits.parse::<f64>().ok().filter(|number| number.is_finite())?;
    // Up to this limit, a float can hold each whole number exactly.
    let is_whole = number.fract() == 0.0 && number < 9e15;
    let plain = if is_whole { format!("{sign}{number:.0}") } else { format!("{sign}{digits}") };
    (plain != text).then_some(plain)
}

/// Whether the number has a point or an exponent.
pub(super) fn is_fraction(text: &str) -> bool {
    let based = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
    !based.starts_with("0x") && based.contains(['.', 'e']) && text.replace('_', "").parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn each_spelling_is_the_number_that_compose_reads() {
        for (text, number) in [
            ("0x1F", "31"),
            ("0o17", "15"),
            ("017", "15"),
            ("0b101", "5"),
            ("1_000", "1000"),
            ("+1", "1"),
            ("-0x10", "-16"),
            ("1.0", "1"),
            ("1e3", "1000"),
            ("1_0.5", "10.5"),
        ] {
            assert_eq!(plain(text).as_deref(), Some(number), "{text}");
        }
        for text in ["1", "-1", "1.5", "abc", "true", "", "0", "08x"] {
            assert_eq!(plain(text), None, "{text}");
        }
    }
}
