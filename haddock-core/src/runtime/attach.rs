//! A command that runs within a container, with its streams in the caller's hands.
//!
//! Its three parts may be used at the same time. What writes to the command must not wait for what reads from it: a
//! command whose output nobody reads stops reading its input, too.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use crate::container::{Output, TerminalSize};
use crate::error::Result;

/// A running command.
pub struct Attached {
    /// Its standard input.
    pub input: Box<dyn CommandInput>,
    /// What it writes, in order. Ends when the command has closed its streams. Nothing is read ahead: while nobody
    /// takes its output, the command waits.
    pub output: BoxStream<'static, Result<Output>>,
    /// Everything besides its streams.
    pub control: Box<dyn CommandControl>,
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").finish_non_exhaustive()
    }
}

/// The standard input of a running command.
#[async_trait]
pub trait CommandInput: Send {
    /// Writes all of this. Waits for as long as the command does not read.
    ///
    /// Returns `false` if the command reads nothing more. This is no error, because it may have read enough.
    async fn write(&mut self, bytes: &[u8]) -> Result<bool>;

    /// Ends the input. What was written before is read first. A second call changes nothing.
    async fn close(&mut self) -> Result<()>;
}

/// A running command, without its streams.
#[async_trait]
pub trait CommandControl: Send + Sync {
    /// Tells it the new size of its terminal. Without a terminal nothing is done.
    async fn resize(&self, size: TerminalSize) -> Result<()>;

    /// Its exit code, once its output has ended. A command may run on after it has closed its streams. Then it is
    /// waited for, for up to `within`.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    async fn exit_code(&self, within: Duration) -> Result<i64>;
}
