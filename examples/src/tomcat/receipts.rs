//! What happened to the buyers, counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use haddock_core::{Clock as _, SystemClock, Timestamp};
use hdrhistogram::Histogram;

use crate::client::{Failure, Kind, Report, Summary};

/// How many failures keep their text; all are counted.
const KEPT: usize = 20;

/// How a buyer's session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Farewell {
    /// By a log-out.
    LogOut,
    /// The buyer went away. The session expires.
    Away,
    /// The buyer had a request in flight on what was killed, and went away. The session expires, unless that was the log-out.
    Cut,
}

/// What is known of a version's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Visits {
    pub(super) logged_out: u64,
    pub(super) went_away: u64,
    pub(super) cut: u64,
    /// When the last session ended, at the earliest.
    pub(super) last_end: Option<Timestamp>,
}

/// The counts of all buyers.
#[derive(Debug)]
pub(super) struct Receipts {
    clock: SystemClock,
    started: Timestamp,
    idle: Duration,
    pages: Mutex<Pages>,
}

#[derive(Debug)]
struct Pages {
    report: Report,
    begun: u64,
    visits: BTreeMap<String, Visits>,
    latency: Histogram<u64>,
    failures: Vec<Failure>,
    /// From just before something in front was killed until it was gone. `None`: it is being killed.
    kills: Vec<(Timestamp, Option<Timestamp>)>,
    /// Requests that were in flight on it.
    cut: u64,
}

impl Receipts {
    pub(super) fn new(clock: SystemClock, idle: Duration) -> Arc<Self> {
        // Three digits of up to a minute, in microseconds.
        let latency = Histogram::new_with_max(60_000_000, 3).expect("the bounds are constant and valid");
        let (report, visits, failures, kills) = Default::default();
        let started = clock.now();
        let pages = Mutex::new(Pages { report, begun: 0, visits, latency, failures, kills, cut: 0 });
        Arc::new(Self { clock, started, idle, pages })
    }

    /// Gives a new session its number, from 1.
    pub(super) fn begin(&self) -> u64 {
        let mut pages = self.pages();
        pages.begun += 1;
        pages.begun
    }

    /// A session has had its first answer.
    pub(super) fn begun_on(&self, version: &str) {
        let report = &mut self.pages().report;
        *report.begun_by_version.entry(version.into()).or_default() += 1;
        *report.sessions_by_version.entry(version.into()).or_default() += 1;
        report.sessions += 1;
    }

    /// A request is sent; of a session that has had no answer, to `new`.
    pub(super) fn sent(&self, version: &str) {
        let report = &mut self.pages().report;
        report.requests += 1;
        *report.in_flight.entry(version.into()).or_default() += 1;
    }

