//! What happened, counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::now;

/// How many failures keep their text; all are counted.
const KEPT: usize = 20;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A request, or a message on a WebSocket, did not get its right answer, or was counted more than once.
    Failed,
    /// A session came to an end although its client kept it alive.
    Lost,
    /// A session was answered by another version or instance than before.
    Moved,
}

/// One thing that went wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// When, in seconds since the start.
    pub t: f64,
    /// Which of the client's sessions, from 1.
    pub session: u64,
    /// What.
    pub kind: Kind,
    /// The same for a person to read.
    pub what: String,
}

/// The load at one moment, and the counts up to it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Report {
    /// When, in seconds since the start.
    pub t: f64,
    /// Sessions that have had an answer and have not left.
    pub sessions: u64,
    /// The same by the version they are on.
    pub sessions_by_version: BTreeMap<String, u64>,
    /// Requests sent and not answered to the end, by version; those of a session that has had no answer under `new`.
    pub in_flight: BTreeMap<String, u64>,
    /// Open WebSockets, by version.
    pub websockets: BTreeMap<String, u64>,
    /// Sessions that began since the start, by the version they began on.
    pub begun_by_version: BTreeMap<String, u64>,
    /// Requests and WebSocket messages since the start.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Sessions with at least one that failed.
    #[serde(default)]
    pub failed_sessions: u64,
    /// Sessions that were lost.
    pub lost: u64,
    /// Times that a session found itself on another version or instance.
    pub moved: u64,
    /// Sessions that were forgotten because the client itself was held up for longer than they may be idle.
    pub lapsed: u64,
}

/// All of it, at the end.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Sessions that were begun, with or without success.
    pub sessions: u64,
    /// Requests and WebSocket messages.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Sessions with at least one that failed.
    #[serde(default)]
    pub failed_sessions: u64,
    /// Sessions that were lost.
    pub lost: u64,
    /// Times that a session found itself on another version or instance.
    pub moved: u64,
    /// Sessions that were forgotten because the client itself was held up for longer than they may be idle.
    pub lapsed: u64,
    /// Sessions by the version they began on.
    pub begun_by_version: BTreeMap<String, u64>,
    /// Median time to the end of the answer of requests that were not slow on purpose, in milliseconds.
    pub p50_ms: f64,
    /// The same, 99th percentile.
    pub p99_ms: f64,
    /// The same, longest.
    pub max_ms: f64,
    /// The first failures with their texts.
    pub failures: Vec<Failure>,
}

impl Summary {
    /// Whether nothing failed, was lost or moved, and there was a load at all.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.requests > 0 && (self.failed, self.lost, self.moved, self.lapsed) == (0, 0, 0, 0)
    }
}

/// Which of the figures by version.
#[derive(Debug, Clone, Copy)]
pub(super) enum Figure {
    Sessions,
    InFlight,
    WebSockets,
}

#[derive(Debug)]
pub(super) struct Books {
    started: Instant,
    pages: Mutex<Pages>,
}

#[derive(Debug)]
struct Pages {
    report: Report,
    begun: u64,
    latency: Histogram<u64>,
    failures: Vec<Failure>,
}

impl Books {
    pub(super) fn new() -> Arc<Self> {
        // Three digits of up to a minute, in microseconds.
        let latency = Histogram::new_with_max(60_000_000, 3).expect("the bounds are constant and valid");
        let pages = Pages { report: Report::default(), begun: 0, latency, failures: Vec::new() };
        Arc::new(Self { started: now(), pages: Mutex::new(pages) })
    }

    /// Gives a new session its number.
    pub(super) fn begin(&self) -> u64 {
        let mut pages = self.pages();
        pages.begun += 1;
        pages.begun
    }

    /// A session has had its first answer, from this version.
    pub(super) fn begun_on(&self, version: &str) {
        *self.pages().report.begun_by_version.entry(version.into()).or_default() += 1;
    }

    pub(super) fn request(&self) {
        self.pages().report.requests += 1;
    }

    /// How long a request took that was not slow on purpose.
    pub(super) fn took(&self, duration: Duration) {
        self.pages().latency.saturating_record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn lapsed(&self) {
        self.pages().report.lapsed += 1;
    }

    /// A session has had its first failed request.
    pub(super) fn failed_session(&self) {
        self.pages().report.failed_sessions += 1;
    }

    pub(super) fn wrong(&self, kind: Kind, session: u64, what: impl Into<String>) {
        let t = self.t();
        let mut pages = self.pages();
        match kind {
            Kind::Failed => pages.report.failed += 1,
            Kind::Lost => pages.report.lost += 1,
            Kind::Moved => pages.report.moved += 1,
        }
        if pages.failures.len() < KEPT {
            pages.failures.push(Failure { t, session, kind, what: what.into() });
        }
    }

    /// Counts one in that figure until the tally is dropped.
    pub(super) fn tally(self: &Arc<Self>, figure: Figure, version: Option<&str>) -> Tally {
        let version = version.unwrap_or("new").to_owned();
        *self.pages().report.figure(figure).entry(version.clone()).or_default() += 1;
        Tally { books: Arc::clone(self), figure, version }
    }

    pub(super) fn report(&self) -> Report {
        let t = self.t();
        let mut report = self.pages().report.clone();
        report.t = t;
        report.sessions = report.sessions_by_version.values().sum();
        report
    }

    pub(super) fn summary(&self) -> Summary {
        let seconds = self.t();
        let pages = self.pages();
        let report = &pages.report;
        #[allow(clippy::cast_precision_loss, reason = "microseconds of at most a minute")]
        let ms = |quantile| pages.latency.value_at_quantile(quantile) as f64 / 1000.0;
        Summary {
            seconds,
            sessions: pages.begun,
            requests: report.requests,
            failed: report.failed,
            failed_sessions: report.failed_sessions,
            lost: report.lost,
            moved: report.moved,
            lapsed: report.lapsed,
            begun_by_version: report.begun_by_version.clone(),
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            max_ms: ms(1.0),
            failures: pages.failures.clone(),
        }
    }

    fn t(&self) -> f64 {
        (now() - self.started).as_secs_f64()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    fn figure(&mut self, figure: Figure) -> &mut BTreeMap<String, u64> {
        match figure {
            Figure::Sessions => &mut self.sessions_by_version,
            Figure::InFlight => &mut self.in_flight,
            Figure::WebSockets => &mut self.websockets,
        }
    }
}

/// One more in a figure, for as long as it lives.
#[derive(Debug)]
pub(super) struct Tally {
    books: Arc<Books>,
    figure: Figure,
    version: String,
}

impl Drop for Tally {
    fn drop(&mut self) {
        let mut pages = self.books.pages();
        let figure = pages.report.figure(self.figure);
        if let Some(count) = figure.get_mut(&self.version) {
            *count -= 1;
            if *count == 0 {
                figure.remove(&self.version);
            }
        }
    }
}
