//! The points at which a controlling process can be killed: before and after each commit, before and after each
//! action.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use haddock_core::Error;
use haddock_core::controller::Watcher;
use haddock_core::release::{Action, ReleasePhase, ServiceState, Step};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A point in the life of a controlling process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Point {
    /// How far the release is that the state knows; `over` without one.
    pub phase: String,
    /// `commit`, or the action's name.
    pub what: String,
    /// Whether it has been done.
    pub when: When,
}

/// On which side of what is done a point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// It is about to be done.
    Before,
    /// It has been done.
    After,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = match self.when {
            When::Before => "before",
            When::After => "after",
        };
        write!(f, "{when} {} ({})", self.what, self.phase)
    }
}

/// When a controlling process kills itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Death {
    /// Not at all.
    None,
    /// At the point with this number, from 1.
    At(u64),
    /// At the first point that is this one.
    On(Point),
}

/// A line of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// The point.
    pub point: Point,
    /// Whether the process ended here.
    pub died: bool,
}

/// Counts the points that a process passes, writes each to a file, and kills the process with SIGKILL at the one that
/// was asked for.
#[derive(Debug)]
pub struct Points {
    death: Death,
    book: Mutex<(u64, File)>,
}

impl Points {
    /// Records to this file, at its end.
    ///
    /// # Panics
    /// If the file cannot be opened.
    #[must_use]
    pub fn new(record: &Path, death: Death) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(record).expect("the record can be written");
        Self { death, book: Mutex::new((0, file)) }
    }

    fn pass(&self, state: &ServiceState, what: &str, when: When) {
        let phase = state.release.as_ref().map(|release| &release.phase);
        let phase = phase.map_or_else(
            || "over".to_owned(),
            |phase| match phase {
                ReleasePhase::Ramping(stage) => format!("ramping {stage}"),
                phase => phase.name().to_owned(),
            },
        );
        let point = Point { phase, what: what.to_owned(), when };
        // Held until the end: nobody passes another point after the last.
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.0 += 1;
        let died = match &self.death {
            Death::None => false,
            Death::At(number) => *number == book.0,
            Death::On(this) => *this == point,
        };
        let line = serde_json::to_string(&Passed { point, died }).expect("plain data is JSON");
        book.1.write_all(format!("{line}\n").as_bytes()).expect("the record can be written");
        if died {
            kill(Pid::this(), Signal::SIGKILL).expect("a process may kill itself");
            loop {
                std::thread::park();
            }
        }
    }
}

impl Watcher for Points {
    fn committing(&self, step: &Step) {
        self.pass(&step.state, "commit", When::Before);
    }

    fn committed(&self, step: &Step) {
        self.pass(&step.state, "commit", When::After);
    }

    fn acting(&self, state: &ServiceState, action: &Action) {
        self.pass(state, action.name(), When::Before);
    }

    fn acted(&self, state: &ServiceState, action: &Action, _error: Option<&Error>) {
        self.pass(state, action.name(), When::After);
    }
}
