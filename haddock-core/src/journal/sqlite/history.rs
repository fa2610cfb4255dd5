//! The events of a service: written with a commit, read from anywhere, and forgotten when they are old.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::file::{Failure, to_json};
use crate::FencingToken;
use crate::journal::fencing::check_commit;
use crate::journal::{Checkpoint, Commit, Keep, Lease};
use crate::name::{RequestId, ServiceName};
use crate::release::{Event, RecordedEvent, ServiceState};
use crate::time::Timestamp;

/// Events between two checkpoints. A reader reads at most this many more than it needs.
const CHECKPOINT_INTERVAL: u64 = 128;
/// The most events that one commit adds up to a checkpoint. An older Haddock may have left many without one.
const MAX_CAUGHT_UP_EVENTS: usize = 2_000;
/// The most events that one transaction forgets. Between two such transactions, others can write.
const MAX_PRUNED_EVENTS: u64 = 4_000;

/// The sequence of the newest event; 0 if there is none.
pub(super) fn newest(c: &Connection, service: &ServiceName) -> Result<u64, Failure> {
    let sql = "SELECT coalesce(max(sequence), 0) FROM event WHERE service = ?1";
    Ok(c.prepare_cached(sql)?.query_row([service.as_str()], |row| row.get(0))?)
}

pub(super) fn read(
    c: &Connection,
    service: &ServiceName,
    after: u64,
    limit: usize,
) -> Result<Vec<RecordedEvent>, Failure> {
    let sql = "SELECT sequence, at, epoch, revision, event FROM event
               WHERE service = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3";
    let row = |row: &rusqlite::Row<'_>| {
        let event: String = row.get(4)?;
        Ok(RecordedEvent {
            sequence: row.get(0)?,
            at: Timestamp::from_millis(row.get(1)?),
            number: FencingToken { epoch: row.get(2)?, revision: row.get(3)? },
            event: Event::read(&event),
        })
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = c.prepare_cached(sql)?;
    Ok(statement.query_map(params![service.as_str(), after, limit], row)?.collect::<Result<_, _>>()?)
}

/// The nearest checkpoint that is not after `upto`. One that another version of Haddock wrote in another form is
/// skipped.
pub(super) fn checkpoint(c: &Connection, service: &ServiceName, upto: u64) -> Result<Checkpoint, Failure> {
    let sql = "SELECT sequence, story FROM checkpoint WHERE service = ?1 AND sequence <= ?2 ORDER BY sequence DESC";
    let mut statement = c.prepare_cached(sql)?;
    let mut rows = statement.query(params![service.as_str(), upto])?;
    while let Some(row) = rows.next()? {
        let (sequence, story): (u64, String) = (row.get(0)?, row.get(1)?);
        if let Ok(story) = serde_json::from_str(&story) {
            return Ok(Checkpoint { sequence, story });
        }
    }
    Ok(Checkpoint::default())
}

/// The sequence of the event that says that the request was taken up. An older Haddock did not note it. Then it is that
/// of the first event.
pub(super) fn taken_at(c: &Connection, service: &ServiceName, id: &RequestId) -> Result<Option<u64>, Failure> {
    let sql = "SELECT taken FROM request WHERE service = ?1 AND id = ?2 AND taken";
    Ok(c.prepare_cached(sql)?.query_row([service.as_str(), id.as_str()], |row| row.get(0)).optional()?)
}

/// Writes the state, the events and the taken requests of a commit.
pub(super) fn write_commit(t: &Transaction<'_>, lease: &Lease, commit: &Commit) -> Result<(), Failure> {
    let service = lease.service.as_str();
    let sql = "SELECT epoch, revision, (SELECT coalesce(max(sequence), 0) FROM event WHERE service = ?1),
                      CASE WHEN json_valid(state) THEN json_extract(state, '$.number.epoch') END
               FROM service WHERE name = ?1";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let (epoch, revision, before, written): (u64, u64, u64, Option<u64>) =
        t.query_row(sql, [service], row).optional()?.unwrap_or_default();
    check_commit(lease, epoch, written.map(|epoch| FencingToken { epoch, revision }), commit)?;
    let number = commit.state.number;
    t.execute(
        "UPDATE service SET revision = ?2, schema = ?3, state = ?4 WHERE name = ?1",
        params![service, number.revision, ServiceState::SCHEMA, to_json(&commit.state)?],
    )?;
    let mut insert = t.prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    let numbered = || (before + 1..).zip(&commit.events);
    for (sequence, event) in numbered() {
        let at = commit.state.now.as_millis();
        insert.execute(params![service, sequence, at, number.epoch, number.revision, to_json(event)?])?;
    }
    // What the request wanted is in the state now. What is kept of it is which event says that it was taken up.
    let mut take = t.prepare_cached("UPDATE request SET taken = ?3, request = '' WHERE service = ?1 AND id = ?2")?;
    for taken in &commit.taken {
        let says = |event: &Event| matches!(event, Event::RequestTaken { id, .. } if id == taken);
        let sequence = numbered().find(|(_, event)| says(event)).map_or(before + 1, |(sequence, _)| sequence);
        take.execute(params![service, taken.as_str(), sequence])?;
    }
    let newest = before + commit.events.len() as u64;
    add_up(t, &lease.service, newest)
}

