//! The journals pass their conformance suite.
#![allow(missing_docs)]
#![allow(clippy::disallowed_methods, reason = "a test measures how long a call takes")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use haddock_core::journal::suite::Harness;
use haddock_core::journal::{Commit, Journal, Lease};
use haddock_core::release::{Event, ServiceState};
use haddock_core::{FencingToken, ServiceName, Timestamp};

fn shop() -> ServiceName {
    ServiceName::new("shop").expect("valid")
}

/// So many events, in one commit under this lease.
fn commit(journal: &dyn Journal, lease: &Lease, revision: u64, events: usize) -> Commit {
    let mut state = ServiceState::new(shop(), journal.id().clone());
    state.number = FencingToken { epoch: lease.epoch, revision };
    Commit { state, events: vec![Event::ReleasePaused; events], taken: Vec::new() }
}

mod memory {
    use haddock_core::JournalId;
    use haddock_core::journal::memory::{MAX_EVENTS, MemoryJournal};

    use super::*;

    /// Opening it "anew" returns the same journal, because no other process can open a journal in memory.
    struct Memory(Arc<MemoryJournal>);

    #[async_trait]
    impl Harness for Memory {
        async fn open(&self) -> Arc<dyn Journal> {
            self.0.clone()
        }
    }

    #[tokio::test]
    async fn it_keeps_so_many_events_and_no_more() {
        let journal = MemoryJournal::new(JournalId::new("j1").expect("valid"));
        let lease =
            journal.acquire(&shop(), "one", Duration::from_secs(30), Timestamp::from_millis(1)).await.expect("free");
        journal.commit(&lease, &commit(&journal, &lease, 1, MAX_EVENTS + 9)).await.expect("the first");
        assert_eq!(journal.history(&shop(), 0, usize::MAX).await.expect("reads").len(), MAX_EVENTS);
    }

    haddock_core::journal_suite!(Memory(Arc::new(MemoryJournal::new(JournalId::new("j1").expect("valid")))));
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use haddock_core::ErrorKind;
    use haddock_core::journal::Keep;
    use haddock_core::journal::sqlite::SqliteJournal;

    use super::*;

    struct Sqlite(tempfile::TempDir);

    #[async_trait]
    impl Harness for Sqlite {
        async fn open(&self) -> Arc<dyn Journal> {
            Arc::new(SqliteJournal::open(self.0.path().join("journal.db")).expect("opens"))
        }
    }

    haddock_core::journal_suite!(Sqlite(tempfile::tempdir().expect("a folder")));

