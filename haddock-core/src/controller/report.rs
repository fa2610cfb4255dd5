//! The page of a release: gathered from the journal and the locators.

use std::collections::BTreeMap;

use super::service::Service;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::Checkpoint;
use crate::name::LocatorName;
use crate::release::RecordedEvent;
use crate::report::Page;
use crate::report::release::{Period, Records, Releases, page};
use crate::routing::TrafficRecord;
use crate::time::Timestamp;

/// How many events are read at a time.
const HISTORY_PAGE: usize = 1024;

impl Service {
    /// A release as a page for people, from the history and the locators' record of traffic: of the version with this
    /// number, or of the newest release with this tag or commit; `None`: the newest release. A release that goes on is shown
    /// until now. What a locator did not record is not drawn, and the page says so.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such release, with those that there are; the journal's.
    pub async fn report(&self, which: Option<&str>) -> Result<Page> {
        let journal = &self.ports.journal;
        let mut releases = Releases::default();
        self.read(journal.checkpoint(&self.name, 0).await?.sequence, |recorded| {
            releases.take(recorded);
            true
        })
        .await?;
        let begun = match releases.choose(&self.name, which) {
            Ok(begun) => begun,
            Err(error) => return Err(self.or_unknown(error).await?),
        };
        let Checkpoint { sequence, mut story } = journal.checkpoint(&self.name, begun.sequence - 1).await?;
        self.read(sequence, |recorded| {
            let is_earlier = recorded.sequence < begun.sequence;
            if is_earlier {
                story.tell(recorded);
            }
            is_earlier
        })
        .await?;
        let mut period = Period::begin(begun, story);
        self.read(begun.sequence - 1, |recorded| period.take(recorded)).await?;
        period.end(self.ports.clock.now());
        let records = self.traffic(period.from, period.until).await;
        Ok(page(&self.name, begun, &period, &records))
    }

    /// What each locator recorded of the service's sessions in this time, by minute. The error says why one cannot tell.
    pub async fn traffic(&self, from: Timestamp, until: Timestamp) -> BTreeMap<LocatorName, Result<TrafficRecord>> {
        let mut records = Records::new();
        for (name, locator) in &self.ports.locators {
            records.insert(name.clone(), locator.traffic(&self.name, from, until).await);
        }
        records
    }

    /// Reads the history after this event, as long as more is wanted.
    async fn read(&self, mut after: u64, mut more: impl FnMut(&RecordedEvent) -> bool) -> Result<()> {
        loop {
            let page = self.ports.journal.history(&self.name, after, HISTORY_PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.sequence;
            if !page.iter().all(&mut more) {
                return Ok(());
            }
        }
    }

    /// The error, unless the journal has never heard of the service.
    async fn or_unknown(&self, error: Error) -> Result<Error> {
        if self.ports.journal.newest(&self.name).await? > 0 {
            return Ok(error);
        }
        let known = self.ports.journal.services().await?;
        let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        let hint = match known.as_slice() {
            [] => "the journal has no service: is it the right state directory?".to_owned(),
            known => format!("there are {}", known.join(", ")),
        };
        Ok(Error::new(ErrorKind::NotFound, format!("there is no service `{}`", self.name)).with_hint(hint))
    }
}
