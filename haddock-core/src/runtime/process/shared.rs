//! What all clones of a runtime share.

use std::collections::BTreeMap;

use super::folder::Folder;
use super::health::Checks;
use super::own_events::OwnEvents;

pub(super) struct Shared {
    pub(super) folder: Folder,
    pub(super) name: String,
    pub(super) images: BTreeMap<String, Vec<String>>,
    pub(super) checks: Checks,
    pub(super) own_events: OwnEvents,
}
