//! The journals pass their conformance suite.
#![allow(missing_docs)]
#![allow(clippy::disallowed_methods, reason = "a test measures how long a call takes")]

use std::sync::Arc;

use async_trait::async_trait;
use haddock_core::journal::Journal;
use haddock_core::journal::suite::Harness;

mod memory {
    use haddock_core::JournalId;
    use haddock_core::journal::memory::MemoryJournal;

    use super::*;

    /// Opening it "anew" hands out the one that there is: memory has no other process.
    struct Memory(Arc<MemoryJournal>);

    #[async_trait]
    impl Harness for Memory {
        async fn open(&self) -> Arc<dyn Journal> {
            self.0.clone()
        }
    }

    haddock_core::journal_suite!(Memory(Arc::new(MemoryJournal::new(JournalId::new("j1").expect("valid")))));
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::time::Duration;

    use haddock_core::journal::sqlite::SqliteJournal;
    use haddock_core::journal::{Commit, Keep};
    use haddock_core::release::{Event, ServiceState};
    use haddock_core::{ErrorKind, ServiceName, Timestamp};

    use super::*;

    struct Sqlite(tempfile::TempDir);

    #[async_trait]
    impl Harness for Sqlite {
        async fn open(&self) -> Arc<dyn Journal> {
            Arc::new(SqliteJournal::open(self.0.path().join("journal.db")).expect("opens"))
        }
    }

    haddock_core::journal_suite!(Sqlite(tempfile::tempdir().expect("a folder")));

    fn shop() -> ServiceName {
        ServiceName::new("shop").expect("valid")
    }

    /// Whoever reads, or opens the journal, waits for nobody: a writer that hangs would stop all who only look.
    #[tokio::test]
    async fn reading_waits_for_no_writer() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.db");
        let journal = SqliteJournal::open(&path).expect("opens");
        let now = Timestamp::from_millis(1);
        let lease = journal.acquire(&shop(), "one", Duration::from_secs(30), now).await.expect("free");
        let state = ServiceState::new(shop(), journal.id().clone());
        let number = haddock_core::Number { epoch: 1, revision: 1 };
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

    /// One that was stalled, and fenced, gives its operating-system lock to whoever took over; until then that one is no
    /// less the holder.
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
        // Killed, it frees the lease at once: it has the lock.
        drop(next);
        assert_eq!(third.lease(&shop(), at(35)).await.expect("reads"), None);
        assert_eq!(third.acquire(&shop(), "third", lasts, at(35)).await.expect("free").epoch, 3);
        // In one process: who was fenced there does not take the lock from who took over there.
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
}
