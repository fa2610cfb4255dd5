//! Here-documents, as BuildKit finds them (`frontend/dockerfile/parser`).
//!
//! The parser library knows those of `COPY` and `ADD`, and one that stands first in its `RUN`. The others are hidden from
//! it: in a copy of the file, their lines become comments of the same length. Nor does it know instructions with an empty
//! list, or that a line which ends in two escape characters ends its instruction.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use parse_dockerfile::{Command, Instruction, Source};

use super::words::{joined, split};

/// The end of a here-document.
#[derive(Debug, PartialEq, Eq)]
struct End {
    name: String,
    /// Whether tabs before it count for nothing.
    tabs: bool,
    /// Whether white space stands before the name. BuildKit reads that so since 2025. Before, it may have been something
    /// else, such as `$((1 << 2))`, so it counts only if the end is there.
    spaced: bool,
}

/// The text for the parser library, and where here-documents were hidden.
///
/// # Errors
/// The byte of an instruction whose here-document does not end, and the name of its end.
pub(super) fn hidden(text: &str, escape: char) -> Result<(String, Vec<usize>), (usize, String)> {
    let lines = text.split_inclusive('\n').map(|line| without_escaped_end(line, escape));
    let mut text: String = lines.map(|line| without_empty_list(&line).into_owned()).collect();
    let (mut seen, mut hidden) = (BTreeSet::new(), Vec::new());
    while let Some(found) = first(&text, escape, &seen) {
        seen.insert(found.start);
        let mut at = found.body;
        let mut ends = Vec::new();
        for end in found.ends {
            match end_below(&text, at, &end) {
                Some(after) => {
                    ends.push(at..after);
                    at = after;
                }
                None if end.spaced => {}
                None => return Err((found.start, end.name)),
            }
        }
        for lines in ends {
            hidden.push(found.start);
            hide(&mut text, lines);
        }
        for mark in found.marks {
            text.replace_range(mark, "__");
        }
    }
    hidden.sort_unstable();
    Ok((text, hidden))
}

/// A line that ends in two escape characters, with other characters for them: the second escapes nothing, and the next
/// line is an instruction of its own. `%` is in no name.
fn without_escaped_end(line: &str, escape: char) -> Cow<'_, str> {
    let end = line.trim_end_matches(['\r', '\n']).trim_end_matches([' ', '\t']);
    match end.strip_suffix(escape).is_some_and(|before| before.ends_with(escape)) {
        true => {
            let start = end.trim_end_matches(escape);
            Cow::Owned(format!("{start}{}{}", "%".repeat(end.len() - start.len()), &line[end.len()..]))
        }
        false => Cow::Borrowed(line),
    }
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
    /// Each `<<` that the library would read itself.
    marks: Vec<Range<usize>>,
    body: usize,
    ends: Vec<End>,
}

/// The first instruction with here-documents that the library does not read.
fn first(text: &str, escape: char, seen: &BTreeSet<usize>) -> Option<Found> {
    // An error comes again when the whole file is read.
    let instructions = parse_dockerfile::parse_iter(text).ok()?.map_while(Result::ok);
    instructions.filter_map(|instruction| found(instruction, text, escape)).find(|found| !seen.contains(&found.start))
}

fn found(instruction: Instruction<'_>, text: &str, escape: char) -> Option<Found> {
    match instruction {
        Instruction::Run(run) => {
            let Command::Shell(shell) = &run.arguments else { return None };
            // Of one that stands first, the library leaves out the name.
            let start = match run.here_docs.is_empty() {
                true => shell.span.start,
                false => text[..shell.span.start].rfind("<<")?,
            };
            let ends = ends_of(text, start..shell.span.end, escape);
            if ends.len() == run.here_docs.len() {
                return None;
            }
            let marks = (!run.here_docs.is_empty()).then_some(start..start + 2).into_iter().collect();
            Some(Found { start: run.run.span.start, marks, body: line_after(text, shell.span.end), ends })
        }
        Instruction::Copy(copy) => of_copy(copy.copy.span.start, &copy.src, &copy.dest.span, text, escape),
        Instruction::Add(add) => of_copy(add.add.span.start, &add.src, &add.dest.span, text, escape),
        Instruction::Onbuild(onbuild) => found(*onbuild.instruction, text, escape),
        _ => None,
    }
}

/// Of `COPY` and `ADD`, the library reads all but those with white space before their names.
fn of_copy(start: usize, sources: &[Source<'_>], dest: &Range<usize>, text: &str, escape: char) -> Option<Found> {
    let ends = ends_of(text, start..dest.end, escape);
    if ends.len() == sources.iter().filter(|source| matches!(source, Source::HereDoc(_))).count() {
        return None;
    }
    let marks = text[start..dest.end].match_indices("<<").map(|(at, mark)| start + at..start + at + mark.len());
    Some(Found { start, marks: marks.collect(), body: line_after(text, dest.end), ends })
}

/// The start of the line after this byte.
fn line_after(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |end| at + end + 1)
}

/// The ends of the here-documents that these words begin.
fn ends_of(text: &str, span: Range<usize>, escape: char) -> Vec<End> {
    let line: String = joined(text, span, escape).into_iter().map(|(_, c)| c).collect();
    let words = split(&line, escape);
    let mut words = words.iter().map(String::as_str).peekable();
    let mut ends = Vec::new();
    while let Some(word) = words.next() {
        let is_mark = word.trim_start_matches(|c: char| c.is_ascii_digit()) == "<<";
        match (is_mark, words.peek()) {
            (false, _) => ends.extend(end_of(word, escape)),
            // What comes after is part of it, whatever it is.
            (true, Some(name)) => {
                ends.extend(end_named(name, escape).map(|end| End { spaced: true, ..end }));
                words.next();
            }
            (true, None) => {}
        }
    }
    ends
}

/// The here-document that a word begins: `<<EOF`, `<<-EOF`, `3<<"EOF"`.
fn end_of(word: &str, escape: char) -> Option<End> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (tabs, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    end_named(rest, escape).map(|end| End { tabs, ..end })
}

/// The end with this name, which may have quotes.
fn end_named(word: &str, escape: char) -> Option<End> {
    let name: String = word.chars().filter(|c| !matches!(c, '"' | '\'') && *c != escape).collect();
    (!word.contains('<') && !name.is_empty()).then_some(End { name, tabs: false, spaced: false })
}

/// The byte after the line that is this end.
fn end_below(text: &str, mut at: usize, end: &End) -> Option<usize> {
    while at < text.len() {
        let after = line_after(text, at);
        let line = text[at..after].trim_end_matches(['\r', '\n']);
        at = after;
        if end.name == if end.tabs { line.trim_start_matches('\t') } else { line } {
            return Some(after);
        }
    }
    None
}

/// Turns lines into comments.
fn hide(text: &mut String, lines: Range<usize>) {
    let mut at = lines.start;
    while at < lines.end {
        if let Some(first) = text[at..].chars().next().filter(|c| !matches!(c, '\r' | '\n')) {
            text.replace_range(at..at + first.len_utf8(), &"#".repeat(first.len_utf8()));
        }
        at = line_after(text, at);
    }
}
