//! Whether a difference between Haddock and Compose is meant.

use haddock_core::Error;
use serde::Serialize;

/// What is thought of a refusal, or of a minimal file's note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Haddock should do as Compose does.
    Follow,
    /// Haddock should go on to refuse it: something would be lost without a word.
    Keep,
    /// Both read it differently on purpose, or only the form differs.
    Apart,
    /// Compose refuses it, and so should Haddock.
    Refuse,
}

/// What refusals that are meant begin with or hold, and what would be lost.
const KEPT: &[(&str, &str)] = &[
    ("outside of quotes, and no shell runs it", "the rest of the command"),
    ("the image needs ", "the tag or name of the image"),
    ("image reference ", "the engine refuses it"),
    ("the file has no `services`", "there is nothing to run"),
    ("`services` has no components", "there is nothing to run"),
    ("there is no component to run", "there is nothing to run"),
    ("its `name` is empty", "another volume or network would be taken"),
    ("is not an absolute path", "the engine refuses it"),
    ("is in two included files", "one of the two declarations"),
    ("variable's name", "the engine refuses it"),
];

/// Why a refusal is meant; `None` if it is not.
#[must_use]
pub fn of_refusal(error: &Error) -> Option<&'static str> {
    KEPT.iter().find(|(part, _)| error.message().contains(part)).map(|(_, lost)| *lost)
}

/// What the note beside a minimal file says.
#[must_use]
pub fn of_note(note: &str) -> Option<Judgement> {
    let said = note.lines().find_map(|line| line.strip_prefix("Judgement:"))?.trim_start();
    let word = said.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    match word {
        "FOLLOW" => Some(Judgement::Follow),
        "KEEP" => Some(Judgement::Keep),
        "DELIBERATE" | "HARMLESS" => Some(Judgement::Apart),
        "LENIENT" => Some(Judgement::Refuse),
        _ => None,
    }
}