    /// Readers, and those who open the journal, wait for nobody. Otherwise a writer that hangs would stop everybody who
    /// only looks.
    #[tokio::test]
    async fn reading_waits_for_no_writer() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.db");
        let journal = SqliteJournal::open(&path).expect("opens");
        let now = Timestamp::from_millis(1);
        let lease = journal.acquire(&shop(), "one", Duration::from_secs(30), now).await.expect("free");
        let state = ServiceState::new(shop(), journal.id().clone());
        let number = FencingToken { epoch: 1, revision: 1 };
        let commit =
            Commit { state: ServiceState { number, ..state }, events: vec![Event::ReleasePaused], taken: vec![] };
        journal.commit(&lease, &commit).await.expect("the first");
        let writer = rusqlite::Connection::open(&path).expect("opens");
        writer.execute_batch("BEGIN IMMEDIATE; UPDATE service SET epoch = 99").expect("it writes");
        let began = std::time::Instant::now();
        for journal in [SqliteJournal::open(&path).expect("opens"), journal] {
            assert_eq!(journal.load(&shop()).await.expect("reads"), Some(commit.state.clone()));
            assert_eq!(journal.services().await.expect("reads"), [shop()]);
            assert_eq!(journal.pending(&shop()).await.expect("reads"), []);
            assert_eq!(journal.history(&shop(), 0, 9).await.expect("reads").len(), 1);
            assert_eq!(journal.newest(&shop()).await.expect("reads"), 1);
            assert_eq!(journal.lease(&shop(), now).await.expect("reads").map(|it| it.epoch), Some(1));
            journal.checkpoint(&shop(), 1).await.expect("reads");
            journal.last_end(&shop()).await.expect("reads");
            journal.note_end(&shop(), None).await.expect("there is nothing to note");
            journal.prune(&shop(), &Keep::default(), now).await.expect("there is nothing to prune");
        }
        assert!(began.elapsed() < Duration::from_secs(3), "it waited for {:?}", began.elapsed());
    }

    /// A holder that was stalled and fenced gives its operating-system lock to the one that took over. Until then, the
    /// new holder has the lease without the lock.
    #[tokio::test]
    async fn a_fenced_holder_gives_its_lock_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || SqliteJournal::open(folder.path().join("journal.db")).expect("opens");
        let (lasts, at) = (Duration::from_secs(30), |seconds: u64| Timestamp::from_millis(seconds * 1_000));
        let (stalled, next, third) = (open(), open(), open());
        let first = stalled.acquire(&shop(), "stalled", lasts, at(0)).await.expect("free");
        let second = next.acquire(&shop(), "next", lasts, at(31)).await.expect("run out");
        assert_eq!(third.lease(&shop(), at(32)).await.expect("reads").map(|it| it.epoch), Some(2));
        stalled.renew(&first, lasts, at(32)).await.expect_err("fenced");
        let error = third.acquire(&shop(), "third", lasts, at(33)).await.expect_err("the next one lives");
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert_eq!(third.lease(&shop(), at(33)).await.expect("reads").map(|it| it.epoch), Some(2));
        next.renew(&second, lasts, at(34)).await.expect("held");
        // If it is killed, the lease is free at once, because it has the lock.
        drop(next);
        assert_eq!(third.lease(&shop(), at(35)).await.expect("reads"), None);
        assert_eq!(third.acquire(&shop(), "third", lasts, at(35)).await.expect("free").epoch, 3);
        // In one process, a fenced holder does not take the lock away from the new one.
        let again = third.acquire(&shop(), "again", lasts, at(66)).await.expect("run out");
        third.give_back(&first).await.expect("long over");
        assert_eq!(open().lease(&shop(), at(67)).await.expect("reads"), Some(again));
    }

    #[test]
    fn other_files_and_newer_journals_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "x".repeat(4096)).expect("written");
        assert_eq!(SqliteJournal::open(&path).expect_err("no database").kind(), ErrorKind::JournalCorrupt);
        assert_eq!(std::fs::read_to_string(&path).expect("still there").len(), 4096);
        let missing = SqliteJournal::open(folder.path().join("no/such/folder.db")).expect_err("no folder");
        assert_eq!(missing.kind(), ErrorKind::JournalUnavailable);
        let newer = folder.path().join("newer.db");
        let connection = rusqlite::Connection::open(&newer).expect("opens");
        connection.pragma_update(None, "user_version", 99).expect("set");
        assert_eq!(SqliteJournal::open(&newer).expect_err("newer").kind(), ErrorKind::JournalTooNew);
    }

    #[test]
    fn one_that_takes_the_place_of_a_lost_one_has_its_id() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.db");
        let id = haddock_core::JournalId::new("0123456789abcdef").expect("valid");
        assert_eq!(SqliteJournal::create_with_id(&path, &id).expect("made").id(), &id);
        assert_eq!(SqliteJournal::create_with_id(&path, &id).expect("opened").id(), &id);
        assert_eq!(SqliteJournal::open(&path).expect("opened").id(), &id);
        let other = haddock_core::JournalId::new("fedcba9876543210").expect("valid");
        let error = SqliteJournal::create_with_id(&path, &other).expect_err("it has another");
        assert_eq!(error.kind(), ErrorKind::NameTaken);
    }

    #[test]
    fn only_the_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.db");
        SqliteJournal::open(&path).expect("opens");
        let mode = std::fs::metadata(&path).expect("made").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    /// A holder that is fenced when it commits gives its lock back, and so does one that gives its lease back.
    #[tokio::test]
    async fn whoever_does_not_act_any_more_has_no_lock() {
        for fenced in [true, false] {
            let folder = tempfile::tempdir().expect("a folder");
            let open = || SqliteJournal::open(folder.path().join("journal.db")).expect("opens");
            let (lasts, at) = (Duration::from_secs(30), |seconds: u64| Timestamp::from_millis(seconds * 1_000));
            let (former, next, third) = (open(), open(), open());
            let first = former.acquire(&shop(), "former", lasts, at(0)).await.expect("free");
            if !fenced {
                former.give_back(&first).await.expect("held");
            }
            let second = next.acquire(&shop(), "next", lasts, at(31)).await.expect("free");
            if fenced {
                former.commit(&first, &commit(&former, &first, 1, 1)).await.expect_err("fenced");
            }
            next.renew(&second, lasts, at(32)).await.expect("held");
            drop(next);
            assert_eq!(third.lease(&shop(), at(33)).await.expect("reads"), None, "it had the lock: {fenced}");
        }
    }

    /// A reader does not wait for a writer of its own process either.
    #[tokio::test]
    async fn reading_does_not_wait_for_a_call_that_writes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.db");
        let journal = SqliteJournal::open(&path).expect("opens");
        let other = rusqlite::Connection::open(&path).expect("opens");
        other.execute_batch("BEGIN IMMEDIATE").expect("it writes");
        let began = std::time::Instant::now();
        let name = shop();
        let reads = async {
            // Time enough for the other call to wait for its turn to write.
            drop(tokio::time::timeout(Duration::from_millis(100), std::future::pending::<()>()).await);
            journal.load(&shop()).await.expect("reads");
            began.elapsed()
        };
        let (raised, read) = tokio::join!(journal.raise_epoch(&name, 7), reads);
        assert_eq!(raised.expect_err("another writes").kind(), ErrorKind::JournalUnavailable);
        assert!(read < Duration::from_secs(3), "it waited for {read:?}");
    }

    /// Pruning takes the ids of old requests and old checkpoints with it, in as many transactions as it needs.
    #[tokio::test]
    async fn pruning_leaves_nothing_of_what_is_old() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.db");
        let journal = SqliteJournal::open(&path).expect("opens");
        let at = Timestamp::from_millis;
        let lease = journal.acquire(&shop(), "one", Duration::from_secs(30), at(0)).await.expect("free");
        let tables = rusqlite::Connection::open(&path).expect("opens");
        let requests = "INSERT INTO request (service, id, request, taken)
            VALUES ('shop', 'new', '', 200), ('shop', 'old', '{\"at\":5}', 1)";
        tables.execute(requests, []).expect("two requests");
        for revision in 1..=100 {
            journal.commit(&lease, &commit(&journal, &lease, revision, 100)).await.expect("in order");
        }
        let keep = Keep { age: Duration::ZERO, events: 100 };
        journal.prune(&shop(), &keep, at(1_000)).await.expect("prunes");
        let count = |sql: &str| tables.query_row(sql, [], |row| row.get::<_, u64>(0)).expect("readable");
        assert!(count("SELECT count(*) FROM event") < 400);
        assert!(count("SELECT count(*) FROM checkpoint") <= 3);
        assert_eq!(count("SELECT count(*) FROM request"), 0);
    }
}
