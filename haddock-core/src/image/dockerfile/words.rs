//! Words of an instruction, with their places.

use std::ops::Range;

/// A word as Docker reads it, and the bytes of the file that it is written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

impl Word {
    fn of(chars: &[(usize, char)], start: usize) -> Self {
        let end = chars.last().map_or(start, |(at, c)| at + c.len_utf8());
        Self { text: chars.iter().map(|(_, c)| c).collect(), span: chars.first().map_or(start, |(at, _)| *at)..end }
    }
}

/// The characters of this part of a file without line continuations, and without comments and empty lines between them.
pub(super) fn joined(text: &str, span: Range<usize>, escape: char) -> Vec<(usize, char)> {
    let mut chars = Vec::new();
    let mut at = span.start;
    while let Some(c) = text[at..span.end].chars().next() {
        let after = &text[at + c.len_utf8()..span.end];
        let line_end = after.find('\n').filter(|end| c == escape && after[..*end].trim().is_empty());
        let Some(line_end) = line_end else {
            chars.push((at, c));
            at += c.len_utf8();
            continue;
        };
        at += c.len_utf8() + line_end + 1;
        while let Some((line, _)) = text[at..span.end].split_once('\n') {
            if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
                break;
            }
            at += line.len() + 1;
        }
    }
    chars
}

/// The value of an option of an instruction. Quotes and backslashes in it are removed.
pub(super) fn option_value(text: &str, span: Range<usize>, escape: char) -> Vec<(usize, char)> {
    let start = joined(text, span, escape);
    let mut value = Vec::new();
    let (mut quote, mut chars) = (None, start.into_iter());
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next()),
            _ if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(c),
            _ => value.push((at, c)),
        }
    }
    value
}

/// The whole value of an option as one word.
pub(super) fn option_word(text: &str, span: Range<usize>, escape: char) -> Word {
    let start = span.start;
    Word::of(&option_value(text, span, escape), start)
}

/// The fields `key=value` of an option such as `--mount`, separated by commas. A key has small letters.
pub(super) fn option_fields(text: &str, span: Range<usize>, escape: char) -> Vec<(String, Word)> {
    let value = option_value(text, span, escape);
    let fields = value.split(|(_, c)| *c == ',');
    fields
        .filter_map(|field| {
            let equals = field.iter().position(|(_, c)| *c == '=')?;
            let key = Word::of(&field[..equals], 0).text.to_lowercase();
            Some((key, Word::of(&field[equals + 1..], field[equals].0 + 1)))
        })
        .collect()
}

/// Splits at white space that is not quoted or escaped. Quotes and escapes are kept.
pub(super) fn split(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (String::new(), None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() && quote.is_none() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            c if c == escape => {
                word.push(c);
                // In single quotes, nothing is escaped.
                if quote != Some('\'') {
                    word.extend(chars.next());
                }
                continue;
            }
            '"' | '\'' if quote.is_none() => quote = Some(c),
            _ if quote == Some(c) => quote = None,
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}
