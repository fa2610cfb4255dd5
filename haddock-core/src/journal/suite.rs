//! The journals' conformance suite: the contract of [`Journal`] as tests.
//!
//! Implement [`Harness`] and call [`journal_suite!`](crate::journal_suite); each case becomes a test of its own.
//!
//! ```
//! use std::sync::Arc;
//!
//! use haddock_core::JournalId;
//! use haddock_core::journal::suite::Harness;
//! use haddock_core::journal::{Journal, memory::MemoryJournal};
//!
//! struct Mine(Arc<MemoryJournal>);
//!
//! #[async_trait::async_trait]
//! impl Harness for Mine {
//!     async fn open(&self) -> Arc<dyn Journal> {
//!         self.0.clone()
//!     }
//! }
//!
//! haddock_core::journal_suite!(Mine(Arc::new(MemoryJournal::new(JournalId::new("mine").unwrap()))));
//! ```

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Checkpoint, Commit, Journal, Keep, Lease, LoopEnd};
use crate::error::{Error, ErrorKind};
use crate::name::{InstanceId, RequestId, ServiceName, VersionId};
use crate::release::{Event, Request, ServiceState, Story, Verb};
use crate::time::Timestamp;

/// Opens the journal under test.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Opens the one journal of this harness, anew each time, as another process would.
    async fn open(&self) -> Arc<dyn Journal>;
}

const LASTS: Duration = Duration::from_secs(30);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn service() -> ServiceName {
    ServiceName::new("shop").expect("a valid name")
}

fn request(id: &str) -> Request {
    Request {
        id: RequestId::new(id).expect("a valid id"),
        at: at(1),
        by: "suite".into(),
        verb: Verb::Abort,
        about: None,
    }
}

fn id(id: &str) -> RequestId {
    RequestId::new(id).expect("a valid id")
}

/// A commit that is `revision` under the lease, with one event and what it takes up.
fn commit(journal: &dyn Journal, lease: &Lease, revision: u64, taken: &[&str]) -> Commit {
    let mut state = ServiceState::new(lease.service.clone(), journal.id().clone());
    state.number = crate::FencingToken { epoch: lease.epoch, revision };
    state.now = at(revision);
    let taken = taken.iter().map(|id| RequestId::new(id).expect("a valid id")).collect();
    Commit { state, events: vec![Event::ReleasePaused], taken }
}

/// What was committed is there for the next one who opens the journal: state, events and everything else.
pub async fn commits_are_kept(harness: &dyn Harness) {
    let journal = harness.open().await;
    assert_eq!(journal.load(&service()).await.expect("loads"), None);
    let lease = journal.acquire(&service(), "one", LASTS, at(0)).await.expect("free");
    for revision in 1..=3 {
        let commit = commit(&*journal, &lease, revision, &[]);
        journal.commit(&lease, &commit).await.expect("in order");
        let reopened = harness.open().await;
        assert_eq!(reopened.load(&service()).await.expect("loads").as_ref(), Some(&commit.state));
        assert_eq!(reopened.id(), journal.id());
    }
    let history = journal.history(&service(), 0, 100).await.expect("reads");
    assert_eq!(history.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(history[1].number.revision, 2);
    assert_eq!(journal.history(&service(), 1, 1).await.expect("reads"), [history[1].clone()]);
    assert_eq!(journal.services().await.expect("reads"), [service()]);
    let mut retired = commit(&*journal, &lease, 4, &[]);
    retired.state.retired = true;
    journal.commit(&lease, &retired).await.expect("in order");
    assert_eq!(journal.services().await.expect("reads"), [], "it is forgotten");
    assert_eq!(journal.load(&service()).await.expect("loads"), Some(retired.state), "but its numbers are not");
    assert_eq!(journal.history(&service(), 0, 100).await.expect("reads").len(), 4, "nor its history");
}

/// S5: while one acts, another that wants to act learns who does. Anybody may look and submit.
pub async fn s5_one_acts_at_a_time(harness: &dyn Harness) {
    let (one, two) = (harness.open().await, harness.open().await);
    let lease = one.acquire(&service(), "one", LASTS, at(0)).await.expect("free");
    let error = two.acquire(&service(), "two", LASTS, at(1_000)).await.expect_err("held");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.message().contains("`one`"), "{error}");
    for journal in [&one, &two] {
        assert_eq!(journal.lease(&service(), at(1_000)).await.expect("reads").as_ref(), Some(&lease));
        assert_eq!(journal.lease(&service(), at(31_000)).await.expect("reads"), None, "it has run out");
    }
    two.submit(&service(), &request("r1")).await.expect("submits");
    assert_eq!(one.pending(&service()).await.expect("reads").len(), 1);
    one.give_back(&lease).await.expect("held");
    assert_eq!(two.lease(&service(), at(1_500)).await.expect("reads"), None, "it was given back");
    let next = two.acquire(&service(), "two", LASTS, at(2_000)).await.expect("free again");
    assert_eq!(next.epoch, lease.epoch + 1);
}

