//! Messages and file descriptors between two processes, over a Unix socket.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The lock and three listeners.
const MAX_DESCRIPTORS: usize = 4;
/// Far more than the figures of all instances take.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// A connection to the other gateway.
#[derive(Debug)]
pub(super) struct Wire(UnixStream);

impl Wire {
    /// Each answer has to come within this time.
    pub(super) fn new(stream: UnixStream, patience: Duration) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self(stream))
    }

    /// Each answer has to come within this time. `None`: it may take for ever.
    pub(super) fn wait(&self, patience: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(patience)
    }

    /// The same connection, to end it.
    pub(super) fn again(&self) -> io::Result<UnixStream> {
        self.0.try_clone()
    }

    pub(super) fn send(&mut self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let payload = postcard::to_allocvec(message).map_err(io::Error::other)?;
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let bytes = [&length.to_le_bytes(), payload.as_slice()].concat();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("too many file descriptors"));
        }
        let sent = rustix::net::sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
        self.0.write_all(&bytes[sent..])
    }

    /// The next message, and the descriptors that came with it.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<(T, Vec<OwnedFd>)> {
        let mut descriptors = Vec::new();
        let mut length = [0; 4];
        let mut filled = 0;
        while filled < length.len() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let into = &mut [IoSliceMut::new(&mut length[filled..])];
            let received = rustix::net::recvmsg(&self.0, into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(those) = message {
                    descriptors.extend(those);
                }
            }
            if received.bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += received.bytes;
        }
        let length = usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?;
        if length > MAX_MESSAGE_BYTES {
            return Err(io::Error::other("a message that is too long"));
        }
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload)?;
        Ok((postcard::from_bytes(&payload).map_err(io::Error::other)?, descriptors))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Seek as _;
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn a_message_comes_with_its_descriptors() {
        let (one, other) = UnixStream::pair().expect("a pair");
        let mut ends = [one, other].map(|end| Wire::new(end, Duration::from_secs(5)).expect("a wire"));
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"here").expect("room");
        ends[0].send(&("first", 1_u8), &[]).expect("sent");
        ends[0].send(&("second", 2_u8), &[file.as_fd(), file.as_fd()]).expect("sent");
        let (message, descriptors) = ends[1].receive::<(String, u8)>().expect("received");
        assert_eq!((message.0.as_str(), message.1, descriptors.len()), ("first", 1, 0));
        let (message, descriptors) = ends[1].receive::<(String, u8)>().expect("received");
        assert_eq!((message.0.as_str(), message.1, descriptors.len()), ("second", 2, 2));
        let mut same = File::from(descriptors.into_iter().next().expect("one"));
        same.rewind().expect("a file");
        let mut text = String::new();
        same.read_to_string(&mut text).expect("a file");
        assert_eq!(text, "here");
        let [gone, mut left] = ends;
        drop(gone);
        assert!(left.receive::<()>().is_err());
    }
}
