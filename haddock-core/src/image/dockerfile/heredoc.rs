//! Here-documents of `RUN`, as BuildKit finds them (`frontend/dockerfile/parser`).
//!
//! The parser library knows one that stands first in its instruction. The others are hidden from it: in a copy of the
//! file, their lines become comments of the same length. Nor does it know instructions with an empty list.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use parse_dockerfile::{Command, Instruction, RunInstruction};

use super::words::{joined, split};

/// The end of a here-document.
#[derive(Debug, PartialEq, Eq)]
struct End {
    name: String,
    /// Whether tabs before it count for nothing.
    tabs: bool,
}

/// The text for the parser library, and where here-documents were hidden.
///
/// # Errors
/// The byte of an instruction whose here-document does not end, and the name of its end.
pub(super) fn hidden(text: &str, escape: char) -> Result<(String, Vec<usize>), (usize, String)> {
    let mut text: String = text.split_inclusive('\n').map(without_empty_list).collect();
    let mut seen = BTreeSet::new();
    while let Some(found) = first(&text, escape, &seen) {
        seen.insert(found.start);
        if let Some(mark) = found.mark {
            text.replace_range(mark, "__");
        }
        let mut at = found.body;
        for end in &found.ends {
            at = hide(&mut text, at, end).ok_or_else(|| (found.start, end.name.clone()))?;
        }
    }
    Ok((text, seen.into_iter().collect()))
}

/// A line such as `ENTRYPOINT []`, with other characters for the empty list. Docker takes it, and the library does not.
fn without_empty_list(line: &str) -> Cow<'_, str> {
    let before = line.trim().strip_suffix(']').and_then(|line| line.trim_end().strip_suffix('['));
    let mut words = before.unwrap_or_default().split_whitespace().map(str::to_ascii_uppercase).peekable();
    words.next_if(|word| word == "ONBUILD");
    match (words.next().as_deref(), words.next()) {
        (Some("CMD" | "ENTRYPOINT" | "RUN"), None) => Cow::Owned(line.replace(['[', ']'], "_")),
        _ => Cow::Borrowed(line),
    }
}

/// An instruction with here-documents.
struct Found {
    start: usize,
    /// `<<` that the library would read itself.
    mark: Option<Range<usize>>,
    body: usize,
    ends: Vec<End>,
}

/// The first instruction with here-documents that the library does not read.
fn first(text: &str, escape: char, seen: &BTreeSet<usize>) -> Option<Found> {
    // An error comes again when the whole file is read.
    let instructions = parse_dockerfile::parse_iter(text).ok()?.map_while(Result::ok);
    instructions.filter_map(|instruction| of_run(instruction, text, escape)).find(|found| !seen.contains(&found.start))
}

fn of_run(instruction: Instruction<'_>, text: &str, escape: char) -> Option<Found> {
    let run = run_of(instruction)?;
    let Command::Shell(shell) = &run.arguments else { return None };
    // Of one that stands first, the library leaves out the name.
    let start = match run.here_docs.is_empty() {
        true => shell.span.start,
        false => text[..shell.span.start].rfind("<<")?,
    };
    let line: String = joined(text, start..shell.span.end, escape).into_iter().map(|(_, c)| c).collect();
    let ends: Vec<End> = split(&line, escape).iter().filter_map(|word| end_of(word, escape)).collect();
    if ends.len() == run.here_docs.len() {
        return None;
    }
    let mark = (!run.here_docs.is_empty()).then_some(start..start + 2);
    let body = text[shell.span.end..].find('\n').map_or(text.len(), |end| shell.span.end + end + 1);
    Some(Found { start: run.run.span.start, mark, body, ends })
}

fn run_of(instruction: Instruction<'_>) -> Option<RunInstruction<'_>> {
    match instruction {
        Instruction::Run(run) => Some(run),
        Instruction::Onbuild(onbuild) => run_of(*onbuild.instruction),
        _ => None,
    }
}

/// The here-document that a word begins: `<<EOF`, `<<-EOF`, `3<<"EOF"`.
fn end_of(word: &str, escape: char) -> Option<End> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (tabs, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let name: String = rest.chars().filter(|c| !matches!(c, '"' | '\'') && *c != escape).collect();
    (!rest.contains('<') && !name.is_empty()).then_some(End { name, tabs })
}

/// Turns the lines up to this end into comments. Returns where the next line begins.
fn hide(text: &mut String, mut at: usize, end: &End) -> Option<usize> {
    while at < text.len() {
        let length = text[at..].find('\n').unwrap_or(text.len() - at);
        let line = text[at..at + length].trim_end_matches('\r');
        let is_end = *end.name == *if end.tabs { line.trim_start_matches('\t') } else { line };
        if let Some(first) = line.chars().next() {
            text.replace_range(at..at + first.len_utf8(), &"#".repeat(first.len_utf8()));
        }
        at = (at + length + 1).min(text.len());
        if is_end {
            return Some(at);
        }
    }
    None
}