/// S5: once the lease of a stalled holder has run out and another has taken over, nothing of the former's lands.
pub async fn s5_former_holders_are_fenced(harness: &dyn Harness) {
    let (one, two) = (harness.open().await, harness.open().await);
    let former = one.acquire(&service(), "one", LASTS, at(0)).await.expect("free");
    one.commit(&former, &commit(&*one, &former, 1, &[])).await.expect("holds the lease");
    let lease = two.acquire(&service(), "two", LASTS, at(31_000)).await.expect("run out");
    let late = one.commit(&former, &commit(&*one, &former, 2, &[])).await.expect_err("fenced");
    assert_eq!(late.kind(), ErrorKind::Fenced);
    let error = one.renew(&former, LASTS, at(31_000)).await.expect_err("fenced");
    assert_eq!(error.kind(), ErrorKind::Fenced);
    one.give_back(&former).await.expect("no harm");
    two.renew(&lease, LASTS, at(40_000)).await.expect("still held");
    two.commit(&lease, &commit(&*two, &lease, 2, &[])).await.expect("holds the lease");
    assert_eq!(one.load(&service()).await.expect("loads").expect("committed").number.epoch, lease.epoch);
    assert_eq!(one.history(&service(), 0, 100).await.expect("reads").len(), 2);
}

/// S5: numbers only grow: a commit that was written already, or is older, is refused.
pub async fn s5_numbers_only_grow(harness: &dyn Harness) {
    let journal = harness.open().await;
    let lease = journal.acquire(&service(), "one", LASTS, at(0)).await.expect("free");
    journal.commit(&lease, &commit(&*journal, &lease, 5, &[])).await.expect("first");
    for revision in [5, 4] {
        let again = journal.commit(&lease, &commit(&*journal, &lease, revision, &[])).await;
        assert_eq!(again.expect_err("not newer").kind(), ErrorKind::Fenced);
    }
    assert_eq!(journal.history(&service(), 0, 100).await.expect("reads").len(), 1);
}

/// S5: a journal that takes the place of a lost one gives out epochs that are newer than those of the lost one.
pub async fn raised_epochs_fence(harness: &dyn Harness) {
    let journal = harness.open().await;
    journal.raise_epoch(&service(), 7).await.expect("raised");
    assert_eq!(journal.services().await.expect("reads"), [], "that is no state yet");
    let lease = journal.acquire(&service(), "one", LASTS, at(0)).await.expect("free");
    assert_eq!(lease.epoch, 8);
    journal.raise_epoch(&service(), 3).await.expect("nothing to do");
    journal.commit(&lease, &commit(&*journal, &lease, 1, &[])).await.expect("still held");
    journal.raise_epoch(&service(), 20).await.expect("raised");
    let late = journal.commit(&lease, &commit(&*journal, &lease, 2, &[])).await.expect_err("fenced");
    assert_eq!(late.kind(), ErrorKind::Fenced);
    journal.give_back(&lease).await.expect("no harm");
    let next = harness.open().await.acquire(&service(), "two", LASTS, at(1)).await.expect("free");
    assert_eq!(next.epoch, 21);
}

/// A lease that is renewed does not run out.
pub async fn renewed_leases_last(harness: &dyn Harness) {
    let (one, two) = (harness.open().await, harness.open().await);
    let lease = one.acquire(&service(), "one", LASTS, at(0)).await.expect("free");
    let renewed = one.renew(&lease, LASTS, at(20_000)).await.expect("held");
    assert_eq!(renewed.until, at(50_000));
    assert_eq!(two.acquire(&service(), "two", LASTS, at(40_000)).await.expect_err("held").kind(), ErrorKind::Busy);
}

