//! The page of a rehearsal.

use std::collections::BTreeMap;
use std::time::Duration;

use super::outcome::{Outcome, RehearsedRelease};
use super::summary::{Quantiles, Summary};
use crate::name::{InstanceId, VersionId};
use crate::release::Event;
use crate::report::{Conclusion, Fact, Line, Mark, Page, Scale, Tone, count, label, lasting};
use crate::routing::Share;

impl Outcome {
    /// Draws the first release of this rehearsal, with the figures of all seeds.
    ///
    /// ```
    /// # use std::collections::BTreeMap;
    /// # use haddock_core::ServiceName;
    /// use haddock_core::rehearsal::{Rehearsal, Stay, Traffic};
    ///
    /// # fn main() -> haddock_core::Result<()> {
    /// let traffic = Traffic::steady(10.0, Stay::default())?;
    /// let rehearsal = Rehearsal::by_default(ServiceName::new("shop")?, traffic);
    /// let page = rehearsal.run(1)?.page("shop", &rehearsal.summary(1, 3)?);
    /// assert!(page.html().contains("until the full share"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn page(&self, service: &str, summary: &Summary) -> Page {
        let at = |seconds: f64| self.began + Duration::from_secs_f64(seconds.max(0.0));
        let mut page = Page::new(format!("{service}: rehearsal of a release"), self.began, at(self.lasted));
        page.scale = Scale::Since(self.began);
        page.subtitle = format!("a model, not a measurement; drawn with seed {}", self.seed);
        let Some(release) = self.releases.first() else { return page };
        page.conclusion = Some(conclude(release));
        page.facts = facts(summary);
        if let Some(version) = release.version {
            page.lines = self.lines(version);
            page.marks = self.marks(version);
        }
        page.notes.push(format!(
            "The charts show one way in which it may go. The figures are of {} seeds, from {} on: half of them had at most this, \
             and the note has the range from one in ten to nine in ten.",
            summary.seeds, summary.seed
        ));
        page
    }

    fn lines(&self, candidate: VersionId) -> Vec<Line> {
        let mut lines: BTreeMap<VersionId, Line> = BTreeMap::new();
        for sample in &self.samples {
            let at = self.began + Duration::from_secs_f64(sample.at);
            for (version, seen) in &sample.versions {
                let line = lines.entry(*version).or_insert_with(|| Line {
                    candidate: *version == candidate,
                    ..Line::new(format!("version {}", version.0))
                });
                line.shares.push((at, Share::nearest(seen.share)));
                line.live.push((at, Some(seen.live)));
            }
            // A version without instances has no sessions.
            for (_, line) in lines.iter_mut().filter(|(version, _)| !sample.versions.contains_key(version)) {
                line.shares.push((at, Share::ZERO));
                line.live.push((at, Some(0)));
            }
        }
        lines.into_values().collect()
    }

    fn marks(&self, version: VersionId) -> Vec<Mark> {
        let mut instances: BTreeMap<InstanceId, VersionId> = BTreeMap::new();
        let mut marks = Vec::new();
        for entry in &self.timeline {
            if let Event::InstanceStarting { instance, version, .. } = &entry.event {
                instances.insert(instance.clone(), *version);
            }
            if let Some((tone, label)) = label(&entry.event, version, |id| instances.get(id).copied()) {
                let at = self.began + Duration::from_secs_f64(entry.at.max(0.0));
                marks.push(Mark::new(at, tone, label, entry.message.clone()));
            }
        }
        marks
    }
}

fn conclude(release: &RehearsedRelease) -> Conclusion {
    let told = |tone, word: &str, text: String| Conclusion { tone, word: word.to_owned(), text };
    match (&release.aborted, release.to_settled) {
        (Some(why), _) if release.false_abort => {
            told(Tone::Bad, "given up", format!("although nothing was wrong with it: {why}"))
        }
        (Some(why), _) => told(Tone::Bad, "given up", why.clone()),
        (None, Some(after)) => {
            told(Tone::Good, "settled", format!("after {}", lasting(Duration::from_secs_f64(after))))
        }
        (None, None) => told(Tone::Neutral, "not over", "the rehearsal ended before the release did".to_owned()),
    }
}

fn facts(summary: &Summary) -> Vec<Fact> {
    let seconds = |value: f64| lasting(Duration::from_secs_f64(value.max(0.0)));
    let sessions = |value: f64| count(value.round() as u64);
    vec![
        fact("until the full share", summary.to_full_share, seconds),
        fact("until no older version was left", summary.to_gone, seconds),
        fact("sessions harmed", summary.sessions_harmed, sessions),
        Fact {
            note: format!("{} although nothing was wrong", Share::nearest(summary.false_aborts)),
            ..Fact::new("given up", format!("{} of the releases", Share::nearest(summary.aborted)))
        },
        Fact {
            note: format!("{} containers", summary.containers_at_once),
            ..Fact::new("at once at most", format!("{} versions", summary.versions_at_once))
        },
    ]
}

fn fact(label: &str, quantiles: Quantiles, write: impl Fn(f64) -> String) -> Fact {
    let write = |value: Option<f64>| value.map_or("never".to_owned(), &write);
    let (low, high) = (write(quantiles.p10), write(quantiles.p90));
    let note = if low == high { String::new() } else { format!("{low} to {high}") };
    Fact { note, ..Fact::new(label, write(quantiles.p50)) }
}
