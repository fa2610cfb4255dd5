//! The journals pass their conformance suite.
#![allow(missing_docs)]

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
    use haddock_core::ErrorKind;
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