/// A request is pending once, in order, until a commit takes it up; then never again.
pub async fn requests_are_taken_once(harness: &dyn Harness) {
    let journal = harness.open().await;
    for id in ["r1", "r2", "r1"] {
        journal.submit(&service(), &request(id)).await.expect("submits");
    }
    let ids = |pending: Vec<Request>| pending.into_iter().map(|r| r.id.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(journal.pending(&service()).await.expect("reads")), ["r1", "r2"]);
    let lease = journal.acquire(&service(), "one", LASTS, at(0)).await.expect("free");
    journal.commit(&lease, &commit(&*journal, &lease, 1, &["r1"])).await.expect("commits");
    journal.submit(&service(), &request("r1")).await.expect("known already");
    assert_eq!(ids(harness.open().await.pending(&service()).await.expect("reads")), ["r2"]);
}

/// A refused commit leaves nothing behind: no event, and its requests stay pending.
pub async fn refused_commits_leave_nothing(harness: &dyn Harness) {
    let (one, two) = (harness.open().await, harness.open().await);
    one.submit(&service(), &request("r1")).await.expect("submits");
    let former = one.acquire(&service(), "one", LASTS, at(0)).await.expect("free");
    two.acquire(&service(), "two", LASTS, at(31_000)).await.expect("run out");
    one.commit(&former, &commit(&*one, &former, 1, &["r1"])).await.expect_err("fenced");
    assert_eq!(two.load(&service()).await.expect("loads"), None);
    assert_eq!(two.history(&service(), 0, 100).await.expect("reads"), []);
    assert_eq!(two.pending(&service()).await.expect("reads").len(), 1);
}

/// Services do not see each other.
pub async fn services_are_apart(harness: &dyn Harness) {
    let journal = harness.open().await;
    let other = ServiceName::new("billing").expect("a valid name");
    let lease = journal.acquire(&service(), "one", LASTS, at(0)).await.expect("free");
    journal.acquire(&other, "two", LASTS, at(0)).await.expect("free");
    journal.submit(&service(), &request("r1")).await.expect("submits");
    journal.submit(&other, &request("r1")).await.expect("the same id, another service");
    journal.commit(&lease, &commit(&*journal, &lease, 1, &["r1"])).await.expect("commits");
    assert_eq!(journal.pending(&other).await.expect("reads").len(), 1);
    assert_eq!(journal.load(&other).await.expect("loads"), None);
    assert_eq!(journal.services().await.expect("reads"), [other, service()]);
}

/// A request is found in the history, and the history is added up: nobody needs to read it from the first event on.
pub async fn checkpoints_save_reading(harness: &dyn Harness) {
    let journal = harness.open().await;
    assert_eq!(journal.newest(&service()).await.expect("reads"), 0);
    assert_eq!(journal.checkpoint(&service(), 9).await.expect("reads"), Checkpoint::default());
    let lease = journal.acquire(&service(), "one", LASTS, at(0)).await.expect("free");
    for revision in 1..=400 {
        let mut commit = commit(&*journal, &lease, revision, &[]);
        let version = VersionId(revision / 100 + 1);
        let instance = InstanceId::new(format!("shop-{revision}")).expect("a valid id");
        commit.events.push(Event::InstanceStarting { instance, version, replacement: false });
        if revision == 300 {
            journal.submit(&service(), &request("r300")).await.expect("submits");
            assert_eq!(journal.taken_at(&service(), &id("r300")).await.expect("reads"), None, "not yet");
            let (verb, by) = ("abort".to_owned(), "suite".to_owned());
            commit.events.push(Event::RequestTaken { id: id("r300"), verb, by });
            commit.taken.push(id("r300"));
        }
        journal.commit(&lease, &commit).await.expect("in order");
    }
    assert_eq!(journal.newest(&service()).await.expect("reads"), 801);
    assert_eq!(journal.taken_at(&service(), &id("r300")).await.expect("reads"), Some(601));
    assert_eq!(journal.taken_at(&service(), &id("other")).await.expect("reads"), None);
    let mut whole = Story::new();
    for event in journal.history(&service(), 0, 1_000).await.expect("reads") {
        whole.tell(&event);
    }
    for upto in [0, 1, 100, 600, 801, 10_000] {
        let Checkpoint { sequence, mut story } = journal.checkpoint(&service(), upto).await.expect("reads");
        assert!(sequence <= upto, "{sequence} is after {upto}");
        for event in journal.history(&service(), sequence, 1_000).await.expect("reads") {
            story.tell(&event);
        }
        assert_eq!(story, whole, "from {sequence} on, it is the same story");
    }
}

