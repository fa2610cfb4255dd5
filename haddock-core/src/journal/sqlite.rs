//! A journal in a SQLite file: durable, and shared by any number of processes on one machine.
//!
//! Write-ahead log and `synchronous=FULL`: what was answered `Ok` survives a power cut. Beside the lease in the file
//! each holder keeps an operating-system lock on `FILE.SERVICE.lock`, which ends with its process: a killed holder
//! frees the lease at once, not at the end of its time.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::memory::{busy, check_commit, fenced};
use super::{Commit, Journal, Lease};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{JournalId, ServiceName};
use crate::release::{RecordedEvent, Request, ServiceState};
use crate::time::Timestamp;

/// The layout of the file, in `PRAGMA user_version`.
const SCHEMA: i64 = 1;

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

/// A journal in a SQLite file.
///
/// ```no_run
/// # async fn example() -> haddock_core::Result<()> {
/// use haddock_core::journal::{Journal, sqlite::SqliteJournal};
///
/// let journal = SqliteJournal::open("/var/lib/haddock/journal.db")?;
/// println!("{} keeps {:?}", journal, journal.services().await?);
/// # Ok(())
/// # }
/// ```
pub struct SqliteJournal {
    id: JournalId,
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
    locks: Mutex<BTreeMap<ServiceName, File>>,
}

impl SqliteJournal {
    /// Opens the journal, making it, readable by its owner alone, if there is none.
    ///
    /// # Errors
    /// [`JournalUnavailable`](ErrorKind::JournalUnavailable) if the file cannot be opened,
    /// [`JournalCorrupt`](ErrorKind::JournalCorrupt) if it is something else,
    /// [`JournalTooNew`](ErrorKind::JournalTooNew) if a newer Haddock made it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_as(path.as_ref(), None)
    }

    fn open_as(path: &Path, id: Option<&JournalId>) -> Result<Self> {
        let path = path.to_owned();
        let at = |error| translate(&error, &path);
        make_private(&path)?;
        let mut connection = Connection::open(&path).map_err(at)?;
        connection.busy_timeout(Duration::from_secs(5)).map_err(at)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(at)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(at)?;
        let id = prepare(&mut connection, &path, id)?;
        Ok(Self { id, path, connection: Arc::new(Mutex::new(connection)), locks: Mutex::default() })
    }

    /// As [`open`](Self::open), but a journal that is made has this id. For one that takes the place of a lost one, whose
    /// id is on the labels of containers.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`NameTaken`](ErrorKind::NameTaken) if there is a journal with another id.
    pub fn create_with_id(path: impl AsRef<Path>, id: &JournalId) -> Result<Self> {
        let journal = Self::open_as(path.as_ref(), Some(id))?;
        if journal.id == *id {
            return Ok(journal);
        }
        let message =
            format!("there is a journal in `{}` already, and its id is `{}`", path.as_ref().display(), journal.id);
        Err(Error::new(ErrorKind::NameTaken, message).with_hint("move it out of the way, or take another path"))
    }

    /// Runs `work` in a transaction, off the async threads.
    async fn transact<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let connection = Arc::clone(&self.connection);
        let path = self.path.clone();
        let run = move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        let joined = tokio::task::spawn_blocking(run).await;
        let result: Result<T, Failure> = match joined {
            Ok(result) => result,
            Err(_) => return Err(Error::new(ErrorKind::JournalUnavailable, "the program is being shut down")),
        };
        result.map_err(|failure| match failure {
            Failure::Ours(error) => error,
            Failure::Sqlite(error) => translate(&error, &path),
        })
    }

    /// Takes the operating-system lock of a service; answers whether it is ours.
    fn lock(&self, service: &ServiceName) -> Result<bool> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if locks.contains_key(service) {
            return Ok(false);
        }
        let path = self.lock_path(service);
        // Whoever can read it can lock it.
        let private = private_file().open(&path).and_then(|file| {
            file.set_permissions(Permissions::from_mode(0o600))?;
            Ok(file)
        });
        let file = private.map_err(|error| {
            Error::new(ErrorKind::JournalUnavailable, format!("cannot open `{}`: {error}", path.display()))
        })?;
        match file.try_lock() {
            Ok(()) => {
                locks.insert(service.clone(), file);
                Ok(true)
            }
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => {
                let message = format!("cannot lock `{}`: {error}", path.display());
                Err(Error::new(ErrorKind::JournalUnavailable, message))
            }
        }
    }

    fn lock_path(&self, service: &ServiceName) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{service}.lock"));
        path.into()
    }

    /// Whether a process that lives has the operating-system lock of a service, as far as can be told.
    fn is_locked(&self, service: &ServiceName) -> bool {
        if self.locks.lock().unwrap_or_else(PoisonError::into_inner).contains_key(service) {
            return true;
        }
        // A shared lock, given back at once: two that look do not see each other.
        let looked = OpenOptions::new().read(true).open(self.lock_path(service)).map(|file| file.try_lock_shared());
        !matches!(looked, Ok(Ok(())))
    }

    fn unlock(&self, service: &ServiceName) {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner).remove(service);
    }
}

