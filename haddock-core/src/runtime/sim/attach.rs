//! A command of the simulated engine: it reads all of its input, and then writes all of its output.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use crate::container::{Executed, Output, OutputStream, TerminalSize};
use crate::error::Result;
use crate::runtime::{Attached, CommandControl, CommandInput};

pub(super) fn attach(stdin: bool, run: impl FnOnce(&[u8]) -> Executed + Send + 'static) -> Attached {
    let ended = watch::Sender::new(None);
    let receiver = ended.subscribe();
    let mut input = Input { run: Some(Box::new(run)), read: Vec::new(), ended };
    if !stdin {
        input.end();
    }
    let mut output = receiver.clone();
    let output = stream::once(async move {
        let ran = wait(&mut output).await;
        let parts = [(OutputStream::Stdout, ran.stdout.clone()), (OutputStream::Stderr, ran.stderr.clone())];
        let parts = parts.into_iter().filter(|(_, bytes)| !bytes.is_empty());
        stream::iter(parts.map(|(stream, bytes)| Ok(Output { stream, bytes })))
    });
    Attached { input: Box::new(input), output: output.flatten().boxed(), control: Box::new(Control(receiver)) }
}

async fn wait(ended: &mut watch::Receiver<Option<Arc<Executed>>>) -> Arc<Executed> {
    let ran = ended.wait_for(Option::is_some).await.ok().and_then(|ran| ran.clone());
    ran.unwrap_or_default()
}

/// Runs it on the input that it has read.
type Run = Box<dyn FnOnce(&[u8]) -> Executed + Send>;

struct Input {
    run: Option<Run>,
    read: Vec<u8>,
    ended: watch::Sender<Option<Arc<Executed>>>,
}

impl Input {
    fn end(&mut self) {
        if let Some(run) = self.run.take() {
            self.ended.send_replace(Some(Arc::new(run(&self.read))));
        }
    }
}

/// If the caller goes away, the input ends.
impl Drop for Input {
    fn drop(&mut self) {
        self.end();
    }
}

#[async_trait]
impl CommandInput for Input {
    async fn write(&mut self, bytes: &[u8]) -> Result<bool> {
        self.read.extend_from_slice(bytes);
        Ok(self.run.is_some())
    }

    async fn close(&mut self) -> Result<()> {
        self.end();
        Ok(())
    }
}

struct Control(watch::Receiver<Option<Arc<Executed>>>);

#[async_trait]
impl CommandControl for Control {
    async fn resize(&self, _size: TerminalSize) -> Result<()> {
        Ok(())
    }

    async fn exit_code(&self, _within: Duration) -> Result<i64> {
        Ok(wait(&mut self.0.clone()).await.exit_code)
    }
}
