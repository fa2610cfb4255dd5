//! Commands that are written as one text, split into words as Compose splits them.
//!
//! Compose uses `mattn/go-shellwords`, which differs from a shell and from the crates that split as one: `#` begins no
//! comment, and `\n` and `\t` are a line end and a tab. At `;`, `&`, `|`, `<` or `>` it drops the rest of the text
//! without a word; here that is an error, as are parentheses and backticks.

use super::reader::{Cursor, Reader};
use super::tree::Value;

/// Why a text is not a list of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// A quote is not closed, or a backslash stands at the end.
    Open,
    /// A character that only a shell understands.
    NeedsShell(char),
}

fn split(text: &str) -> Result<Vec<String>, Flaw> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => {
                word.get_or_insert_default().push(match characters.next().ok_or(Flaw::Open)? {
                    'n' => '\n',
                    't' => '\t',
                    c => c,
                })
            }
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                // Two quotes with nothing between them are an empty word.
                word.get_or_insert_default();
            }
            (' ' | '\t' | '\r' | '\n', None) => words.extend(word.take()),
            (';' | '&' | '|' | '<' | '>' | '(' | ')' | '`', None) => return Err(Flaw::NeedsShell(c)),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(Flaw::Open);
    }
    words.extend(word);
    Ok(words)
}

/// A command: a list of words, or a text that is split into words as in Compose.
pub(super) fn read_words(reader: &mut Reader<'_>, cursor: &Cursor<'_>) -> Option<Vec<String>> {
    let words = match &cursor.node.value {
        // Then the image's own is used, as in the Compose Specification.
        Value::Null => return None,
        Value::List(items) => {
            let mut words = Vec::new();
            for (index, node) in items.iter().enumerate() {
                let item = Cursor { node, path: format!("{}[{index}]", cursor.path) };
                words.push(reader.text(&item)?);
            }
            words
        }
        _ => {
            reader.quoted(cursor)?;
            let filled = reader.filled(cursor)?;
            match split(&filled.text) {
                Ok(words) => words,
                Err(Flaw::Open) => {
                    let message = format!("`{}` has a quote that is not closed", cursor.name());
                    reader.wrong(cursor, message, "close it, or write the words as a list");
                    return None;
                }
                Err(Flaw::NeedsShell(c)) => {
                    let message = format!("`{}` has `{c}` outside of quotes, and no shell runs it", cursor.name());
                    let hint = "write `sh -c '…'`, or the words as a list";
                    reader.stricter(cursor, message, hint, "the rest of the command");
                    return None;
                }
            }
        }
    };
    Some(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_split_as_compose_splits_them() {
        for (text, words) in [
            ("", &[][..]),
            ("  a  b\tc\n", &["a", "b", "c"]),
            ("sh -c 'a && b > c'", &["sh", "-c", "a && b > c"]),
            (r#"a "b c"d 'e"f'"#, &["a", "b cd", "e\"f"]),
            (r"a\ b \'c\' d\\", &["a b", "'c'", "d\\"]),
            (r#""a\"b\n\tc" \n"#, &["a\"b\n\tc", "\n"]),
            (r"'a\nb'", &["a\\nb"]),
            ("a '' \"\"", &["a", "", ""]),
            ("run #1 # not a comment", &["run", "#1", "#", "not", "a", "comment"]),
            ("a=1 --b='2 3' $C {d,e} *", &["a=1", "--b=2 3", "$C", "{d,e}", "*"]),
            ("größe 'ä ö'", &["größe", "ä ö"]),
        ] {
            assert_eq!(
                split(text).as_deref(),
                Ok(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()[..]),
                "{text}"
            );
        }
    }

    #[test]
    fn what_a_shell_would_be_needed_for_is_refused() {
        for (text, flaw) in [
            ("a 'b", Flaw::Open),
            ("a \"b", Flaw::Open),
            ("a \\", Flaw::Open),
            ("a && b", Flaw::NeedsShell('&')),
            ("a|b", Flaw::NeedsShell('|')),
            ("a 2>/dev/null", Flaw::NeedsShell('>')),
            ("a; b", Flaw::NeedsShell(';')),
            ("a $(b)", Flaw::NeedsShell('(')),
            ("a `b`", Flaw::NeedsShell('`')),
        ] {
            assert_eq!(split(text), Err(flaw), "{text}");
        }
    }

    proptest! {
        #[test]
        fn quoted_words_come_back(words in prop::collection::vec("[^'\\\\]{0,8}", 0..5)) {
            let text: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            prop_assert_eq!(split(&text.join(" ")), Ok(words));
        }

        #[test]
        fn nothing_panics(text in "[ab'\" \\\\;#$]{0,16}|\\PC{0,16}") {
            let _ = split(&text);
        }
    }
}