    /// The request has its answer, or none.
    pub(super) fn answered(&self, version: &str, took: Duration) {
        let mut pages = self.pages();
        less(&mut pages.report.in_flight, version);
        pages.latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// A session has ended, or will when it has expired. Its last request was sent at that time.
    pub(super) fn ended(&self, version: &str, how: Farewell, last_sent: Timestamp) {
        let mut pages = self.pages();
        pages.report.sessions = pages.report.sessions.saturating_sub(1);
        less(&mut pages.report.sessions_by_version, version);
        let visits = pages.visits.entry(version.into()).or_default();
        let end = match how {
            Farewell::LogOut => {
                visits.logged_out += 1;
                last_sent
            }
            Farewell::Away => {
                visits.went_away += 1;
                last_sent + self.idle
            }
            Farewell::Cut => {
                visits.cut += 1;
                last_sent
            }
        };
        visits.last_end = visits.last_end.max(Some(end));
    }

    /// The client itself was held up for longer than a session lasts.
    pub(super) fn lapsed(&self) {
        self.pages().report.lapsed += 1;
    }

    /// What is in front of the instances is about to be killed.
    pub(super) fn kill_begins(&self) {
        let now = self.now();
        self.pages().kills.push((now, None));
    }

    /// It is gone.
    pub(super) fn kill_ended(&self) {
        let now = self.now();
        if let Some((_, end)) = self.pages().kills.last_mut() {
            *end = Some(now);
        }
    }

    /// How many requests were in flight on what was killed.
    pub(super) fn cut(&self) -> u64 {
        self.pages().cut
    }

    /// A request that was sent at that time came to nothing, or to something wrong. Answers how its session ends.
    pub(super) fn failed(&self, session: u64, sent: Timestamp, kind: Kind, what: String) -> Farewell {
        let t = self.seconds();
        let now = self.now();
        let mut pages = self.pages();
        let mut kills = pages.kills.iter();
        if kind == Kind::Failed && kills.any(|(begin, end)| end.is_none_or(|end| sent <= end) && now >= *begin) {
            pages.cut += 1;
            return Farewell::Cut;
        }
        let count = match kind {
            Kind::Failed => &mut pages.report.failed,
            Kind::Lost => &mut pages.report.lost,
            Kind::Moved => &mut pages.report.moved,
        };
        *count += 1;
        if pages.failures.len() < KEPT {
            pages.failures.push(Failure { t, session, kind, what });
        }
        Farewell::Away
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How long all of it has taken, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.clock.now().since(self.started).as_secs_f64()
    }

    pub(super) fn report(&self) -> Report {
        let t = self.seconds();
        Report { t, ..self.pages().report.clone() }
    }

    /// What is known of the sessions of a version.
    pub(super) fn visits(&self, version: &str) -> Visits {
        self.pages().visits.get(version).copied().unwrap_or_default()
    }

    pub(super) fn summary(&self) -> Summary {
        let seconds = self.seconds();
        let pages = self.pages();
        let Report { requests, failed, failed_sessions, lost, moved, lapsed, begun_by_version, .. } =
            pages.report.clone();
        #[allow(clippy::cast_precision_loss, reason = "latencies are far below 2^52 microseconds")]
        let ms = |micros: u64| micros as f64 / 1000.0;
        Summary {
            seconds,
            sessions: pages.begun,
            requests,
            failed,
            failed_sessions,
            lost,
            moved,
            lapsed,
            begun_by_version,
            p50_ms: ms(pages.latency.value_at_quantile(0.5)),
            p99_ms: ms(pages.latency.value_at_quantile(0.99)),
            max_ms: ms(pages.latency.max()),
            failures: pages.failures.clone(),
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        // Counts are good as far as they go after a panic, which is reported anyway.
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one away. What nobody has is not listed.
fn less(counts: &mut BTreeMap<String, u64>, version: &str) {
    if let Some(count) = counts.get_mut(version) {
        *count -= 1;
        if *count == 0 {
            counts.remove(version);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_with_the_log_out_or_when_it_has_expired() {
        let receipts = Receipts::new(SystemClock::new(), Duration::from_secs(20));
        for _ in 0..3 {
            receipts.begin();
            receipts.begun_on("v1");
        }
        assert_eq!(receipts.report().sessions_by_version["v1"], 3);
        let at = Timestamp::from_millis;
        receipts.ended("v1", Farewell::LogOut, at(9_000));
        assert_eq!(receipts.visits("v1"), Visits { logged_out: 1, last_end: Some(at(9_000)), ..Visits::default() });
        receipts.ended("v1", Farewell::Away, at(1_000));
        receipts.ended("v1", Farewell::Cut, at(22_000));
        let last_end = Some(at(22_000));
        assert_eq!(receipts.visits("v1"), Visits { logged_out: 1, went_away: 1, cut: 1, last_end });
        assert_eq!(receipts.visits("v2"), Visits::default());
        assert!(receipts.report().sessions_by_version.is_empty());
    }

    #[test]
    fn what_was_in_flight_on_something_killed_is_cut_and_has_not_failed() {
        let receipts = Receipts::new(SystemClock::new(), Duration::from_secs(20));
        let sent = receipts.now();
        let failed = |session, sent| receipts.failed(session, sent, Kind::Failed, "no answer".into());
        receipts.kill_begins();
        // Some clients hear of it before the one who kills.
        assert_eq!(failed(1, sent), Farewell::Cut);
        assert_eq!(receipts.failed(2, sent, Kind::Moved, "from v1 to v2".into()), Farewell::Away);
        receipts.kill_ended();
        assert_eq!(failed(3, sent), Farewell::Cut);
        assert_eq!(failed(4, receipts.now() + Duration::from_millis(1)), Farewell::Away);
        assert_eq!((receipts.cut(), receipts.summary().failed, receipts.summary().moved), (2, 1, 1));
    }

    #[test]
    fn requests_in_flight_and_failures_are_counted() {
        let receipts = Receipts::new(SystemClock::new(), Duration::from_secs(20));
        receipts.sent("new");
        receipts.sent("v1");
        receipts.answered("new", Duration::from_millis(5));
        assert_eq!(receipts.report().in_flight, BTreeMap::from([("v1".to_owned(), 1)]));
        receipts.failed(1, receipts.now(), Kind::Moved, "from v1 to v2".into());
        let summary = receipts.summary();
        assert_eq!((summary.requests, summary.failed, summary.moved), (2, 0, 1));
        assert_eq!(summary.failures[0].session, 1);
    }
}
