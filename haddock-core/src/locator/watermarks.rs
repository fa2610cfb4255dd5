//! Which instances are gone for good, as one number for each journal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::name::{InstanceId, JournalId};
use crate::routing::Watermark;

/// For each journal that ever named instances of the service, the oldest instance that it may still name. It only
/// grows: a recovered journal may know less than its earlier tables said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::locator) struct Watermarks(BTreeMap<JournalId, u64>);

impl Watermarks {
    pub(in crate::locator) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(in crate::locator) fn raise(&mut self, watermark: Option<&Watermark>) {
        if let Some(Watermark { journal, oldest }) = watermark {
            let known = self.0.entry(journal.clone()).or_default();
            *known = (*known).max(*oldest);
        }
    }

    pub(in crate::locator) fn cover(&self, id: &InstanceId) -> bool {
        self.0.iter().any(|(journal, oldest)| id.number(journal).is_some_and(|number| number < *oldest))
    }
}
