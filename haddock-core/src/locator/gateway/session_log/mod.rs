//! The log of a service's sessions, in the state directory. By it the next gateway knows which sessions may live, however
//! this one ends.
//!
//! ```text
//!   sessions-shop   haddock sessions 2 <boot id> <random>\n       a header of fixed length
//!                   <what> <a> <b> <checksum>                    records of 32 bytes, one after another
//! ```
//!
//! - What is written with `write` outlives the process, but not the machine's power: nothing is synced. So the header names the
//!   boot of the machine, and a log of another boot is not read.
//! - A record is appended under the lock of the routing, before anybody can see what it says.
//! - A record of a session says until when it counts as used: some time ahead of its last use, so that most uses need no
//!   record. See [`SessionTable::grain`](super::sessions::SessionTable::grain).
//! - A log that has grown is written anew from the sessions that live, beside the old one, and takes its place. Meanwhile each
//!   record goes into both.
//! - A gateway that ends in order writes it a last time, with the exact times, as a log that is *ended*: it names no boot, is
//!   synced, and its last record says how many there are.
//! - A record that cannot be written voids the log: a number that is not known must not look like one that is.
//!
//! `record` is one record, `boot` the boot of the machine, `reading` reads a log, `writing` writes it.

mod boot;
mod reading;
mod record;
mod writing;

pub(super) use boot::Boot;
pub(super) use reading::{Logged, read};
pub(super) use record::{Record, instance_mark};
pub(super) use writing::SessionLog;
