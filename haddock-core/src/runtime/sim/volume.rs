//! Volumes as data.

use std::collections::BTreeMap;

use crate::container::Volume;

/// A volume, with what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimVolume {
    /// Its name and labels.
    pub volume: Volume,
    /// Whether it was made for a container that asked for no name.
    pub anonymous: bool,
    /// What is in it, by path within it.
    pub files: BTreeMap<String, String>,
}

/// Where a container has a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// The path inside.
    pub target: String,
    /// The volume's name.
    pub volume: String,
    /// Whether the container asked for no name. Such a volume is removed with the container, if its removal says so.
    pub anonymous: bool,
}
