//! Tags of images, made from branch and commit.

use std::fmt;
use std::str::FromStr;

use super::grammar::{LONGEST_TAG, check_tag, is_of_tag};
use crate::error::{Error, ErrorKind, Result};
use crate::name::short_hash;
use crate::time::Timestamp;

/// How many digits of the commit are in a tag, as in `git log --oneline`.
const SHORT_COMMIT: usize = 7;
/// The end of the tag of a tree that differs from its commit.
const DIRTY: &str = "-dirty";

/// What an image is built from: a commit, on a branch.
///
/// ```
/// use haddock_core::image::Revision;
///
/// let branch = Some("feature/Login Page".into());
/// let revision = Revision { branch, commit: "3f2a1bc94d0e".into(), ..Revision::default() };
/// assert_eq!(revision.tag()?, "feature-login-page-3f2a1bc");
/// # Ok::<(), haddock_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Revision {
    /// The branch; `None` if no branch is checked out.
    pub branch: Option<String>,
    /// The commit's id, in hexadecimal digits: at least seven.
    pub commit: String,
    /// Whether files that git knows differ from the commit.
    pub dirty: bool,
    /// Where the commit can be found, such as `https://host/shop.git`: without user and password.
    pub source: Option<String>,
    /// When the commit was made.
    pub committed: Option<Timestamp>,
}

impl Revision {
    /// The tag of its images: the branch and the first seven digits of the commit. See [`TagTemplate`].
    ///
    /// # Errors
    /// [`InvalidValue`](ErrorKind::InvalidValue) if the commit is no commit.
    pub fn tag(&self) -> Result<String> {
        TagTemplate::default().tag(self)
    }
}

/// What a tag is made of: text, and the places of `{branch}`, `{hash}` (the first seven digits of the commit) and
/// `{commit}` (all of them). The default is `{branch}-{hash}`.
///
/// A tag is valid by the grammar of the OCI distribution specification, and the same on every machine. In a branch's
/// name, letters become small, and `/` and spaces become `-`. If it has other characters that a tag cannot have, or is
/// too long, then a short hash of its name comes after what is left of it. So two such branches have two tags. Without a
/// branch, `{branch}` and one separator after it are left out. The tag of a tree that differs from its commit ends in
/// `-dirty`.
///
/// ```
/// use haddock_core::image::{Revision, TagTemplate};
///
/// let template: TagTemplate = "ci-{hash}".parse()?;
/// let revision = Revision { commit: "3f2a1bc94d0e".into(), dirty: true, ..Revision::default() };
/// assert_eq!(template.tag(&revision)?, "ci-3f2a1bc-dirty");
/// # Ok::<(), haddock_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagTemplate(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Branch,
    Hash,
    Commit,
}

impl Default for TagTemplate {
    fn default() -> Self {
        Self(vec![Part::Branch, Part::Text("-".to_owned()), Part::Hash])
    }
}

impl TagTemplate {
    /// The tag of this revision.
    ///
    /// # Errors
    /// [`InvalidValue`](ErrorKind::InvalidValue) if the commit is no commit, if nothing is left of the tag without a
    /// branch, or if the tag is too long even without one.
    pub fn tag(&self, revision: &Revision) -> Result<String> {
        let commit = &checked_commit(&revision.commit)?;
        let places = self.0.iter().filter(|part| **part == Part::Branch).count();
        let around = self.filled(commit, "x", revision.dirty).len() - places;
        let room = LONGEST_TAG.checked_sub(around).ok_or_else(|| {
            let message = format!("the template `{self}` makes a tag of more than {LONGEST_TAG} characters");
            invalid(message, "shorten its text")
        })?;
        let branch = revision.branch.as_deref().unwrap_or_default();
        let tag = self.filled(commit, &spelled(branch, room / places.max(1)), revision.dirty);
        match check_tag(&tag) {
            Ok(()) => Ok(tag),
            Err(_) => {
                let message = format!("the template `{self}` makes the tag `{tag}`, which is not valid");
                Err(invalid(message, "let it begin with a letter, a digit or `_`, also without a branch"))
            }
        }
    }

    fn filled(&self, commit: &str, branch: &str, dirty: bool) -> String {
        let mut tag = String::new();
        let mut was_left_out = false;
        for part in &self.0 {
            match part {
                Part::Text(text) if was_left_out => tag.push_str(text.strip_prefix(['-', '_', '.']).unwrap_or(text)),
                Part::Text(text) => tag.push_str(text),
                Part::Branch => tag.push_str(branch),
                Part::Hash => tag.push_str(&commit[..SHORT_COMMIT]),
                Part::Commit => tag.push_str(commit),
            }
            was_left_out = *part == Part::Branch && branch.is_empty();
        }
        if dirty { tag + DIRTY } else { tag }
    }
}

fn checked_commit(commit: &str) -> Result<String> {
    if commit.len() < SHORT_COMMIT || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let message = format!("commit `{commit}` is not an id of at least {SHORT_COMMIT} hexadecimal digits");
        return Err(invalid(message, "name it as `git rev-parse HEAD` does"));
    }
    Ok(commit.to_ascii_lowercase())
}

/// The branch as a tag can have it, in at most so many characters.
fn spelled(branch: &str, room: usize) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        '/' | ' ' => '-',
        c if is_of_tag(c) => c,
        _ => '-',
    };
    let whole: String = branch.chars().map(plain).collect();
    let is_plain = branch.chars().all(|c| is_of_tag(c) || matches!(c, '/' | ' '));
    let begins_well = !whole.starts_with(['.', '-']);
    if is_plain && begins_well && whole.len() <= room {
        return whole;
    }
    let hash = short_hash(branch);
    let left = whole.trim_start_matches(['.', '-']);
    let left = &left[..left.len().min(room.saturating_sub(hash.len() + 1))];
    match left.trim_end_matches(['.', '-']) {
        "" => hash,
        left => format!("{left}-{hash}"),
    }
}

fn invalid(message: String, hint: &str) -> Error {
    Error::new(ErrorKind::InvalidValue, message).with_hint(hint)
}

impl FromStr for TagTemplate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (before, place) = match rest.split_once('{') {
                Some((before, place)) => (before, Some(place)),
                None => (rest, None),
            };
            if let Some(bad) = before.chars().find(|c| !is_of_tag(*c)) {
                let message = format!("the template `{text}` contains `{bad}`, which no tag can have");
                return Err(invalid(message, "use letters, digits, `-`, `_` and `.` beside the places"));
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let Some(place) = place else { break };
            let Some((name, after)) = place.split_once('}') else {
                return Err(invalid(format!("the template `{text}` lacks a `}}`"), "write `{branch}-{hash}`"));
            };
            parts.push(match name {
                "branch" => Part::Branch,
                "hash" => Part::Hash,
                "commit" => Part::Commit,
                other => {
                    let message = format!("the template `{text}` names `{other}`, which is not known");
                    return Err(invalid(message, "the names are `branch`, `hash` and `commit`"));
                }
            });
            rest = after;
        }
        match parts.iter().any(|part| matches!(part, Part::Hash | Part::Commit)) {
            true => Ok(Self(parts)),
            false => {
                let message = format!("the template `{text}` names no commit, so each would replace the one before");
                Err(invalid(message, "add `{hash}` or `{commit}`"))
            }
        }
    }
}

impl fmt::Display for TagTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Branch => f.write_str("{branch}"),
            Part::Hash => f.write_str("{hash}"),
            Part::Commit => f.write_str("{commit}"),
        })
    }
}

#[cfg(test)]
#[path = "tag_tests.rs"]
mod tests;
