//! The keys of the cookies' MAC, and the file they are kept in.

use std::fs;
use std::io::{ErrorKind as IoErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// The key that makes cookies, and the one before it, which still opens them while keys are being rotated.
#[derive(Clone)]
pub(super) struct Keys {
    current: [u8; 32],
    previous: Option<[u8; 32]>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    pub(super) fn new(current: [u8; 32], previous: Option<[u8; 32]>) -> Self {
        Self { current, previous }
    }

    pub(super) fn current(&self) -> &[u8; 32] {
        &self.current
    }

    pub(super) fn previous(&self) -> Option<&[u8; 32]> {
        self.previous.as_ref()
    }

    /// Reads the key file: one or two lines of 64 hexadecimal digits, the current key first. Makes one with a new key
    /// if there is none, and says whether it did.
    pub(super) fn from_file(path: &Path) -> Result<(Self, bool)> {
        match fs::metadata(path) {
            Ok(metadata) => {
                owner_only("key", path, &metadata)?;
                let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
                Self::parse(&text).map(|keys| (keys, false)).ok_or_else(|| {
                    let message = format!("key file `{}` is not one or two lines of 64 hex digits", path.display());
                    Error::new(ErrorKind::InvalidValue, message).with_hint("remove it and a new key is made")
                })
            }
            Err(error) if error.kind() == IoErrorKind::NotFound => Self::create(path).map(|keys| (keys, true)),
            Err(error) => Err(unreadable(path, &error)),
        }
    }

    fn create(path: &Path) -> Result<Self> {
        let mut current = [0; 32];
        getrandom::fill(&mut current).map_err(|error| Error::new(ErrorKind::Io, format!("no random key: {error}")))?;
        let text: String = current.iter().map(|byte| format!("{byte:02x}")).chain(["\n".to_owned()]).collect();
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(|error| {
                Error::new(ErrorKind::Io, format!("cannot write key file `{}`: {error}", path.display()))
            })?;
        Ok(Self { current, previous: None })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let current = hex(lines.next()?)?;
        let previous = lines.next().map(hex);
        if lines.next().is_some() || previous == Some(None) {
            return None;
        }
        Some(Self { current, previous: previous.flatten() })
    }
}

/// Reads the token of the admin API: the file's first line.
pub(super) fn read_token(path: &Path) -> Result<String> {
    let unreadable = |error: &std::io::Error| {
        Error::new(ErrorKind::Io, format!("cannot read token file `{}`: {error}", path.display()))
    };
    let metadata = fs::metadata(path).map_err(|error| unreadable(&error))?;
    owner_only("token", path, &metadata)?;
    let text = fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    let token = text.lines().next().unwrap_or_default().trim();
    if token.len() < 16 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("token file `{}` does not begin with a token of 16 or more characters", path.display());
        return Err(Error::new(ErrorKind::InvalidValue, message).with_hint("`openssl rand -hex 32` makes one"));
    }
    Ok(token.to_owned())
}

fn owner_only(what: &str, path: &Path, metadata: &fs::Metadata) -> Result<()> {
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let message = format!("{what} file `{}` has mode {mode:04o}: others may read it", path.display());
    Err(Error::new(ErrorKind::Io, message).with_hint(format!("`chmod 600 {}`, and change the {what}", path.display())))
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(key)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot read key file `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_missing_file_is_made_for_the_owner_alone_and_read_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key");
        let (made, fresh) = Keys::from_file(&path).expect("made");
        assert!(fresh);
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        let (read, fresh) = Keys::from_file(&path).expect("read");
        assert!(!fresh);
        assert_eq!((read.current, read.previous), (made.current, None));
    }

    #[test]
    fn two_lines_are_the_current_and_the_previous_key() {
        let (new, old) = ("ab".repeat(32), "cd".repeat(32));
        let keys = Keys::parse(&format!("{new}\n{old}\n")).expect("two keys");
        assert_eq!((keys.current, keys.previous), ([0xab; 32], Some([0xcd; 32])));
        for bad in ["", "ab", &format!("{new}\nxy"), &format!("{new}\n{old}\n{old}"), &"+a".repeat(32)] {
            assert!(Keys::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key");
        fs::write(&path, "ab".repeat(32)).expect("written");
        for mode in [0o640, 0o604, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("ours");
            let error = Keys::from_file(&path).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::Io);
            assert!(!error.to_string().contains("abab"), "{error}");
        }
    }
}
