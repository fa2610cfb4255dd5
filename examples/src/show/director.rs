//! Keeps an eye on the load and on the service's history while the course goes on.

use std::io::{self, Write as _};
use std::time::Duration;

use haddock_core::{Clock, SystemClock, Timestamp};

use super::house::House;
use super::load::Load;
use super::story::Story;
use super::timeline::Timeline;
use crate::client::{Report, Summary};

/// Longer than anything is watched.
const LONG: Duration = Duration::from_secs(3600);
/// How often load and history are looked at.
const EVERY: Duration = Duration::from_millis(50);

/// The eye on the whole.
#[derive(Debug)]
pub struct Director {
    clock: SystemClock,
    started: Timestamp,
    load: Option<Load>,
    report: Report,
    story: Story,
    timeline: Timeline,
}

impl Director {
    /// One whose time begins now.
    #[must_use]
    pub fn new(clock: SystemClock) -> Self {
        let started = clock.now();
        let (report, story, timeline) = Default::default();
        Self { clock, started, load: None, report, story, timeline }
    }

    /// How long it has looked, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.clock.now().since(self.started).as_secs_f64()
    }

    /// From now on this load is looked at.
    pub fn attach(&mut self, load: Load) {
        self.load = Some(load);
    }

    /// The newest report of the load.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The service's history so far.
    #[must_use]
    pub fn story(&self) -> &Story {
        &self.story
    }

    /// The record so far.
    #[must_use]
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Looks until the condition holds.
    ///
    /// # Errors
    /// When it does not within `limit`, or the history cannot be read.
    pub async fn until(
        &mut self,
        house: &House,
        what: &str,
        limit: Duration,
        mut is_so: impl FnMut(&Story, &Report) -> bool,
    ) -> io::Result<()> {
        let begin = self.clock.now();
        let mut interval = tokio::time::interval(EVERY);
        loop {
            self.look(house).await?;
            if is_so(&self.story, &self.report) {
                return Ok(());
            }
            if self.clock.now().since(begin) > limit {
                return Err(io::Error::other(format!("not within {} s: {what}", limit.as_secs())));
            }
            interval.tick().await;
        }
    }

    /// Looks for that long.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn watch(&mut self, house: &House, length: Duration) -> io::Result<()> {
        let (clock, begin) = (self.clock.clone(), self.clock.now());
        self.until(house, "time passes", LONG, |_, _| clock.now().since(begin) >= length).await
    }

    /// Tells the sessions on a version to leave, spread over that time.
    ///
    /// # Errors
    /// When the client has ended.
    pub async fn leave(&mut self, version: &str, over: Duration) -> io::Result<()> {
        self.say(&format!("the sessions on {version} begin to leave"));
        match &mut self.load {
            Some(load) => load.leave(version, over).await,
            None => Ok(()),
        }
    }

    /// Lets the load end; answers with what happened.
    ///
    /// # Errors
    /// When there is no load, or it ended without having told.
    pub async fn stop(&mut self) -> io::Result<Summary> {
        match self.load.take() {
            Some(load) => load.stop().await,
            None => Err(io::Error::other("there is no load")),
        }
    }

    /// Writes a line, and notes it in the timeline.
    pub fn say(&mut self, text: &str) {
        let t = self.seconds();
        self.timeline.note(t, text);
        let sessions: Vec<_> =
            self.report.sessions_by_version.iter().map(|(version, n)| format!("{version}: {n}")).collect();
        let sessions = if sessions.is_empty() { String::new() } else { format!("  ({})", sessions.join(", ")) };
        let _ = writeln!(io::stdout().lock(), "{t:6.1} s  {text}{sessions}");
    }

    async fn look(&mut self, house: &House) -> io::Result<()> {
        if let Some(load) = &self.load {
            let report = load.report();
            if report.t > self.report.t {
                self.timeline.report(self.seconds(), &report);
                self.report = report;
            }
        }
        for recorded in house.site().history(self.story.last()).await? {
            if let Some(line) = self.story.tell(&recorded) {
                self.say(&line);
            }
        }
        Ok(())
    }
}
