//! What containers write, as lines.

use std::collections::VecDeque;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use super::DockerRuntime;
use super::error::{translate, unavailable};
use crate::container::ContainerId;
use crate::error::Result;

/// How long logs may take to read.
const LOGS: Duration = Duration::from_secs(9);

impl DockerRuntime {
    pub(super) async fn container_logs(&self, container: &ContainerId, tail: usize) -> Result<Vec<String>> {
        let what = format!("read the logs of container `{container}`");
        let options =
            LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&tail.to_string()).follow(false).build();
        let read = async {
            let mut lines = Lines::default();
            let mut stream = self.client.docker.logs(&container.0, Some(options));
            while let Some(item) = stream.next().await {
                lines.push(&item.map_err(|error| translate(&what, &error))?);
            }
            Ok(lines.last(tail))
        };
        match timeout(LOGS, read).await {
            Ok(read) => read,
            Err(_) => Err(unavailable(&what, "no answer within 9 s")),
        }
    }

    pub(super) async fn follow_container_logs(
        &self,
        container: &ContainerId,
        tail: usize,
    ) -> Result<BoxStream<'static, Result<String>>> {
        // The stream connects when it is first polled: that there is such a container is asked before.
        let what = format!("follow the logs of container `{container}`");
        let inspected = self.client.docker.inspect_container(&container.0, None).await;
        inspected.map_err(|error| translate(&what, &error))?;
        let options =
            LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&tail.to_string()).follow(true).build();
        let frames = self.client.docker.logs(&container.0, Some(options)).boxed();
        let begin = (frames, Lines::default(), VecDeque::new(), what);
        let followed = stream::unfold(begin, |(mut frames, mut lines, mut ready, what)| async move {
            loop {
                if let Some(line) = ready.pop_front() {
                    return Some((Ok(line), (frames, lines, ready, what)));
                }
                match frames.next().await {
                    Some(Ok(frame)) => {
                        lines.push(&frame);
                        ready.extend(std::mem::take(&mut lines.done));
                    }
                    Some(Err(error)) => {
                        let error = translate(&what, &error);
                        return Some((Err(error), (stream::empty().boxed(), lines, ready, what)));
                    }
                    None => {
                        ready.extend(std::mem::take(&mut lines).last(usize::MAX));
                        if ready.is_empty() {
                            return None;
                        }
                    }
                }
            }
        });
        Ok(followed.boxed())
    }
}

/// Frames of two streams, put together to lines in the order in which they ended.
#[derive(Default)]
pub(super) struct Lines {
    done: Vec<String>,
    open: [Vec<u8>; 2],
}

impl Lines {
    pub(super) fn push(&mut self, frame: &LogOutput) {
        let (stream, bytes) = match frame {
            LogOutput::StdErr { message } => (1, message),
            LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
                (0, message)
            }
        };
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.open[stream].extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.close(stream);
            }
        }
    }

    fn close(&mut self, stream: usize) {
        let line = std::mem::take(&mut self.open[stream]);
        let line = String::from_utf8_lossy(&line);
        self.done.push(line.trim_end_matches(['\n', '\r']).to_owned());
    }

    pub(super) fn last(mut self, tail: usize) -> Vec<String> {
        for stream in 0..2 {
            if !self.open[stream].is_empty() {
                self.close(stream);
            }
        }
        self.done.split_off(self.done.len().saturating_sub(tail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_become_lines_and_streams_are_not_mixed() {
        let mut lines = Lines::default();
        let out = |text: &'static str| LogOutput::StdOut { message: text.into() };
        let err = |text: &'static str| LogOutput::StdErr { message: text.into() };
        for frame in [out("one\ntw"), err("warn"), out("o\r\n"), err("ing\n"), out("last")] {
            lines.push(&frame);
        }
        assert_eq!(lines.last(3), ["two", "warning", "last"]);
    }
}
