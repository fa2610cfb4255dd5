//! Commands within containers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Sensitive;

/// A command to run within a container until it has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecSpec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Environment variables that it has besides those of the container.
    pub environment: BTreeMap<String, Sensitive>,
    /// How long it may last.
    pub within: Duration,
    /// How many bytes of each of its streams are kept, from the end. `None`: all.
    pub keep: Option<usize>,
}

impl ExecSpec {
    /// How much output is kept for people to read, and for messages. A command that prints without end must not fill
    /// the memory of the program that runs it.
    pub const FOR_PEOPLE: usize = 1 << 20;

    /// A command without variables of its own, all of whose output is kept.
    #[must_use]
    pub fn new(command: &[String], within: Duration) -> Self {
        Self { command: command.to_vec(), environment: BTreeMap::new(), within, keep: None }
    }

    /// Keeps only the last bytes of its output, as many as [`FOR_PEOPLE`](Self::FOR_PEOPLE) says.
    #[must_use]
    pub fn for_people(mut self) -> Self {
        self.keep = Some(Self::FOR_PEOPLE);
        self
    }
}

/// How a command within a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Executed {
    /// Its exit code.
    pub exit_code: i64,
    /// What it wrote to standard output, byte for byte.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, byte for byte.
    pub stderr: Vec<u8>,
}

impl Executed {
    /// Standard output as text. What is no UTF-8 is replaced.
    #[must_use]
    pub fn stdout_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stdout)
    }

    /// The lines of standard output, and after them those of standard error.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let lines = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect::<Vec<_>>();
        [lines(&self.stdout), lines(&self.stderr)].concat()
    }
}

/// A command to run within a container with its streams in the caller's hands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttachSpec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Environment variables that it has besides those of the container.
    pub environment: BTreeMap<String, Sensitive>,
    /// Whether it has a standard input. If not, it reads the end of input at once.
    pub stdin: bool,
    /// The size of the terminal that it runs on; `None`: it has no terminal. On a terminal there is no separate
    /// standard error. Ctrl-C, written to its input, goes to the program.
    pub terminal: Option<TerminalSize>,
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// Where a command has written something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputStream {
    /// To its standard output, or to the terminal that it runs on.
    Stdout,
    /// To its standard error.
    Stderr,
}

/// Something that a command has written: bytes, as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Where it was written.
    pub stream: OutputStream,
    /// The bytes.
    pub bytes: Vec<u8>,
}
