//! The archive of a context, made while it is sent.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread;

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use super::entry::{Content, Entry};
use super::header::{headers, padding};
use super::reading::Reading;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::ContextArchive;

/// The size of a piece in bytes: large enough that handing it over costs nothing beside reading it.
const PIECE_BYTES: usize = 256 * 1024;
/// How many pieces are ready before the builder asks for them.
const PIECES_AHEAD: usize = 4;
/// An archive ends with two blocks of zeros.
const END: [u8; 1024] = [0; 1024];

/// The archive of these entries, read by a thread that waits whenever the stream is not polled.
pub(super) fn archive(entries: Arc<Vec<Entry>>) -> ContextArchive {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    let write = move || {
        let mut pieces = Pieces { sender, piece: Vec::new() };
        if let Err(error) = entries.iter().try_for_each(|entry| pieces.entry(entry)).and_then(|()| pieces.end()) {
            // Fails if the stream was dropped: then nobody wants to know.
            let _ = pieces.sender.blocking_send(Err(error));
        }
    };
    match thread::Builder::new().name("haddock-context".to_owned()).spawn(write) {
        Ok(thread) => stream::unfold(Some((receiver, thread)), next).boxed(),
        Err(error) => stream::iter([Err(no_thread(&error))]).boxed(),
    }
}

/// These entries, with what `replaced` gives in place of some, or in addition.
pub(super) fn with_replaced(mut entries: Vec<Entry>, replaced: BTreeMap<String, Vec<u8>>) -> Vec<Entry> {
    for (path, text) in replaced {
        match entries.binary_search_by(|entry| entry.path.as_slice().cmp(path.as_bytes())) {
            Ok(found) => entries[found].content = Content::Text(text),
            Err(place) => entries.insert(place, Entry::text(&path, text)),
        }
    }
    entries
}

type Reader = (mpsc::Receiver<Result<Vec<u8>>>, thread::JoinHandle<()>);

async fn next(reader: Option<Reader>) -> Option<(Result<Vec<u8>>, Option<Reader>)> {
    let (mut receiver, thread) = reader?;
    match receiver.recv().await {
        Some(Ok(piece)) => Some((Ok(piece), Some((receiver, thread)))),
        Some(Err(error)) => Some((Err(error), None)),
        // The thread is over. If it panicked, the archive is not whole, and must not look as if it was.
        None => thread.join().err().map(|_| (Err(panicked()), None)),
    }
}

struct Pieces {
    sender: mpsc::Sender<Result<Vec<u8>>>,
    piece: Vec<u8>,
}

impl Pieces {
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.put(&headers(entry))?;
        match &entry.content {
            Content::Folder | Content::Fifo | Content::Link(_) => Ok(()),
            Content::Text(text) => {
                self.put(text)?;
                self.pad(text.len() as u64)
            }
            Content::File { source, stamp } => {
                let mut reading = Reading::open(source, *stamp)?;
                while {
                    let room = self.room()?;
                    reading.read(&mut self.piece, room)?
                } {}
                self.pad(stamp.size)
            }
        }
    }

    fn end(&mut self) -> Result<()> {
        self.put(&END)?;
        self.send()
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(self.room()?.min(bytes.len()));
            self.piece.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        self.put(&END[..padding(size)])
    }

    /// The room in the piece, after it was sent if it was full.
    fn room(&mut self) -> Result<usize> {
        if self.piece.len() == PIECE_BYTES {
            self.send()?;
        }
        if self.piece.capacity() == 0 {
            self.piece.reserve_exact(PIECE_BYTES);
        }
        Ok(PIECE_BYTES - self.piece.len())
    }

    fn send(&mut self) -> Result<()> {
        let piece = std::mem::take(&mut self.piece);
        self.sender
            .blocking_send(Ok(piece))
            .map_err(|_| Error::new(ErrorKind::Io, "the build does not read its context"))
    }
}

fn no_thread(error: &io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot start a thread that reads the context: {error}"))
        .with_hint("raise the limit of processes, `ulimit -u`")
}

fn panicked() -> Error {
    Error::new(ErrorKind::Panicked, "the thread that reads the context panicked")
}
