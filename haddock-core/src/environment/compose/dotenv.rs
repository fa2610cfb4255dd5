//! Files of variables: `.env`, `--env-file` and `env_file`, in the format that Compose reads.
//!
//! A line is `NAME=value`, `export NAME=value` or `NAME: value`. `#` begins a comment at the start of a line or after a
//! space. Values in single quotes are taken as they are. In double quotes and without quotes, variables are filled in.
//! Quoted values may span lines. A name without `=` takes its value from the caller's environment.
//!
//! With `format: raw`, values are taken as they are, as `docker run --env-file` does: quotes belong to the value, and
//! no variable is filled in.

use std::str::FromStr;

use super::template::{Flaw, Template};
use super::tree::Mark;
use super::variables::{Lookup, Variables};
use crate::error::{Error, ErrorKind};

/// Reads a file of variables. A variable that a value mentions is looked up in `outer`, then in the lines above, then
/// in `inner`.
pub(super) fn parse(file: &str, text: &str, outer: Lookup<'_>, inner: Lookup<'_>) -> Result<Variables, Error> {
    parse_with(file, text, outer, outer, inner)
}

/// As [`parse`], but a line `NAME` without a value gets its value from `inherited`.
pub(super) fn parse_with(
    file: &str,
    text: &str,
    inherited: Lookup<'_>,
    outer: Lookup<'_>,
    inner: Lookup<'_>,
) -> Result<Variables, Error> {
    let mut reader = Reader { file, source: text.strip_prefix('\u{feff}').unwrap_or(text), position: 0 };
    let mut variables = Variables::default();
    while let Some(name) = reader.name()? {
        let Some(raw) = reader.raw_value(name)? else {
            if let Some(value) = inherited(name) {
                variables.set(name, value);
            }
            continue;
        };
        let value = match raw {
            RawValue::Verbatim(text) => text,
            RawValue::Template(text) => {
                let lookup =
                    |name: &str| outer(name).or_else(|| variables.get(name).map(str::to_owned)).or_else(|| inner(name));
                fill(&text, &lookup).map_err(|flaw| {
                    let hint = format!("{}, or put the value into single quotes", flaw.hint);
                    reader.error(name, format!("value of `{name}`: {}", flaw.message), hint)
                })?
            }
        };
        variables.set(name, value);
    }
    Ok(variables)
}

/// The format of a file that `env_file` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Dotenv,
    Raw,
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "raw" => Ok(Self::Raw),
            _ => Err(Error::new(ErrorKind::InvalidValue, format!("`{text}` is not a format of `env_file`"))
                .with_hint("write `raw`, or remove it")),
        }
    }
}

/// Reads a file in which everything after the `=` is the value, to the end of the line.
pub(super) fn parse_raw(file: &str, text: &str, outer: Lookup<'_>) -> Result<Variables, Error> {
    let mut variables = Variables::default();
    for (line, number) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().zip(1..) {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').map_or((line, None), |(name, value)| (name, Some(value.to_owned())));
        if name.is_empty() || name.contains(char::is_whitespace) {
            let at = Mark { file: 0, line: number, column: 1 };
            let error = Error::new(ErrorKind::ComposeFile, "the line begins with no variable's name");
            return Err(error.with_hint("write `NAME=value`, without spaces before the `=`").at(at.place(file, "")));
        }
        if let Some(value) = value.or_else(|| outer(name)) {
            variables.set(name, value);
        }
    }
    Ok(variables)
}

fn fill(text: &str, lookup: Lookup<'_>) -> Result<String, Flaw> {
    let template = Template::parse(text)?;
    let values: Variables =
        template.names().into_iter().filter_map(|name| lookup(name).map(|value| (name, value))).collect();
    Ok(template.fill(&|name| values.get(name))?.text)
}

enum RawValue {
    Verbatim(String),
    Template(String),
}

