//! One pattern: whether Docker accepts it, and how it is compared with a path.

use std::iter::Peekable;
use std::str::Chars;

use regex_lite::Regex;

use super::expression;
use super::fault::Fault;
use super::reader::clean;

const ALONE: Fault = Fault { reason: "nothing follows the `!`", hint: "name what to keep, such as `!README.md`" };
const BRACKETS: Fault = Fault {
    reason: "its `[…]` is not a set of characters",
    hint: "write `[a-z]` for a set, and `\\[` for a bracket that is part of a name",
};
const LAST_BACKSLASH: Fault =
    Fault { reason: "nothing follows its last `\\`", hint: "write `/` between folders, and `\\\\` for a backslash" };

/// A pattern that Docker accepts.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// Whether it brings files back that an earlier pattern left out.
    pub(super) inverted: bool,
    /// The pattern without its `!`.
    pub(super) text: String,
    comparison: Comparison,
}

#[derive(Debug, Clone)]
enum Comparison {
    /// The path is the pattern.
    Exact,
    /// The path begins so.
    Prefix(String),
    /// The path ends so.
    Suffix(String),
    /// The path is described by the expression.
    Expression(Regex),
}

impl Pattern {
    /// A pattern from a cleaned line; none, if nothing is left of it.
    pub(super) fn parse(line: &str) -> Result<Option<Self>, Fault> {
        let line = line.trim();
        if line.is_empty() {
            return Ok(None);
        }
        // Once more, now with the `!`: Docker does so, too.
        let line = clean(line);
        let (inverted, text) = match line.strip_prefix('!') {
            Some("") => return Err(ALONE),
            Some(text) => (true, text),
            None => (false, line.as_str()),
        };
        check(text)?;
        let (kind, expression) = translate(text);
        let comparison = match kind {
            Kind::Exact => Comparison::Exact,
            Kind::Prefix => Comparison::Prefix(text.strip_suffix("**").unwrap_or(text).to_owned()),
            Kind::Suffix => Comparison::Suffix(text.strip_prefix("**").unwrap_or(text).to_owned()),
            Kind::Expression => Comparison::Expression(expression::compile(&expression)?),
        };
        Ok(Some(Self { inverted, text: text.to_owned(), comparison }))
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        match &self.comparison {
            Comparison::Exact => path == self.text,
            Comparison::Prefix(prefix) => path.starts_with(prefix),
            Comparison::Suffix(suffix) => path.ends_with(suffix) || suffix.strip_prefix('/') == Some(path),
            Comparison::Expression(regex) => regex.is_match(path),
        }
    }
}

/// How Docker compares a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It has nothing special.
    Exact,
    /// Its end is `**`, and it has nothing else special.
    Prefix,
    /// Its beginning is `**`, and it has nothing else special.
    Suffix,
    /// Anything else.
    Expression,
}

impl Kind {
    /// The kind after a `**` at the pattern's beginning, end, or between.
    fn after_double_star(self, is_first: bool, is_last: bool) -> Self {
        match self {
            _ if is_first => Self::Suffix,
            Self::Exact if is_last => Self::Prefix,
            _ => Self::Expression,
        }
    }
}

/// How the pattern is compared, and its regular expression in Go's syntax.
///
/// Docker goes from left to right and takes no notice of sets: `[*]` becomes `[[^/]*]`, which is a set, a star and a
/// bracket.
fn translate(pattern: &str) -> (Kind, String) {
    let mut kind = Kind::Exact;
    let mut expression = String::from("^");
    let mut chars = pattern.chars().peekable();
    let mut is_first = true;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                chars.next_if_eq(&'/');
                let is_last = chars.peek().is_none();
                kind = kind.after_double_star(is_first, is_last);
                expression += if is_last { ".*" } else { "(.*/)?" };
            }
            '*' | '?' | '[' | ']' | '\\' => {
                kind = Kind::Expression;
                match c {
                    '*' => expression += "[^/]*",
                    '?' => expression += "[^/]",
                    '\\' => expression.extend([c].into_iter().chain(chars.next())),
                    _ => expression.push(c),
                }
            }
            '.' | '+' | '(' | ')' | '$' => expression.extend(['\\', c]),
            // `{`, `|`, `}` and `^` as well, so that they are operators.
            _ => expression.push(c),
        }
        is_first = false;
    }
    (kind, expression + "$")
}

/// Refuses what Go's `filepath.Match` refuses.
fn check(pattern: &str) -> Result<(), Fault> {
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next().ok_or(LAST_BACKSLASH)?),
            '[' => check_set(&mut chars).ok_or(BRACKETS)?,
            _ => {}
        }
    }
    Ok(())
}

/// Goes past a set, from behind its `[`; none, if it is malformed.
fn check_set(chars: &mut Peekable<Chars<'_>>) -> Option<()> {
    chars.next_if_eq(&'^');
    let mut is_empty = true;
    while is_empty || chars.next_if_eq(&']').is_none() {
        check_bound(chars)?;
        if chars.next_if_eq(&'-').is_some() {
            check_bound(chars)?;
        }
        is_empty = false;
    }
    Some(())
}

fn check_bound(chars: &mut Peekable<Chars<'_>>) -> Option<()> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next().map(drop),
        _ => Some(()),
    }
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