impl fmt::Debug for SqliteJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteJournal").field("id", &self.id).field("path", &self.path).finish_non_exhaustive()
    }
}

impl fmt::Display for SqliteJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "journal `{}`", self.path.display())
    }
}

#[async_trait]
impl Journal for SqliteJournal {
    fn id(&self) -> &JournalId {
        &self.id
    }

    async fn load(&self, service: &ServiceName) -> Result<Option<ServiceState>> {
        let name = service.clone();
        let row: Option<(Option<i64>, Option<String>)> = self
            .transact(move |t| {
                let sql = "SELECT schema, state FROM service WHERE name = ?1";
                Ok(t.query_row(sql, [name.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
            })
            .await?;
        let Some((Some(schema), Some(state))) = row else { return Ok(None) };
        if schema > i64::from(ServiceState::SCHEMA) {
            let message = format!("the state of service `{service}` was written by a newer Haddock (layout {schema})");
            return Err(Error::new(ErrorKind::JournalTooNew, message).with_hint("use that Haddock, or a newer one"));
        }
        parse(&state, "state").map(Some)
    }

    async fn services(&self) -> Result<Vec<ServiceName>> {
        let names: Vec<String> = self
            .transact(|t| {
                let sql = "SELECT name FROM service WHERE state IS NOT NULL
                               AND (json_extract(state, '$.retired') IS NULL OR json_extract(state, '$.news') IS NOT NULL)
                           UNION SELECT service FROM request WHERE NOT taken ORDER BY 1";
                let mut statement = t.prepare_cached(sql)?;
                Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
            })
            .await?;
        names.into_iter().map(ServiceName::new).collect()
    }

    async fn acquire(&self, service: &ServiceName, holder: &str, lasts: Duration, now: Timestamp) -> Result<Lease> {
        let ours = self.lock(service)?;
        let (name, holder) = (service.clone(), holder.to_owned());
        let lease = self
            .transact(move |t| {
                let (epoch, held): (u64, Option<(String, u64)>) = t
                    .query_row("SELECT epoch, holder, until FROM service WHERE name = ?1", [name.as_str()], |row| {
                        let held = row.get::<_, Option<String>>(1)?.zip(row.get::<_, Option<u64>>(2)?);
                        Ok((row.get(0)?, held))
                    })
                    .optional()?
                    .unwrap_or_default();
                if let Some((other, until)) = held.filter(|(_, until)| *until > now.as_millis() && !ours) {
                    let until = Timestamp::from_millis(until);
                    return Err(busy(&Lease { service: name, holder: other, epoch, until }).into());
                }
                let lease = Lease { service: name, holder, epoch: epoch + 1, until: now + lasts };
                t.execute(
                    "INSERT INTO service (name, epoch, holder, until) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (name) DO UPDATE SET epoch = ?2, holder = ?3, until = ?4",
                    params![lease.service.as_str(), lease.epoch, lease.holder, lease.until.as_millis()],
                )?;
                Ok(lease)
            })
            .await;
        if lease.is_err() && ours {
            self.unlock(service);
        }
        lease
    }

    async fn raise_epoch(&self, service: &ServiceName, epoch: u64) -> Result<()> {
        let name = service.clone();
        let sql = "INSERT INTO service (name, epoch) VALUES (?1, ?2) ON CONFLICT (name)
                   DO UPDATE SET epoch = ?2, holder = NULL, until = NULL WHERE epoch < ?2";
        self.transact(move |t| Ok(t.execute(sql, params![name.as_str(), epoch])?)).await.map(|_| ())
    }

    async fn renew(&self, lease: &Lease, lasts: Duration, now: Timestamp) -> Result<Lease> {
        let renewed = Lease { until: now + lasts, ..lease.clone() };
        let asked = renewed.clone();
        let changed = self
            .transact(move |t| {
                let sql = "UPDATE service SET until = ?3, holder = ?4 WHERE name = ?1 AND epoch = ?2";
                let until = asked.until.as_millis();
                Ok(t.execute(sql, params![asked.service.as_str(), asked.epoch, until, asked.holder])?)
            })
            .await?;
        if changed == 1 { Ok(renewed) } else { Err(fenced(lease, lease.epoch + 1)) }
    }

    async fn give_back(&self, lease: &Lease) -> Result<()> {
        let asked = lease.clone();
        let sql = "UPDATE service SET holder = NULL, until = NULL WHERE name = ?1 AND epoch = ?2";
        let result = self.transact(move |t| Ok(t.execute(sql, params![asked.service.as_str(), asked.epoch])?)).await;
        self.unlock(&lease.service);
        result.map(|_| ())
    }

    async fn lease(&self, service: &ServiceName, now: Timestamp) -> Result<Option<Lease>> {
        let name = service.clone();
        let lease = self
            .transact(move |t| {
                let sql = "SELECT epoch, holder, until FROM service
                           WHERE name = ?1 AND holder IS NOT NULL AND until > ?2";
                let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
                let held: Option<(u64, String, u64)> =
                    t.query_row(sql, params![name.as_str(), now.as_millis()], row).optional()?;
                Ok(held.map(|(epoch, holder, until)| Lease {
                    service: name,
                    holder,
                    epoch,
                    until: Timestamp::from_millis(until),
                }))
            })
            .await?;
        // A holder that was killed has left its lease behind, but not its lock.
        Ok(lease.filter(|_| self.is_locked(service)))
    }

    async fn commit(&self, lease: &Lease, commit: &Commit) -> Result<()> {
        let (lease, commit) = (lease.clone(), commit.clone());
        self.transact(move |t| write_commit(t, &lease, &commit)).await
    }

    async fn submit(&self, service: &ServiceName, request: &Request) -> Result<()> {
        let (service, id, text) = (service.clone(), request.id.clone(), to_json(request)?);
        self.transact(move |t| {
            let sql = "INSERT INTO request (service, id, request) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            t.execute(sql, params![service.as_str(), id.as_str(), text])?;
            Ok(())
        })
        .await
    }

    async fn pending(&self, service: &ServiceName) -> Result<Vec<Request>> {
        let service = service.clone();
        let rows: Vec<String> = self
            .transact(move |t| {
                let sql = "SELECT request FROM request WHERE service = ?1 AND NOT taken ORDER BY sequence";
                let mut statement = t.prepare_cached(sql)?;
                Ok(statement.query_map([service.as_str()], |row| row.get(0))?.collect::<Result<_, _>>()?)
            })
            .await?;
        rows.iter().map(|row| parse(row, "request")).collect()
    }

    async fn history(&self, service: &ServiceName, after: u64, limit: usize) -> Result<Vec<RecordedEvent>> {
        let service = service.clone();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Vec<(u64, u64, u64, u64, String)> = self
            .transact(move |t| {
                let sql = "SELECT sequence, at, epoch, revision, event FROM event
                           WHERE service = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3";
                let mut statement = t.prepare_cached(sql)?;
                let row =
                    |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
                Ok(statement.query_map(params![service.as_str(), after, limit], row)?.collect::<Result<_, _>>()?)
            })
            .await?;
        rows.into_iter()
            .map(|(sequence, at, epoch, revision, event)| {
                let number = crate::Number { epoch, revision };
                Ok(RecordedEvent { sequence, at: Timestamp::from_millis(at), number, event: parse(&event, "event")? })
            })
            .collect()
    }
}

fn write_commit(t: &Transaction<'_>, lease: &Lease, commit: &Commit) -> Result<(), Failure> {
    let service = lease.service.as_str();
    let sql = "SELECT epoch, revision, (SELECT coalesce(max(sequence), 0) FROM event WHERE service = ?1),
                      json_extract(state, '$.number.epoch') FROM service WHERE name = ?1";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let (epoch, revision, mut sequence, written): (u64, u64, u64, Option<u64>) =
        t.query_row(sql, [service], row).optional()?.unwrap_or_default();
    let last = written.map(|epoch| crate::Number { epoch, revision });
    check_commit(lease, epoch, last, commit)?;
    let number = commit.state.number;
    t.execute(
        "UPDATE service SET revision = ?2, schema = ?3, state = ?4 WHERE name = ?1",
        params![service, number.revision, ServiceState::SCHEMA, to_json(&commit.state)?],
    )?;
    let mut insert = t.prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for event in &commit.events {
        sequence += 1;
        let at = commit.state.now.as_millis();
        insert.execute(params![service, sequence, at, number.epoch, number.revision, to_json(event)?])?;
    }
    let mut take = t.prepare_cached("UPDATE request SET taken = 1 WHERE service = ?1 AND id = ?2")?;
    for id in &commit.taken {
        take.execute(params![service, id.as_str()])?;
    }
    Ok(())
}

/// Makes the tables, with that id or a random one, or checks those that are there; answers with the journal's id.
fn prepare(connection: &mut Connection, path: &Path, id: Option<&JournalId>) -> Result<JournalId> {
    let at = |error| translate(&error, path);
    let t = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(at)?;
    let schema: i64 = t.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(at)?;
    if schema > SCHEMA {
        let message = format!("`{}` was made by a newer Haddock (layout {schema})", path.display());
        return Err(Error::new(ErrorKind::JournalTooNew, message).with_hint("use that Haddock, or a newer one"));
    }
    if schema == 0 {
        t.execute_batch(TABLES).map_err(at)?;
        let id = id.cloned().map_or_else(random_id, Ok)?;
        t.execute("INSERT INTO journal (id) VALUES (?1)", [id.as_str()]).map_err(at)?;
        t.pragma_update(None, "user_version", SCHEMA).map_err(at)?;
    }
    let id: String = t.query_row("SELECT id FROM journal", [], |row| row.get(0)).map_err(at)?;
    t.commit().map_err(at)?;
    JournalId::new(id)
}

fn random_id() -> Result<JournalId> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(ErrorKind::Io, format!("the system gives no random numbers: {error}")))?;
    JournalId::new(format!("{:016x}", u64::from_le_bytes(bytes)))
}

/// Makes the file, readable by its owner alone, before SQLite would make it readable by all.
fn make_private(path: &Path) -> Result<()> {
    private_file().open(path).map(|_| ()).map_err(|error| {
        Error::new(ErrorKind::JournalUnavailable, format!("cannot open the journal `{}`: {error}", path.display()))
            .with_hint("check that its folder exists and may be written to")
    })
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    options
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::new(ErrorKind::JournalCorrupt, error.to_string()))
}

fn parse<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(ErrorKind::JournalCorrupt, format!("the journal holds a {what} that cannot be read: {error}"))
    })
}

enum Failure {
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

fn translate(error: &rusqlite::Error, path: &Path) -> Error {
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
