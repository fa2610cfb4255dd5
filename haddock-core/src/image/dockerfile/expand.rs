//! Puts the values of arguments in place of their names, as BuildKit does (`frontend/dockerfile/shell`).

use std::collections::BTreeMap;

use super::pattern::Pattern;

/// A text with values in place of names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Expanded {
    pub(super) text: String,
    /// The names in it that have no value.
    pub(super) unset: Vec<String>,
}

/// Expands one word: `$X`, `${X}`, `${X:-default}`, `${X-default}`, `${X:+word}`, `${X+word}`, `${X:?message}`,
/// `${X?message}`, `${X#pattern}`, `${X##pattern}`, `${X%pattern}`, `${X%%pattern}`, `${X/pattern/text}` and
/// `${X//pattern/text}`. Quotes are removed. The error is a message.
pub(super) fn expand(word: &str, values: &BTreeMap<String, String>, escape: char) -> Result<Expanded, String> {
    let mut lexer = Lexer { rest: word, escape, values, unset: Vec::new(), depth: 0 };
    let text = lexer.until(None, false)?;
    Ok(Expanded { text, unset: lexer.unset })
}

/// How deep `${…}` may stand in each other. People write two.
const DEEPEST: u32 = 50;

struct Lexer<'w> {
    rest: &'w str,
    escape: char,
    values: &'w BTreeMap<String, String>,
    unset: Vec<String>,
    depth: u32,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    /// The text up to this character, which is consumed; up to the end without one. In patterns, escapes are kept.
    fn until(&mut self, stop: Option<char>, keep_escapes: bool) -> Result<String, String> {
        let mut text = String::new();
        while let Some(c) = self.peek() {
            if Some(c) == stop {
                self.next();
                return Ok(text);
            }
            match c {
                '\'' => text.push_str(&self.single_quoted()?),
                '"' => text.push_str(&self.double_quoted(keep_escapes)?),
                '$' => text.push_str(&self.dollar()?),
                _ => {
                    self.next();
                    if c != self.escape {
                        text.push(c);
                        continue;
                    }
                    if keep_escapes {
                        text.push(c);
                    }
                    let Some(escaped) = self.next() else { break };
                    text.push(escaped);
                }
            }
        }
        match stop {
            None => Ok(text),
            Some(stop) => Err(format!("a `{stop}` is missing")),
        }
    }

    fn single_quoted(&mut self) -> Result<String, String> {
        self.next();
        let (text, rest) = self.rest.split_once('\'').ok_or("a `'` is missing")?;
        self.rest = rest;
        Ok(text.to_owned())
    }

    fn double_quoted(&mut self, keep_escapes: bool) -> Result<String, String> {
        self.next();
        let mut text = String::new();
        loop {
            match self.peek().ok_or("a `\"` is missing")? {
                '"' => {
                    self.next();
                    return Ok(text);
                }
                '$' => text.push_str(&self.dollar()?),
                c => {
                    self.next();
                    if c != self.escape {
                        text.push(c);
                        continue;
                    }
                    if keep_escapes {
                        text.push(c);
                    }
                    match self.peek() {
                        None => {}
                        Some(next) if next == '"' || next == '$' || next == self.escape => {
                            self.next();
                            text.push(next);
                        }
                        Some(_) => text.push(c),
                    }
                }
            }
        }
    }

    fn dollar(&mut self) -> Result<String, String> {
        self.next();
        if self.peek() != Some('{') {
            let name = self.name();
            return Ok(if name.is_empty() { "$".to_owned() } else { self.value(&name).unwrap_or_default() });
        }
        self.next();
        if self.depth == DEEPEST {
            return Err("too many `${` stand in each other".to_owned());
        }
        self.depth += 1;
        let value = self.braces();
        self.depth -= 1;
        value
    }

    /// After `${`.
    fn braces(&mut self) -> Result<String, String> {
        match self.peek() {
            None => return Err("a `}` is missing".to_owned()),
            Some('{' | '}' | ':') => return Err("no name stands after `${`".to_owned()),
            Some(_) => {}
        }
        let name = self.name();
        let mut operator = self.next();
        let empty_is_unset = operator == Some(':');
        if empty_is_unset {
            operator = self.next();
        }
        match operator {
            None => Err("a `}` is missing".to_owned()),
            Some('}') if !empty_is_unset => Ok(self.value(&name).unwrap_or_default()),
            Some(operator @ ('-' | '+' | '?')) => {
                let word = self.until(Some('}'), false)?;
                let unset = self.unset.len();
                let value = self.value(&name).filter(|value| !(empty_is_unset && value.is_empty()));
                match (operator, value) {
                    ('?', None) if word.is_empty() => Err(format!("the argument `{name}` has no value")),
                    ('?', None) => Err(format!("the argument `{name}` has no value: {word}")),
                    ('-' | '?', Some(value)) => Ok(value),
                    ('-', None) => {
                        // With a default, nobody has to set it.
                        if !word.is_empty() {
                            self.unset.truncate(unset);
                        }
                        Ok(word)
                    }
                    (_, Some(_)) => Ok(word),
                    (_, None) => Ok(String::new()),
                }
            }
            Some(operator @ ('#' | '%')) => {
                let word = self.until(Some('}'), true)?;
                let (longest, word) = match word.strip_prefix(operator) {
                    Some(rest) => (true, rest),
                    None => (false, word.as_str()),
                };
                let pattern = Pattern::parse(word)?;
                let value = self.value(&name).unwrap_or_default();
                Ok(match operator {
                    '#' => pattern.without_prefix(&value, longest),
                    _ => pattern.without_suffix(&value, longest),
                })
            }
            Some('/') if !empty_is_unset => {
                let everywhere = self.peek() == Some('/');
                if everywhere {
                    self.next();
                }
                let pattern = Pattern::parse(&self.until(Some('/'), true)?)?;
                let text = self.until(Some('}'), true)?;
                Ok(pattern.replaced(&self.value(&name).unwrap_or_default(), &text, everywhere))
            }
            Some(other) => Err(format!("`{other}` after the name `{name}` is no operator")),
        }
    }

    /// A name: letters, digits and `_`; or digits; or one special character.
    fn name(&mut self) -> String {
        let is_first = |c: char| matches!(c, '@' | '*' | '#' | '?' | '-' | '$' | '!');
        let length = match self.peek() {
            Some(c) if c.is_numeric() => self.rest.find(|c: char| !c.is_numeric()),
            Some(c) if is_first(c) => Some(c.len_utf8()),
            _ => self.rest.find(|c: char| !c.is_alphanumeric() && c != '_'),
        };
        let (name, rest) = self.rest.split_at(length.unwrap_or(self.rest.len()));
        self.rest = rest;
        name.to_owned()
    }

    fn value(&mut self, name: &str) -> Option<String> {
        let value = self.values.get(name).cloned();
        if value.as_ref().is_none_or(String::is_empty) {
            self.unset.push(name.to_owned());
        }
        value
    }
}

#[cfg(test)]
#[path = "expand_tests.rs"]
mod tests;
