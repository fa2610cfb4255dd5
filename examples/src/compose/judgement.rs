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
    ("has the alias of link", "one of the two components"),
    ("of Windows", "the volume: Compose takes its name for a drive"),
    ("is published twice", "the engine refuses it"),
    ("is not a port", "the engine refuses it"),
    ("is not a range of ports", "the engine refuses it"),
    (" is empty: ", "Compose takes the comment behind it for its value"),
    ("of type `bind` has no `source`", "the folder: Compose mounts the whole project"),
    ("something follows the closing quote", "what follows"),
    ("is a number or a boolean, where a text is expected", "Compose drops it without a word"),
    ("is not a number of processors", "the engine refuses it"),
    ("is not a whole number", "what stands behind the point"),
    ("home of somebody else", "whose home it is: Compose takes one's own"),
    ("the `test` is empty", "the check: an empty one always succeeds"),
    ("the wrong number of words", "the check: there is nothing to run"),
    ("is neither `ro` nor `rw`", "the option"),
    ("a device is empty", "the device"),
    ("names itself", "nothing would start"),
    ("wait for each other", "nothing would start"),
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
