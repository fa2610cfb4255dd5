//! The file: its tables, how it is made and opened, and what its errors mean.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::{Error, ErrorKind, Result};
use crate::name::JournalId;

/// The layout of the file, in `PRAGMA user_version`. A Haddock refuses a file with a newer one.
const LAYOUT: i64 = 1;

/// The tables that layout 1 has had from the beginning. An older Haddock uses them too, so a change needs a new layout.
const TABLES: &str = "
    CREATE TABLE journal (id TEXT NOT NULL);
    CREATE TABLE service (
        name TEXT PRIMARY KEY, epoch INTEGER NOT NULL DEFAULT 0, revision INTEGER NOT NULL DEFAULT 0,
        schema INTEGER, state TEXT, holder TEXT, until INTEGER
    ) STRICT;
    CREATE TABLE request (
        service TEXT NOT NULL, id TEXT NOT NULL, sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        request TEXT NOT NULL, taken INTEGER NOT NULL DEFAULT 0, UNIQUE (service, id)
    ) STRICT;
    CREATE INDEX pending ON request (service, sequence) WHERE NOT taken;
    CREATE TABLE event (
        service TEXT NOT NULL, sequence INTEGER NOT NULL, at INTEGER NOT NULL,
        epoch INTEGER NOT NULL, revision INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (service, sequence)
    ) STRICT, WITHOUT ROWID;
";

/// The tables that were added to layout 1. An older Haddock neither needs nor changes them.
const ADDITIONS: &str = "
    CREATE TABLE IF NOT EXISTS checkpoint (
        service TEXT NOT NULL, sequence INTEGER NOT NULL, story TEXT NOT NULL, PRIMARY KEY (service, sequence)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS locked (service TEXT PRIMARY KEY, epoch INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS loop_end (service TEXT PRIMARY KEY, end TEXT NOT NULL) STRICT;
";
/// How many tables [`ADDITIONS`] adds.
const ADDED_TABLES: i64 = 3;

/// How long a call waits while another process writes.
const WRITER_WAIT_LIMIT: Duration = Duration::from_secs(5);

/// Opens the journal: a connection that writes, a connection that only reads and waits for nobody, and the journal's
/// id.
pub(super) fn open(path: &Path, id: Option<&JournalId>) -> Result<(Connection, Connection, JournalId)> {
    let at = |error| translate(&error, path);
    make_private(path)?;
    let mut writer = Connection::open(path).map_err(at)?;
    writer.busy_timeout(WRITER_WAIT_LIMIT).map_err(at)?;
    writer.pragma_update(None, "journal_mode", "WAL").map_err(at)?;
    writer.pragma_update(None, "synchronous", "FULL").map_err(at)?;
    let id = prepare(&mut writer, path, id)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = Connection::open_with_flags(path, flags).map_err(at)?;
    reader.busy_timeout(WRITER_WAIT_LIMIT).map_err(at)?;
    Ok((writer, reader, id))
}

/// Makes the tables, with this id or a random one, or checks those that are there. Returns the journal's id.
fn prepare(connection: &mut Connection, path: &Path, id: Option<&JournalId>) -> Result<JournalId> {
    let at = |error| translate(&error, path);
    // A complete journal can be opened while others write.
    if layout_of(connection, path)? == LAYOUT && is_complete(connection).map_err(at)? {
        return id_of(connection).map_err(at).and_then(JournalId::new);
    }
    let t = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(at)?;
    // Another process may have made them meanwhile.
    if layout_of(&t, path)? == 0 {
        t.execute_batch(TABLES).map_err(at)?;
        let id = id.cloned().map_or_else(random_id, Ok)?;
        t.execute("INSERT INTO journal (id) VALUES (?1)", [id.as_str()]).map_err(at)?;
        t.pragma_update(None, "user_version", LAYOUT).map_err(at)?;
    }
    t.execute_batch(ADDITIONS).map_err(at)?;
    let id = id_of(&t).map_err(at)?;
    t.commit().map_err(at)?;
    JournalId::new(id)
}

fn layout_of(connection: &Connection, path: &Path) -> Result<i64> {
    let layout = connection.pragma_query_value(None, "user_version", |row| row.get(0));
    let layout: i64 = layout.map_err(|error| translate(&error, path))?;
    if layout > LAYOUT {
        let message = format!("`{}` was made by a newer Haddock (layout {layout})", path.display());
        return Err(Error::new(ErrorKind::JournalTooNew, message).with_hint("use that Haddock, or a newer one"));
    }
    Ok(layout)
}

fn is_complete(connection: &Connection) -> rusqlite::Result<bool> {
    let sql =
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('checkpoint', 'locked', 'loop_end')";
    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|there| there == ADDED_TABLES)
}

fn id_of(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("SELECT id FROM journal", [], |row| row.get(0))
}

fn random_id() -> Result<JournalId> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(ErrorKind::Io, format!("the system gives no random numbers: {error}")))?;
    JournalId::new(format!("{:016x}", u64::from_le_bytes(bytes)))
}

/// Makes the file, readable by its owner alone. SQLite itself would make it readable by all.
fn make_private(path: &Path) -> Result<()> {
    private_file().open(path).map(|_| ()).map_err(|error| {
        Error::new(ErrorKind::JournalUnavailable, format!("cannot open the journal `{}`: {error}", path.display()))
            .with_hint("check that its folder exists and may be written to")
    })
}

/// The options for making a file that only its owner can read.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    options
}

/// Why a query failed.
pub(super) enum Failure {
    Ours(Error),
    Sqlite(rusqlite::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

pub(super) fn translate(error: &rusqlite::Error, path: &Path) -> Error {
    let path = path.display();
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => {
            Error::new(ErrorKind::JournalFull, format!("the disk of the journal `{path}` is full; nothing was written"))
                .with_hint("free some space: the controller goes on by itself, nothing is lost")
        }
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            Error::new(ErrorKind::JournalCorrupt, format!("`{path}` is not a journal, or is damaged: {error}"))
        }
        _ => Error::new(ErrorKind::JournalUnavailable, format!("the journal `{path}` cannot be used: {error}")),
    }
}

pub(super) fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::new(ErrorKind::JournalCorrupt, error.to_string()))
}