struct Reader<'t> {
    file: &'t str,
    source: &'t str,
    position: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.source[self.position..]
    }

    fn error(&self, name: &str, message: String, hint: impl Into<String>) -> Error {
        let line = 1 + self.source[..self.position].matches('\n').count() as u64;
        let at = Mark { file: 0, line, column: 1 };
        Error::new(ErrorKind::ComposeFile, message).with_hint(hint).at(at.place(self.file, name))
    }

    fn skip(&mut self, skipped: fn(char) -> bool) {
        let rest = self.rest();
        self.position += rest.find(|c| !skipped(c)).unwrap_or(rest.len());
    }

    fn skip_line(&mut self) {
        let rest = self.rest();
        self.position += rest.find('\n').unwrap_or(rest.len());
    }

    /// The next line's name, or `None` at the end.
    fn name(&mut self) -> Result<Option<&'t str>, Error> {
        loop {
            self.skip(char::is_whitespace);
            if !self.rest().starts_with('#') {
                break;
            }
            self.skip_line();
        }
        if let Some(rest) = self.rest().strip_prefix("export")
            && rest.starts_with([' ', '\t'])
        {
            self.position += "export".len();
            self.skip(|c| c == ' ' || c == '\t');
        }
        let rest = self.rest();
        if rest.is_empty() {
            return Ok(None);
        }
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.' | '-' | '[' | ']'))
            .unwrap_or(rest.len());
        if end == 0 {
            return Err(self.error("", "the line begins with no variable's name".into(), "write `NAME=value`"));
        }
        let name = &rest[..end];
        self.position += end;
        Ok(Some(name))
    }

    /// What follows the name; `None` if nothing does.
    fn raw_value(&mut self, name: &str) -> Result<Option<RawValue>, Error> {
        self.skip(|c| c == ' ' || c == '\t' || c == '\r');
        match self.rest().chars().next() {
            None | Some('\n') => return Ok(None),
            Some('#') => {
                self.skip_line();
                return Ok(None);
            }
            Some('=' | ':') => self.position += 1,
            Some(_) => {
                let message = format!("`{name}` is followed by neither `=` nor the end of the line");
                return Err(self.error(name, message, "write `NAME=value`"));
            }
        }
        let before = self.position;
        self.skip(|c| c == ' ' || c == '\t');
        let spaced = self.position > before;
        match self.rest().chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(name, quote).map(Some),
            _ => {
                let rest = self.rest();
                let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
                self.position += line.len();
                // `KEY=#1976d2` has a value, `KEY= # text` has none. In Compose the latter has the value `# text`.
                let value = if spaced && line.starts_with('#') { "" } else { without_comment(line) };
                Ok(Some(RawValue::Template(value.to_owned())))
            }
        }
    }

    fn quoted(&mut self, name: &str, quote: char) -> Result<RawValue, Error> {
        let mut value = String::new();
        let rest = self.rest();
        let mut characters = rest.char_indices().skip(1);
        while let Some((index, c)) = characters.next() {
            match c {
                c if c == quote => {
                    self.position += index + 1;
                    return self.end_of_line(name).map(|()| match quote {
                        '\'' => RawValue::Verbatim(value),
                        _ => RawValue::Template(value),
                    });
                }
                '\\' => match (characters.next(), quote) {
                    (None, _) => break,
                    (Some((_, c)), _) if c == quote => value.push(c),
                    (Some((_, c)), '\'') => value.extend(['\\', c]),
                    (Some((_, 'a')), _) => value.push('\u{7}'),
                    (Some((_, 'b')), _) => value.push('\u{8}'),
                    (Some((_, 'f')), _) => value.push('\u{c}'),
                    (Some((_, 'n')), _) => value.push('\n'),
                    (Some((_, 'r')), _) => value.push('\r'),
                    (Some((_, 't')), _) => value.push('\t'),
                    (Some((_, 'v')), _) => value.push('\u{b}'),
                    (Some((_, '$')), _) => value.push_str("$$"),
                    (Some((_, '\\')), _) => value.push('\\'),
                    (Some((_, c)), _) => value.extend(['\\', c]),
                },
                c => value.push(c),
            }
        }
        let message = format!("value of `{name}`: the quote {quote} is not closed");
        Err(self.error(name, message, "close it, or put the value into the other kind of quotes"))
    }

    fn end_of_line(&mut self, name: &str) -> Result<(), Error> {
        self.skip(|c| c == ' ' || c == '\t' || c == '\r');
        match self.rest().chars().next() {
            None | Some('\n') => Ok(()),
            Some('#') => {
                self.skip_line();
                Ok(())
            }
            Some(_) => {
                let message = format!("value of `{name}`: something follows the closing quote");
                let error = self.error(name, message, "put the whole value into quotes");
                Err(error.stricter_than_compose("what follows"))
            }
        }
    }
}

