//! A command that runs within a container, with its streams in the caller's hands.
//!
//! Its three parts may be used at the same time: what writes to it must not wait for what reads from it, since a command
//! that nobody reads from stops reading, too.

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
    /// What it writes, in order; ends when it has closed its streams. Nothing is read ahead: a command whose output is
    /// not taken waits.
    pub output: BoxStream<'static, Result<Output>>,
    /// The rest.
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
    /// Answers `false` if the command reads no more: that is no error, it may have read enough.
    async fn write(&mut self, bytes: &[u8]) -> Result<bool>;

    /// The end of the input. What has been written is read before it. Done again, it changes nothing.
    async fn close(&mut self) -> Result<()>;
}

/// What there is beside the streams of a running command.
#[async_trait]
pub trait CommandControl: Send + Sync {
    /// Its terminal has another size now. Without a terminal it changes nothing.
    async fn resize(&self, size: TerminalSize) -> Result<()>;

    /// Its exit code, once its output has ended. A command that has closed its streams may run on: it is waited for up to
    /// `within`.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    async fn exit_code(&self, within: Duration) -> Result<i64>;
}