/// Writes a checkpoint, if there are many events since the last.
fn add_up(t: &Transaction<'_>, service: &ServiceName, newest: u64) -> Result<(), Failure> {
    let sql = "SELECT coalesce(max(sequence), 0) FROM checkpoint WHERE service = ?1";
    let last: u64 = t.prepare_cached(sql)?.query_row([service.as_str()], |row| row.get(0))?;
    if newest - last.min(newest) < CHECKPOINT_INTERVAL {
        return Ok(());
    }
    let Checkpoint { mut sequence, mut story } = checkpoint(t, service, newest)?;
    for event in read(t, service, sequence, MAX_CAUGHT_UP_EVENTS)? {
        story.tell(&event);
        sequence = event.sequence;
    }
    t.execute(
        "INSERT OR REPLACE INTO checkpoint VALUES (?1, ?2, ?3)",
        params![service.as_str(), sequence, to_json(&story)?],
    )?;
    Ok(())
}

/// Whether the oldest event may be forgotten.
pub(super) fn has_old(c: &Connection, service: &ServiceName, keep: &Keep, now: Timestamp) -> Result<bool, Failure> {
    let sql = "SELECT sequence, at FROM event WHERE service = ?1 ORDER BY sequence LIMIT 1";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let oldest: Option<(u64, u64)> = c.query_row(sql, [service.as_str()], row).optional()?;
    let Some((sequence, at)) = oldest else { return Ok(false) };
    Ok(at < oldest_kept(keep, now) && sequence + keep.events.max(1) <= newest(c, service)?)
}

/// The time before which events may be forgotten, in milliseconds.
fn oldest_kept(keep: &Keep, now: Timestamp) -> u64 {
    now.as_millis().saturating_sub(u64::try_from(keep.age.as_millis()).unwrap_or(u64::MAX))
}

/// Forgets some of the events that are not to be kept. Returns whether there may be more of them.
pub(super) fn prune(t: &Transaction<'_>, service: &ServiceName, keep: &Keep, now: Timestamp) -> Result<bool, Failure> {
    let name = service.as_str();
    let oldest: Option<u64> =
        t.query_row("SELECT min(sequence) FROM event WHERE service = ?1", [name], |row| row.get(0))?;
    let Some(oldest) = oldest else { return Ok(false) };
    // The newest event stays in any case: the next one gets the sequence after it.
    let beyond = newest(t, service)?.saturating_sub(keep.events.max(1));
    let since = oldest_kept(keep, now);
    let sql = "SELECT min(sequence) FROM event WHERE service = ?1 AND sequence BETWEEN ?2 AND ?3 AND at >= ?4";
    let last = beyond.min(oldest + MAX_PRUNED_EVENTS - 1);
    let young: Option<u64> = t.query_row(sql, params![name, oldest, last, since], |row| row.get(0))?;
    let last = young.map_or(last, |young| young - 1);
    // Events are forgotten up to a checkpoint: readers of the others need to know what was before.
    let sql = "SELECT max(sequence) FROM checkpoint WHERE service = ?1 AND sequence BETWEEN ?2 AND ?3";
    let last: Option<u64> = t.query_row(sql, params![name, oldest, last], |row| row.get(0))?;
    let Some(last) = last else { return Ok(false) };
    t.execute("DELETE FROM event WHERE service = ?1 AND sequence <= ?2", params![name, last])?;
    t.execute("DELETE FROM checkpoint WHERE service = ?1 AND sequence < ?2", params![name, last])?;
    // An older Haddock noted 1 for every request that was taken up.
    t.execute("DELETE FROM request WHERE service = ?1 AND taken BETWEEN 2 AND ?2", params![name, last])?;
    let sql = "DELETE FROM request WHERE service = ?1 AND taken = 1
               AND CASE WHEN json_valid(request) THEN json_extract(request, '$.at') < ?2 ELSE TRUE END";
    t.execute(sql, params![name, since])?;
    Ok(young.is_none())
}