/// The line without its comment, and without spaces around it. A comment begins with a space and `#`.
fn without_comment(line: &str) -> &str {
    line.split(" #").next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outer(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("shell".into()),
            "HOME" => Some("/root".into()),
            _ => None,
        }
    }

    fn read(text: &str) -> Result<Variables, Error> {
        parse(".env", text, &outer, &|name| (name == "INNER").then(|| "in".into()))
    }

    #[test]
    fn every_form_is_read() {
        let text = "\u{feff}# a comment\n\nA=1\r\nexport B = two words  # comment\nC: colon\nD='$A # raw'\nE=\"$A\\n\\\"q\\\" \\$x\" # c\n\
            F=\nG=\"two\nlines\"\nHOME\nMISSING\nI=a#b\nJ=${A}${HOST:-x}${U:-d}\nHOST=file\nK=$HOST\nL='it' \n  M=indented\nN=a=b:c\nexported=1\nO=''\nP=# none\n\
            Q='it\\'s \\n'\nR=\"\\a\\'\\x\\\\\"\nS=$INNER\n";
        let variables = read(text).expect("valid");
        let found: Vec<_> = variables.iter().map(|(name, value)| format!("{name}={:?}", value.expose())).collect();
        insta::assert_snapshot!(found.join("\n"));
    }

    #[test]
    fn errors_name_the_line_and_never_the_value() {
        let mut table = String::new();
        for text in [
            "A=1\n=hunter2\n",
            "A hunter2\n",
            "\n\nA='hunter2\nB=1",
            "A=\"hunter2\" more\n",
            "A=hunter2${\n",
            "A=\"hunter2${B\"\n",
            "A=${B:?tell me}\n",
        ] {
            let error = read(text).expect_err(text);
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            table += &format!("{error:#}\n\n");
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn raw_values_are_taken_as_they_are() {
        let text = "\u{feff}# none\n\n  A='1' # $B \r\nB=\nHOST\nMISSING\nC=a=b";
        let variables = parse_raw("raw.env", text, &outer).expect("valid");
        let found: Vec<_> = variables.iter().map(|(name, value)| (name, value.expose())).collect();
        assert_eq!(found, [("A", "'1' # $B "), ("B", ""), ("C", "a=b"), ("HOST", "shell")]);
        for text in ["A=1\n=hunter2", "\nA B=hunter2"] {
            let error = parse_raw("raw.env", text, &outer).expect_err(text);
            assert!(error.place().is_some_and(|place| place.line == 2) && !format!("{error:?}").contains("hunter2"));
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "([A-Z#'\"$=: \\\\\\n\\r{}]|\\PC){0,40}") {
            let _ = read(&text);
        }

        #[test]
        fn single_quotes_keep_any_text(text in "[^'\\\\]{0,30}") {
            let variables = read(&format!("A='{text}'\n")).expect("valid");
            prop_assert_eq!(variables.get("A"), Some(text.as_str()));
        }
    }
}
