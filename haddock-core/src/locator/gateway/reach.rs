//! The path of a Unix socket, which may have 107 bytes at most (`unix(7)`). That of a state directory may be longer.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

const MAX_BYTES: usize = 107;

/// A path by which a socket can be reached, as long as this lives.
#[derive(Debug)]
pub(super) struct Reach {
    path: PathBuf,
    _directory: Option<File>,
}

impl Reach {
    /// That of the socket at this path. If it is too long, it leads through the open directory.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if path.as_os_str().len() <= MAX_BYTES {
            return Ok(Self { path: path.to_owned(), _directory: None });
        }
        let directory = File::open(parent)?;
        let path = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
        Ok(Self { path, _directory: Some(directory) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn a_socket_with_a_long_path_is_reached_by_a_short_one() {
        let dir = tempfile::tempdir().expect("a directory");
        for directory in [dir.path().to_owned(), dir.path().join("long".repeat(50))] {
            std::fs::create_dir_all(&directory).expect("ours");
            let path = directory.join("gateway.sock");
            let listener = UnixListener::bind(Reach::of(&path).expect("a directory").path()).expect("it is free");
            assert!(path.exists());
            UnixStream::connect(Reach::of(&path).expect("a directory").path()).expect("it listens");
            listener.accept().expect("somebody is there");
        }
        assert!(Reach::of(&dir.path().join("none".repeat(50)).join("gateway.sock")).is_err());
    }
}
