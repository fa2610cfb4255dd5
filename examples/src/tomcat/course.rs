//! The course: release after release under load, until only the last version is left.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use haddock_core::{Clock as _, Timestamp, VersionId};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::arguments::Arguments;
use super::buyer::{Habits, come_and_go};
use super::house::{House, version};
use super::outcome::{OldVersion, Outcome, seconds_from};
use super::receipts::{Receipts, Visits};
use crate::client::{Report, pause};
use crate::show::{self, AtSwitch, Story, Timeline};

/// Nothing of a run takes longer, but stages and drains. Several Tomcats that start on a busy machine do take a while.
const LIMIT: Duration = Duration::from_secs(120);
/// How often receipts and history are looked at.
const EVERY: Duration = Duration::from_millis(50);

/// Plays the course in the house, and judges it. Also answers with the record of all of it.
///
/// # Errors
/// When something other than what is judged fails, such as the engine.
pub async fn perform(house: &House, arguments: &Arguments) -> io::Result<(Outcome, Timeline)> {
    let receipts = Receipts::new(house.clock().clone(), arguments.idle());
    let mut eye = Eye::new(house, Arc::clone(&receipts));
    eye.say(&format!("{house}: version 1 comes up"));
    house.release(1).await?;
    eye.until("version 1 settles", LIMIT, |story, _| has_ended(story, 1)).await?;

    let (stop, stopping) = watch::channel(false);
    let habits = Arc::new(Habits {
        addresses: house.addresses().to_vec(),
        idle: arguments.idle(),
        all_log_out: version(arguments.releases),
        receipts: Arc::clone(&receipts),
    });
    let mut buyers = JoinSet::new();
    for _ in 0..arguments.clients {
        // Otherwise all would move in step.
        let begin_after = arguments.idle().mul_f64(rand::random_range(0.0..0.5));
        buyers.spawn(come_and_go(Arc::clone(&habits), stopping.clone(), begin_after));
    }
    // Between two sessions of a client is a moment in which it has none.
    let most = u64::from(arguments.clients) * 8 / 10;
    eye.until("the load is complete", LIMIT, |_, report| report.sessions >= most).await?;

    let pace = LIMIT + 4 * Duration::from_secs(arguments.every);
    let (mut at_switch, mut disturbed) = (Vec::new(), Vec::new());
    for number in 2..=arguments.last() {
        let id = u64::from(number);
        house.release(number).await?;
        let what = format!("version {number} is given new sessions");
        eye.until(&what, pace, |story, _| story.has_served(VersionId(id)) || has_ended(story, id)).await?;
        at_switch.push(AtSwitch::from(&receipts.report()));
        if arguments.disturb
            && let Some(done) = house.front().disturb(number - 1, &receipts).await?
        {
            eye.say(&done);
            disturbed.push(done);
        }
        eye.until(&format!("version {number} settles"), pace, |story, _| has_ended(story, id)).await?;
    }
    let last = VersionId(u64::from(arguments.last()));
    let limit = LIMIT + 3 * arguments.idle();
    eye.until("only the last version is left", limit, |story, _| story.is_alone(last)).await?;
    // The last one carries the whole load for a moment: a mistake at the very end would show.
    let until = house.clock().now();
    eye.until("time passes", LIMIT, |_, _| house.clock().now().since(until) >= Duration::from_secs(1)).await?;
    let instances_left = house.site().instances().await?;
    let old_versions: Vec<_> = (1..arguments.last()).map(|number| eye.old(number)).collect();

    eye.say("all leave");
    let _ = stop.send(true);
    while let Some(ended) = buyers.join_next().await {
        ended.map_err(io::Error::other)?;
    }
    let of_last = receipts.visits(&version(arguments.last()));
    let seen = show::Outcome {
        versions_released: eye.story.releases(),
        instances_left,
        max_versions_at_once: eye.timeline.most_at_once(),
        drain_seconds: eye.story.drain_seconds(),
        at_switch,
        seconds: receipts.seconds(),
        ..show::Outcome::default()
    };
    let through = clap::ValueEnum::to_possible_value(&arguments.through);
    let outcome = Outcome {
        through: through.map_or_else(String::new, |through| through.get_name().to_owned()),
        seen: seen.with_summary(receipts.summary()),
        disturbed,
        cut: receipts.cut(),
        logged_out: of_last.logged_out + old_versions.iter().map(|old| old.logged_out).sum::<u64>(),
        went_away: of_last.went_away + old_versions.iter().map(|old| old.went_away).sum::<u64>(),
        old_versions,
    };
    Ok((outcome.judged(arguments), eye.timeline))
}

fn has_ended(story: &Story, version: u64) -> bool {
    story.has_settled(VersionId(version)) || story.aborted(VersionId(version)).is_some()
}

/// Keeps an eye on the buyers and on the service's history.
struct Eye<'h> {
    house: &'h House,
    receipts: Arc<Receipts>,
    story: Story,
    timeline: Timeline,
}

impl<'h> Eye<'h> {
    fn new(house: &'h House, receipts: Arc<Receipts>) -> Self {
        Self { house, receipts, story: Story::default(), timeline: Timeline::default() }
    }

    /// Looks until the condition holds.
    async fn until(
        &mut self,
        what: &str,
        limit: Duration,
        mut is_so: impl FnMut(&Story, &Report) -> bool,
    ) -> io::Result<()> {
        let begin: Timestamp = self.house.clock().now();
        loop {
            let report = self.receipts.report();
            self.timeline.report(report.t, &report);
            for recorded in self.house.site().history(self.story.last()).await? {
                if let Some(line) = self.story.tell(&recorded) {
                    self.say(&line);
                }
            }
            if is_so(&self.story, &report) {
                return Ok(());
            }
            if self.house.clock().now().since(begin) > limit {
                return Err(io::Error::other(format!("not within {} s: {what}", limit.as_secs())));
            }
            pause(EVERY).await;
        }
    }

    /// What became of a version that was replaced.
    fn old(&self, number: u32) -> OldVersion {
        let visits = self.receipts.visits(&version(number));
        let gone = self.story.gone_at(VersionId(u64::from(number)));
        let left = self.receipts.report().sessions_by_version.get(&version(number)).copied().unwrap_or(0);
        let removed_after_last_session = match (visits.last_end, gone) {
            (Some(end), Some(gone)) if left == 0 => Some(seconds_from(end, gone)),
            _ => None,
        };
        let Visits { logged_out, went_away, cut, .. } = visits;
        OldVersion { version: version(number), logged_out, went_away, cut, removed_after_last_session }
    }

    /// Writes a line, and notes it in the timeline.
    fn say(&mut self, text: &str) {
        let report = self.receipts.report();
        self.timeline.note(report.t, text);
        let sessions: Vec<_> =
            report.sessions_by_version.iter().map(|(version, n)| format!("{version}: {n}")).collect();
        let sessions = if sessions.is_empty() { String::new() } else { format!("  ({})", sessions.join(", ")) };
        let _ = writeln!(io::stdout().lock(), "{:6.1} s  {text}{sessions}", report.t);
    }
}
