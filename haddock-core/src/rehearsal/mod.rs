//! A release in virtual time: how it would go, before it is made.
//!
//! ```text
//!   Traffic ──▶ crowd ──sessions──▶ locator ──figures─┐
//!   Faults  ──▶ behaviour                ▲            ▼
//!                                      tables    release::step ──events──▶ book ──▶ Outcome ──▶ Summary
//!                                        │            ▲ │
//!                                        └──actions───┼─┘
//!                         engine ────containers───────┘
//! ```
//!
//! A [`Rehearsal`] says what is rehearsed: a version with its settings, the [`Traffic`], the [`Faults`]. Everything that
//! decides is the real [`step`](crate::release::step()), in the loop that a controller has. Around it, containers, the locator
//! and people are data, and time jumps from one thing that happens to the next. A day with a million sessions takes less than
//! a second. What is remembered of a session is forgotten when it ends.
//!
//! Chance decides when people come, how long they stay and who meets an error. So one rehearsal shows one way in which a
//! release may go, its [`Outcome`]. A [`Summary`] says how it went with many seeds.
//!
//! | file | what it has |
//! |---|---|
//! | `plan`, `of_file` | what is rehearsed |
//! | `traffic`, `stay`, `minute`, `recording` | when sessions begin, and how long they stay: by a model, or as recorded |
//! | `fault`, `behaviour` | what is wrong with a version, and what a session meets on it |
//! | `crowd` | the sessions: when each begins, fails, expires |
//! | `locator`, `engine` | what counts the sessions, and what runs |
//! | `run` | the loop: what happens next; the step; its actions |
//! | `book`, `outcome`, `summary` | what is said about it |
//! | `page` | the same, drawn |
//!
//! What a rehearsal leaves out: the requests of a session other than its first, its first failed and its last one; the load of
//! the host; locators or engines that do not answer. The random worlds of the tests are for these.

mod behaviour;
mod book;
mod crowd;
mod engine;
mod fault;
mod locator;
mod minute;
mod of_file;
mod outcome;
mod page;
mod plan;
mod recording;
mod run;
mod stay;
mod summary;
mod traffic;

pub use fault::{Base, Errors, Faults};
pub use minute::Minute;
pub use outcome::{Outcome, RehearsedRelease, Sample, SessionTally, TimelineEntry, VersionSample};
pub use plan::{PlannedRelease, Rehearsal, Times};
pub use recording::RecordedSessions;
pub use stay::Stay;
pub use summary::{Quantiles, Summary};
pub use traffic::Traffic;
