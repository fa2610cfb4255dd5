//! A journal in a SQLite file: durable, and shared by any number of processes on one machine.
//!
//! The file has a write-ahead log and `synchronous=FULL`: what was answered `Ok` survives a power cut. Besides the
//! lease in the file, each holder has an operating-system lock on `FILE.SERVICE.lock`. That lock ends with its process.
//! So the lease of a killed holder is free at once, and not only when its time is over. These locks are in `lease_locks`.
//!
//! `file` opens the file and turns SQLite's errors into ours: a writer waits 5 s for another process, and then fails with
//! [`JournalUnavailable`](ErrorKind::JournalUnavailable).

mod file;
mod history;
mod lease_locks;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use self::file::{Failure, to_json, translate};
use self::lease_locks::{Holds, Locks};
use super::fencing::{busy, fenced};
use super::{Checkpoint, Commit, Journal, Keep, Lease, LoopEnd};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{JournalId, RequestId, ServiceName};
use crate::release::{RecordedEvent, Request, ServiceState};
use crate::time::Timestamp;

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
    writer: Arc<Mutex<Connection>>,
    reader: Arc<Mutex<Connection>>,
    locks: Locks,
}

impl SqliteJournal {
    /// Opens the journal. If there is none, it is made, readable by its owner alone.
    ///
    /// # Errors
    /// [`JournalUnavailable`](ErrorKind::JournalUnavailable) if the file cannot be opened,
    /// [`JournalCorrupt`](ErrorKind::JournalCorrupt) if it is something else,
    /// [`JournalTooNew`](ErrorKind::JournalTooNew) if a newer Haddock made it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_as(path.as_ref(), None)
    }

    fn open_as(path: &Path, id: Option<&JournalId>) -> Result<Self> {
        let (writer, reader, id) = file::open(path, id)?;
        let (writer, reader) = (Arc::new(Mutex::new(writer)), Arc::new(Mutex::new(reader)));
        Ok(Self { id, path: path.to_owned(), writer, reader, locks: Locks::new(path) })
    }

    /// As [`open`](Self::open), but a journal that is made gets this id. This is for a journal that replaces a lost
    /// one, because containers have the id on their labels.
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

    /// Runs `work` in a transaction that writes, off the async threads.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        self.transact(&self.writer, TransactionBehavior::Immediate, work).await
    }

    /// Runs `work` in a transaction that only reads: it sees one point in time, and waits for no writer.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        self.transact(&self.reader, TransactionBehavior::Deferred, work).await
    }

    async fn transact<T: Send + 'static>(
        &self,
        connection: &Arc<Mutex<Connection>>,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let connection = Arc::clone(connection);
        let run = move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction_with_behavior(behavior)?;
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
            Failure::Sqlite(error) => translate(&error, &self.path),
        })
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
        let sql = "SELECT state FROM service WHERE name = ?1";
        let state: Option<Option<String>> =
            self.read(move |t| Ok(t.query_row(sql, [name.as_str()], |row| row.get(0)).optional()?)).await?;
        state.flatten().map(|state| ServiceState::read(service, &state)).transpose()
    }

    async fn services(&self) -> Result<Vec<ServiceName>> {
        let names: Vec<String> = self
            .read(|t| {
                // A service whose state cannot be read is listed, too.
                let sql = "SELECT name FROM service WHERE state IS NOT NULL
                               AND CASE WHEN json_valid(state)
                                   THEN json_extract(state, '$.retired') IS NULL
                                        OR json_extract(state, '$.notifications') IS NOT NULL
                                        OR json_extract(state, '$.news') IS NOT NULL
                                   ELSE TRUE END
                           UNION SELECT service FROM request WHERE NOT taken ORDER BY 1";
                let mut statement = t.prepare_cached(sql)?;
                Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
            })
            .await?;
        let valid = names.into_iter().filter_map(|name| match ServiceName::new(&name) {
            Ok(name) => Some(name),
            Err(error) => {
                tracing::warn!(%name, %error, "the journal has a service whose name is not valid");
                None
            }
        });
        Ok(valid.collect())
    }

    async fn acquire(&self, service: &ServiceName, holder: &str, lasts: Duration, now: Timestamp) -> Result<Lease> {
        let lock = self.locks.take(service)?;
        let (name, holder) = (service.clone(), holder.to_owned());
        let lease = self
            .write(move |t| {
                let sql = "SELECT epoch, holder, until, (SELECT epoch FROM locked WHERE service = ?1)
                           FROM service WHERE name = ?1";
                let row = |row: &rusqlite::Row<'_>| {
                    let held = row.get::<_, Option<String>>(1)?.zip(row.get::<_, Option<u64>>(2)?);
                    Ok((row.get(0)?, held, row.get(3)?))
                };
                let (epoch, held, locked): (u64, Option<(String, u64)>, Option<u64>) =
                    t.query_row(sql, [name.as_str()], row).optional()?.unwrap_or_default();
                // A holder that had the lock and no longer has it has ended. One that never had it may live.
                let has_ended = lock == Holds::Taken && locked == Some(epoch);
                if let Some((other, until)) = held.filter(|(_, until)| *until > now.as_millis() && !has_ended) {
                    let until = Timestamp::from_millis(until);
                    return Err(busy(&Lease { service: name, holder: other, epoch, until }).into());
                }
                let lease = Lease { service: name, holder, epoch: epoch + 1, until: now + lasts };
                t.execute(
                    "INSERT INTO service (name, epoch, holder, until) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (name) DO UPDATE SET epoch = ?2, holder = ?3, until = ?4",
                    params![lease.service.as_str(), lease.epoch, lease.holder, lease.until.as_millis()],
                )?;
                if lock != Holds::No {
                    note_lock(t, &lease)?;
                }
                Ok(lease)
            })
            .await;
        match &lease {
            Ok(lease) if lock != Holds::No => self.locks.stand_beside(service, lease.epoch),
            Err(_) if lock == Holds::Taken => self.locks.give_back(service, 0),
            _ => {}
        }
        lease
    }

    async fn raise_epoch(&self, service: &ServiceName, epoch: u64) -> Result<()> {
        let name = service.clone();
        let sql = "INSERT INTO service (name, epoch) VALUES (?1, ?2) ON CONFLICT (name)
                   DO UPDATE SET epoch = ?2, holder = NULL, until = NULL WHERE epoch < ?2";
        self.write(move |t| Ok(t.execute(sql, params![name.as_str(), epoch])?)).await.map(|_| ())
    }

    async fn renew(&self, lease: &Lease, lasts: Duration, now: Timestamp) -> Result<Lease> {
        let service = &lease.service;
        // A holder that took over from a stalled one has no lock at first. It gets the lock once the stalled one has
        // given it back.
        let lock = match self.locks.stands_beside(service, lease.epoch) {
            true => Holds::Already,
            false => self.locks.take(service).map(|lock| if lock == Holds::Taken { lock } else { Holds::No })?,
        };
        let renewed = Lease { until: now + lasts, ..lease.clone() };
        let asked = renewed.clone();
        let changed = self
            .write(move |t| {
                let sql = "UPDATE service SET until = ?3, holder = ?4 WHERE name = ?1 AND epoch = ?2";
                let until = asked.until.as_millis();
                let changed = t.execute(sql, params![asked.service.as_str(), asked.epoch, until, asked.holder])?;
                if changed == 1 && lock == Holds::Taken {
                    note_lock(t, &asked)?;
                }
                Ok(changed == 1)
            })
            .await;
        match changed {
            Ok(true) if lock == Holds::Taken => self.locks.stand_beside(service, lease.epoch),
            Ok(true) => {}
            _ if lock == Holds::Taken => self.locks.give_back(service, 0),
            Ok(false) => self.locks.give_back(service, lease.epoch),
            Err(_) => {}
        }
        if changed? { Ok(renewed) } else { Err(fenced(lease, lease.epoch + 1)) }
    }

    async fn give_back(&self, lease: &Lease) -> Result<()> {
        let asked = lease.clone();
        let sql = "UPDATE service SET holder = NULL, until = NULL WHERE name = ?1 AND epoch = ?2";
        let result = self.write(move |t| Ok(t.execute(sql, params![asked.service.as_str(), asked.epoch])?)).await;
        self.locks.give_back(&lease.service, lease.epoch);
        result.map(|_| ())
    }

    async fn lease(&self, service: &ServiceName, now: Timestamp) -> Result<Option<Lease>> {
        let name = service.clone();
        let lease = self
            .read(move |t| {
                let sql = "SELECT epoch, holder, until, (SELECT epoch FROM locked WHERE service = ?1) FROM service
                           WHERE name = ?1 AND holder IS NOT NULL AND until > ?2";
                let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
                let held: Option<(u64, String, u64, Option<u64>)> =
                    t.query_row(sql, params![name.as_str(), now.as_millis()], row).optional()?;
                Ok(held.map(|(epoch, holder, until, locked)| {
                    let lease = Lease { service: name, holder, epoch, until: Timestamp::from_millis(until) };
                    (lease, locked == Some(epoch))
                }))
            })
            .await?;
        // A holder that was killed has left its lease behind, but not its lock.
        let lives = |(_, had_lock): &(Lease, bool)| !had_lock || self.locks.is_held(service);
        Ok(lease.filter(lives).map(|(lease, _)| lease))
    }

    async fn commit(&self, lease: &Lease, commit: &Commit) -> Result<()> {
        let (asked, commit) = (lease.clone(), commit.clone());
        let result = self.write(move |t| history::write_commit(t, &asked, &commit)).await;
        if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Fenced) {
            self.locks.give_back(&lease.service, lease.epoch);
        }
        result
    }

    async fn submit(&self, service: &ServiceName, request: &Request) -> Result<()> {
        let (service, id, text) = (service.clone(), request.id.clone(), to_json(request)?);
        self.write(move |t| {
            let sql = "INSERT INTO request (service, id, request) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            t.execute(sql, params![service.as_str(), id.as_str(), text])?;
            Ok(())
        })
        .await
    }

    async fn pending(&self, service: &ServiceName) -> Result<Vec<Request>> {
        let name = service.clone();
        let rows: Vec<(String, String)> = self
            .read(move |t| {
                let sql = "SELECT id, request FROM request WHERE service = ?1 AND NOT taken ORDER BY sequence";
                let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
                let mut statement = t.prepare_cached(sql)?;
                Ok(statement.query_map([name.as_str()], row)?.collect::<Result<_, _>>()?)
            })
            .await?;
        let requests = rows.into_iter().filter_map(|(id, text)| match RequestId::new(&id) {
            Ok(id) => Some(Request::read(id, &text)),
            Err(error) => {
                tracing::warn!(%service, %id, %error, "the journal has a request whose id is not valid");
                None
            }
        });
        Ok(requests.collect())
    }

    async fn history(&self, service: &ServiceName, after: u64, limit: usize) -> Result<Vec<RecordedEvent>> {
        let service = service.clone();
        self.read(move |t| history::read(t, &service, after, limit)).await
    }

    async fn newest(&self, service: &ServiceName) -> Result<u64> {
        let service = service.clone();
        self.read(move |t| history::newest(t, &service)).await
    }

    async fn taken_at(&self, service: &ServiceName, request: &RequestId) -> Result<Option<u64>> {
        let (service, request) = (service.clone(), request.clone());
        self.read(move |t| history::taken_at(t, &service, &request)).await
    }

    async fn checkpoint(&self, service: &ServiceName, upto: u64) -> Result<Checkpoint> {
        let service = service.clone();
        self.read(move |t| history::checkpoint(t, &service, upto)).await
    }

    async fn prune(&self, service: &ServiceName, keep: &Keep, now: Timestamp) -> Result<()> {
        let keep = *keep;
        loop {
            let name = service.clone();
            // Look first with a read: pruning is seldom needed, and a write would make others wait.
            if !self.read(move |t| history::has_old(t, &name, &keep, now)).await? {
                return Ok(());
            }
            let name = service.clone();
            if !self.write(move |t| history::prune(t, &name, &keep, now)).await? {
                return Ok(());
            }
        }
    }

    async fn note_end(&self, service: &ServiceName, end: Option<LoopEnd>) -> Result<()> {
        let (name, end) = (service.clone(), end.as_ref().map(to_json).transpose()?);
        if end.is_none() && self.last_end(service).await?.is_none() {
            return Ok(());
        }
        self.write(move |t| {
            match end {
                Some(end) => {
                    t.execute("INSERT OR REPLACE INTO loop_end VALUES (?1, ?2)", params![name.as_str(), end])?
                }
                None => t.execute("DELETE FROM loop_end WHERE service = ?1", [name.as_str()])?,
            };
            Ok(())
        })
        .await
    }

    async fn last_end(&self, service: &ServiceName) -> Result<Option<LoopEnd>> {
        let name = service.clone();
        let sql = "SELECT end FROM loop_end WHERE service = ?1";
        let end: Option<String> =
            self.read(move |t| Ok(t.query_row(sql, [name.as_str()], |row| row.get(0)).optional()?)).await?;
        // If a newer Haddock wrote this in another form, only that one can show it.
        Ok(end.and_then(|end| serde_json::from_str(&end).ok()))
    }
}

/// Notes that the holder of this lease also has the operating-system lock.
fn note_lock(t: &Transaction<'_>, lease: &Lease) -> rusqlite::Result<usize> {
    t.execute("INSERT OR REPLACE INTO locked VALUES (?1, ?2)", params![lease.service.as_str(), lease.epoch])
}
