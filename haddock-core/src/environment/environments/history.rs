//! What was done with environments, by name. It outlives them.

use serde::{Deserialize, Serialize};

use super::Environments;
use super::record::Record;
use crate::environment::plan::{Change, Plan};
use crate::error::{Error, Result};
use crate::name::EnvironmentName;
use crate::time::Timestamp;

/// How many events of one name are kept.
const MAX_EVENTS: usize = 200;

/// What was done with an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EnvironmentAction {
    /// It was brought up, or changed by another `up`.
    Up,
    /// A link of it was switched.
    Link,
    /// It was stopped, because nobody used it.
    Stop,
    /// It was removed.
    Down,
}

/// Something that was done with an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentEvent {
    /// When it ended.
    pub at: Timestamp,
    /// What.
    #[serde(alias = "deed")]
    pub action: EnvironmentAction,
    /// By whom.
    pub by: String,
    /// From which VCS commit it was, with `-dirty` if there were changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// From which compose file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The digest of its specification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<String>,
    /// What changed, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

impl Environments {
    /// What was done with environments of that name, oldest first: the last 200, whether or not there is one now.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) if it cannot be read.
    pub fn history(&self, name: &EnvironmentName) -> Result<Vec<EnvironmentEvent>> {
        let text = self.specs.note(&note(name))?;
        // A history that cannot be read begins anew.
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default())
    }

    /// Records what was done. If it cannot be recorded, the action itself does not fail.
    pub(super) fn tell(
        &self,
        name: &EnvironmentName,
        action: EnvironmentAction,
        record: Option<&Record>,
        changes: Vec<String>,
        error: Option<&Error>,
    ) {
        let by =
            record.filter(|_| action == EnvironmentAction::Up).map(|record| &record.by).filter(|by| !by.is_empty());
        let event = EnvironmentEvent {
            at: self.now(),
            action,
            by: by.unwrap_or(&self.holder).clone(),
            commit: record.and_then(|record| record.commit.clone()),
            file: record.and_then(|record| record.file.clone()),
            spec: record.map(|record| record.spec.clone()).filter(|spec| !spec.is_empty()),
            changes,
            error: error.cloned(),
        };
        let told = self.history(name).and_then(|mut all| {
            all.push(event);
            all.drain(..all.len().saturating_sub(MAX_EVENTS));
            self.specs.put_note(&note(name), serde_json::to_vec(&all).expect("plain data can be written as JSON"))
        });
        if let Err(error) = told {
            tracing::warn!(environment = %name, %error, "the history has a gap");
        }
    }
}

/// A line for each component that does not stay as it is.
pub(super) fn lines(plan: &Plan) -> Vec<String> {
    let changed = plan.0.iter().filter(|planned| planned.change != Change::Keep);
    changed.map(|planned| format!("{} {}: {}", planned.change, planned.component, planned.cause)).collect()
}

fn note(name: &EnvironmentName) -> String {
    format!("{name}.history")
}
