//! Commands within containers, with their streams in the caller's hands.

use std::io::ErrorKind as Io;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bollard::container::LogOutput;
use bollard::exec::{ResizeExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::DockerRuntime;
use super::client::Client;
use super::error::{translate, unavailable};
use crate::container::{AttachSpec, ContainerId, Output, OutputStream, TerminalSize};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{Attached, CommandControl, CommandInput};
use crate::time::sleep;

/// Bytes that are read at a time: the engine writes frames of up to 32 KiB.
const READ_BYTES: usize = 64 * 1024;
/// How often the first size of a terminal is tried, and the pause after the first time; docker's own client does the same.
const MAX_RESIZE_ATTEMPTS: u32 = 10;
const RESIZE_PAUSE: Duration = Duration::from_millis(10);
/// How often it is looked whether a command has ended after its streams have.
const EXIT_POLL_INTERVAL: Duration = Duration::from_millis(50);

impl DockerRuntime {
    pub(super) async fn attach_to(&self, container: &ContainerId, command: &AttachSpec) -> Result<Attached> {
        let what = format!("run a command in container `{container}`");
        let tty = command.terminal.is_some();
        let config = ExecConfig {
            cmd: Some(command.command.clone()),
            env: Some(command.environment.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect()),
            attach_stdin: Some(command.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(tty),
            // Known since API 1.42.
            console_size: command.terminal.map(|it| vec![usize::from(it.rows), usize::from(it.columns)]),
            ..Default::default()
        };
        let created = self.client.read(&what, self.client.docker.create_exec(&container.0, config)).await?;
        let options = StartExecOptions { detach: false, tty, output_capacity: Some(READ_BYTES) };
        // The engine answers once it has started the command. On a busy engine that may take long.
        let started = self.client.change(&what, self.client.docker.start_exec(&created.id, Some(options))).await?;
        let StartExecResults::Attached { output, input } = started.map_err(|error| translate(&what, &error))? else {
            return Err(unavailable(&what, "the engine has started it without its streams"));
        };
        let control = Control { client: self.client.clone(), exec: created.id, what: what.clone(), tty };
        if let Some(size) = command.terminal {
            control.size_at_first(size).await;
        }
        let mut input = Input { open: Some(input), what: what.clone() };
        if !command.stdin {
            input.close().await?;
        }
        let output = output.filter_map(move |frame| {
            let what = what.clone();
            async move { frame.map_err(|error| translate(&what, &error)).map(written).transpose() }
        });
        Ok(Attached { input: Box::new(input), output: until_error(output.boxed()), control: Box::new(control) })
    }
}

/// What a frame says that the command has written.
fn written(frame: LogOutput) -> Option<Output> {
    let (stream, message) = match frame {
        LogOutput::StdOut { message } | LogOutput::Console { message } => (OutputStream::Stdout, message),
        LogOutput::StdErr { message } => (OutputStream::Stderr, message),
        LogOutput::StdIn { .. } => return None,
    };
    Some(Output { stream, bytes: message.to_vec() })
}

/// After an error nothing more is read.
fn until_error(output: BoxStream<'static, Result<Output>>) -> BoxStream<'static, Result<Output>> {
    stream::unfold(Some(output), |output| async move {
        let mut output = output?;
        let item = output.next().await?;
        let rest = item.is_ok().then_some(output);
        Some((item, rest))
    })
    .boxed()
}

struct Input {
    open: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    what: String,
}

/// Whether the other side has ended the connection, so that the command reads no more.
fn has_ended(error: &std::io::Error) -> bool {
    matches!(error.kind(), Io::BrokenPipe | Io::ConnectionReset | Io::ConnectionAborted | Io::NotConnected)
}

#[async_trait]
impl CommandInput for Input {
    async fn write(&mut self, bytes: &[u8]) -> Result<bool> {
        let Some(input) = &mut self.open else { return Ok(false) };
        let sent = async {
            input.write_all(bytes).await?;
            input.flush().await
        };
        match sent.await {
            Ok(()) => Ok(true),
            Err(error) if has_ended(&error) => {
                self.open = None;
                Ok(false)
            }
            Err(error) => Err(unavailable(&self.what, &error.to_string())),
        }
    }

    async fn close(&mut self) -> Result<()> {
        let Some(mut input) = self.open.take() else { return Ok(()) };
        // This closes half of the connection. The output goes on.
        match input.shutdown().await {
            Err(error) if !has_ended(&error) => Err(unavailable(&self.what, &error.to_string())),
            _ => Ok(()),
        }
    }
}

struct Control {
    client: Client,
    exec: String,
    what: String,
    tty: bool,
}

impl Control {
    /// Engines refuse a size until the program has its terminal, a moment after they report its start. A program that
    /// has ended has no terminal.
    async fn size_at_first(&self, size: TerminalSize) {
        for attempt in 1..=MAX_RESIZE_ATTEMPTS {
            if self.resize(size).await.is_ok() {
                return;
            }
            sleep(RESIZE_PAUSE * attempt).await;
        }
    }
}

#[async_trait]
impl CommandControl for Control {
    async fn resize(&self, size: TerminalSize) -> Result<()> {
        if !self.tty {
            return Ok(());
        }
        let size = ResizeExecOptions { height: size.rows, width: size.columns };
        self.client.read(&self.what, self.client.docker.resize_exec(&self.exec, size)).await
    }

    async fn exit_code(&self, within: Duration) -> Result<i64> {
        let ended = async {
            loop {
                let seen = self.client.read(&self.what, self.client.docker.inspect_exec(&self.exec)).await?;
                match seen.exit_code {
                    Some(code) if seen.running != Some(true) => return Ok(code),
                    _ => sleep(EXIT_POLL_INTERVAL).await,
                }
            }
        };
        match timeout(within, ended).await {
            Ok(ended) => ended,
            Err(_) => {
                let message = format!("cannot {}: it has closed its streams, and has not ended", self.what);
                Err(Error::new(ErrorKind::TimedOut, message))
            }
        }
    }
}
