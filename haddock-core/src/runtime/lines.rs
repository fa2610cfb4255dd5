//! Logs of runtimes that do not know when a line was written.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::BoxStream;

use crate::container::LogLine;
use crate::error::Result;

/// The lines that are there already.
pub(super) fn all(lines: Vec<String>) -> BoxStream<'static, Result<LogLine>> {
    Box::pin(Lines::Read(lines.into()))
}

/// The lines that are still to come.
pub(super) fn without_times(lines: BoxStream<'static, Result<String>>) -> BoxStream<'static, Result<LogLine>> {
    Box::pin(Lines::Followed(lines))
}

enum Lines {
    Read(VecDeque<String>),
    Followed(BoxStream<'static, Result<String>>),
}

impl Stream for Lines {
    type Item = Result<LogLine>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let text = match &mut *self {
            Self::Read(lines) => Poll::Ready(lines.pop_front().map(Ok)),
            Self::Followed(lines) => lines.as_mut().poll_next(context),
        };
        text.map(|text| text.map(|text| text.map(|text| LogLine { at: None, text })))
    }
}
