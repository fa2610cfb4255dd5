//! How much of an image has moved from or to a registry.

use std::collections::BTreeMap;

use bollard::models::ProgressDetail;

/// How many bytes of an image pass between two reports of its transfer.
const PROGRESS_BYTES: u64 = 512 * 1024;

/// The layers that move.
#[derive(Default)]
pub(super) struct Transfer {
    /// For each layer: the bytes that have moved, and its total.
    layers: BTreeMap<String, (u64, u64)>,
    told: u64,
}

impl Transfer {
    /// Takes what the engine says of a layer. Returns how much has moved, and of how much, if that is worth a report.
    pub(super) fn take(
        &mut self,
        layer: Option<&str>,
        status: Option<&str>,
        detail: Option<&ProgressDetail>,
    ) -> Option<(u64, u64)> {
        let bytes = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
        match (status?, detail.and_then(|it| Some((bytes(it.current)?, bytes(it.total)?)))) {
            // Bollard drops the ids of layers that are pushed. Layers of the same size then count as one.
            ("Pushing", Some((done, total))) => {
                self.layers.insert(total.to_string(), (done.min(total), total));
            }
            ("Downloading", Some(now)) => drop(self.layers.insert(layer?.to_owned(), now)),
            ("Download complete" | "Verifying Checksum", _) => {
                let known = self.layers.get_mut(layer?)?;
                known.0 = known.1;
            }
            _ => return None,
        }
        let (done, total) = self.layers.values().fold((0, 0), |(done, total), it| (done + it.0, total + it.1));
        // Engines report it a hundred times a second.
        let worth = done >= self.told + PROGRESS_BYTES || done == total;
        worth.then(|| {
            self.told = done;
            (done, total)
        })
    }
}
