//! Whether a difference between Haddock and Compose is meant.

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