/// Events that are too old are forgotten, and the history of those that stay reads as before.
pub async fn old_events_are_forgotten(harness: &dyn Harness) {
    let journal = harness.open().await;
    let lease = journal.acquire(&service(), "one", LASTS, at(0)).await.expect("free");
    let mut whole = Story::new();
    for revision in 1..=1_000 {
        let mut commit = commit(&*journal, &lease, revision, &[]);
        let instance = InstanceId::new(format!("shop-{revision}")).expect("a valid id");
        commit.events = vec![Event::InstanceStarting { instance, version: VersionId(1), replacement: false }];
        if revision == 1 {
            journal.submit(&service(), &request("r1")).await.expect("submits");
            commit.taken.push(id("r1"));
        }
        journal.commit(&lease, &commit).await.expect("in order");
    }
    for event in journal.history(&service(), 0, 1_000).await.expect("reads") {
        whole.tell(&event);
    }
    let oldest = async || journal.history(&service(), 0, 1).await.expect("reads")[0].sequence;
    let millis = Duration::from_millis;
    // Of the two limits, the one that keeps more events counts.
    let enough = [Keep { age: millis(1_000), events: 0 }, Keep { age: millis(0), events: 1_000 }];
    for keep in enough {
        journal.prune(&service(), &keep, at(1_000)).await.expect("prunes");
        assert_eq!(oldest().await, 1, "{keep}");
    }
    for (keep, first) in [(Keep { age: millis(500), events: 10 }, 500), (Keep { age: millis(0), events: 300 }, 701)] {
        journal.prune(&service(), &keep, at(1_000)).await.expect("prunes");
        // A journal forgets up to a checkpoint.
        let oldest = oldest().await;
        assert!(oldest > first - 200 && oldest <= first, "{oldest} is the oldest of those from {first} on");
        let Checkpoint { sequence, mut story } =
            harness.open().await.checkpoint(&service(), oldest).await.expect("reads");
        for event in journal.history(&service(), sequence, 1_000).await.expect("reads") {
            story.tell(&event);
        }
        assert_eq!((sequence, &story), (oldest - 1, &whole), "nothing is missing in the story");
    }
    assert_eq!(journal.newest(&service()).await.expect("reads"), 1_000);
    let next = commit(&*journal, &lease, 1_001, &[]);
    journal.commit(&lease, &next).await.expect("in order");
    assert_eq!(journal.newest(&service()).await.expect("reads"), 1_001, "it counts on");
}

/// How a loop ended is there for others, until one acts again.
pub async fn ends_of_loops_are_noted(harness: &dyn Harness) {
    let (one, two) = (harness.open().await, harness.open().await);
    assert_eq!(two.last_end(&service()).await.expect("reads"), None);
    let error = Error::new(ErrorKind::Panicked, "a bug");
    let end = LoopEnd { at: at(5), holder: "one".into(), error };
    one.note_end(&service(), Some(end.clone())).await.expect("notes");
    assert_eq!(two.last_end(&service()).await.expect("reads"), Some(end));
    one.note_end(&service(), None).await.expect("notes");
    assert_eq!(two.last_end(&service()).await.expect("reads"), None);
}

/// Makes a test of each case for the harness that the expression makes. In front of it may stand the attribute of an
/// asynchronous test, which is `#[tokio::test]` by default.
#[macro_export]
macro_rules! journal_suite {
    (#[$test:meta] $harness:expr) => {
        $crate::journal_suite!(@cases #[$test] $harness,
            commits_are_kept, s5_one_acts_at_a_time, s5_former_holders_are_fenced, s5_numbers_only_grow,
            renewed_leases_last, raised_epochs_fence, requests_are_taken_once, refused_commits_leave_nothing, services_are_apart,
            checkpoints_save_reading, old_events_are_forgotten, ends_of_loops_are_noted);
    };
    (@cases #[$test:meta] $harness:expr, $($case:ident),*) => {
        $(#[$test]
        async fn $case() {
            let harness = $harness;
            $crate::journal::suite::$case(&harness).await;
        })*
    };
    ($harness:expr) => {
        $crate::journal_suite!(#[tokio::test] $harness);
    };
}
