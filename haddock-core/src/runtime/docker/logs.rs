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
use crate::container::{ContainerId, LogLine, LogQuery};
use crate::error::Result;
use crate::time::Timestamp;

/// How long logs may take to read.
const LOGS_LIMIT: Duration = Duration::from_secs(9);

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
        match timeout(LOGS_LIMIT, read).await {
            Ok(read) => read,
            Err(_) => Err(unavailable(&what, "no answer within 9 s")),
        }
    }

    pub(super) async fn read_container_log(
        &self,
        container: &ContainerId,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        // The stream connects when it is first polled: that there is such a container is asked before.
        let what = format!("read the logs of container `{container}`");
        self.client.read(&what, self.client.docker.inspect_container(&container.0, None)).await?;
        let tail = query.tail.map_or_else(|| "all".to_owned(), |tail| tail.to_string());
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true);
        let options = options.tail(&tail).follow(query.follow);
        let since = query.since.map(Timestamp::as_millis);
        // The engine takes whole seconds.
        let options = match since.and_then(|millis| i32::try_from(millis / 1000).ok()) {
            Some(seconds) => options.since(seconds).build(),
            None => options.build(),
        };
        let frames = self.client.docker.logs(&container.0, Some(options)).boxed();
        let begin = (frames, TimedLines::default(), VecDeque::new(), what);
        let lines = stream::unfold(begin, |(mut frames, mut lines, mut ready, what)| async move {
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
                        lines.end();
                        ready.extend(std::mem::take(&mut lines.done));
                        if ready.is_empty() {
                            return None;
                        }
                    }
                }
            }
        });
        let old = move |line: &Result<LogLine>| {
            let at = line.as_ref().ok().and_then(|line| line.at);
            at.zip(since).is_none_or(|(at, since)| at.as_millis() >= since)
        };
        Ok(lines.filter(move |line| std::future::ready(old(line))).boxed())
    }

    pub(super) async fn follow_container_logs(
        &self,
        container: &ContainerId,
        tail: usize,
    ) -> Result<BoxStream<'static, Result<String>>> {
        let query = LogQuery { tail: Some(tail), since: None, follow: true };
        let lines = self.read_container_log(container, &query).await?;
        Ok(lines.map(|line| line.map(|line| line.text)).boxed())
    }
}

/// Frames of two streams whose messages begin with their times, put together to lines in the order in which they ended.
#[derive(Default)]
struct TimedLines {
    done: Vec<LogLine>,
    open: [(Option<Timestamp>, Vec<u8>); 2],
}

impl TimedLines {
    fn push(&mut self, frame: &LogOutput) {
        let (stream, bytes, is_message) = match frame {
            LogOutput::StdErr { message } => (1, message, true),
            LogOutput::StdOut { message } | LogOutput::StdIn { message } => (0, message, true),
            // From a terminal comes what there is, and not a message at a time.
            LogOutput::Console { message } => (0, message, false),
        };
        let mut first = is_message;
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let begins = self.open[stream].1.is_empty();
            // A long line comes as several messages, each with a time before it.
            let (at, text) = if first || begins { split_time(part) } else { (None, part) };
            first = false;
            if begins {
                self.open[stream].0 = at;
            }
            self.open[stream].1.extend_from_slice(text);
            if part.ends_with(b"\n") {
                self.close(stream);
            }
        }
    }

    fn close(&mut self, stream: usize) {
        let (at, line) = std::mem::take(&mut self.open[stream]);
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
        self.done.push(LogLine { at, text });
    }

    fn end(&mut self) {
        for stream in 0..2 {
            if !self.open[stream].1.is_empty() {
                self.close(stream);
            }
        }
    }
}

/// The time that a message begins with (RFC 3339, with nanoseconds), and the rest.
fn split_time(message: &[u8]) -> (Option<Timestamp>, &[u8]) {
    // The longest is `2026-11-28T18:50:46.123456789+14:00`.
    let space = message.iter().take(36).position(|byte| *byte == b' ');
    let split = space.and_then(|space| {
        let at: jiff::Timestamp = std::str::from_utf8(&message[..space]).ok()?.parse().ok()?;
        Some((Timestamp::from_millis(u64::try_from(at.as_millisecond()).ok()?), &message[space + 1..]))
    });
    split.map_or((None, message), |(at, rest)| (Some(at), rest))
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
    fn times_are_taken_off_messages_and_parts_of_long_lines() {
        let mut lines = TimedLines::default();
        let at = |second: u32, text: &str| format!("2026-11-28T18:50:{second:02}.123456789Z {text}");
        let out = |text: String| LogOutput::StdOut { message: text.into() };
        lines.push(&out(at(1, "one\n")));
        lines.push(&out(at(2, "long, ")));
        lines.push(&LogOutput::StdErr { message: at(3, "apart\n").into() });
        lines.push(&out(at(4, "and on\n")));
        lines.push(&LogOutput::Console { message: format!("{}{}", at(5, "a\r\n"), at(6, "b\r\n")).into() });
        lines.push(&out("no time\n".to_owned()));
        lines.end();
        let told: Vec<(Option<u64>, &str)> =
            lines.done.iter().map(|it| (it.at.map(|at| at.as_millis() / 1000 % 60), it.text.as_str())).collect();
        let expected = [
            (Some(1), "one"),
            (Some(3), "apart"),
            (Some(2), "long, and on"),
            (Some(5), "a"),
            (Some(6), "b"),
            (None, "no time"),
        ];
        assert_eq!(told, expected);
    }

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
