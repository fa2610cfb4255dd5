//! The files of the record: one for each day and service.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::entry::{self, Content, Entry, HEADER, Names};
use super::recorder::{DAY, day};
use crate::name::ServiceName;
use crate::time::Timestamp;

/// The days that are kept. A day with traffic in each minute takes about 14 KB for each instance.
pub(super) const MOST_DAYS: usize = 90;
/// The size at which older days are forgotten, even if they are fewer.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// The files of a service.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    service: ServiceName,
    open: Option<Open>,
}

/// The file to which entries are appended.
#[derive(Debug)]
struct Open {
    day: u64,
    file: File,
    names: Names,
}

impl Files {
    pub(super) fn new(folder: PathBuf, service: &ServiceName) -> Self {
        Self { folder, service: service.clone(), open: None }
    }

    /// Appends an entry to the file of its day. It is not synced: after a power failure, the last minutes may be missing.
    pub(super) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let day = day(entry.until);
        let mut open = match self.open.take().filter(|open| open.day == day) {
            Some(open) => open,
            None => self.open(day)?,
        };
        if let Some(bytes) = entry::write(entry, &mut open.names) {
            // After half a write the file is opened anew, which cuts that half off.
            open.file.write_all(&bytes)?;
        }
        self.open = Some(open);
        Ok(())
    }

    fn open(&self, day: u64) -> io::Result<Open> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let path = self.path(day);
        let content = match fs::read(&path) {
            Ok(bytes) if HEADER.starts_with(&bytes) => None,
            Ok(bytes) => Some(entry::read(&bytes).ok_or_else(|| {
                let what = format!("`{}` is no record that this Haddock can read", path.display());
                io::Error::new(ErrorKind::InvalidData, what)
            })?),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let names = match content {
            Some(Content { names, length, .. }) => {
                file.set_len(length as u64)?;
                names
            }
            None => {
                self.forget_oldest(&path);
                file.set_len(0)?;
                file.write_all(HEADER)?;
                Names::default()
            }
        };
        Ok(Open { day, file, names })
    }

    fn path(&self, day: u64) -> PathBuf {
        self.folder.join(format!("{}.{}", self.service, date(day)))
    }

    /// The files of the service, oldest first.
    fn all(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let ours = |name: &str| name.rsplit_once('.').is_some_and(|(service, _)| service == self.service.as_str());
        let mut files: Vec<PathBuf> =
            entries.filter(|entry| entry.file_name().to_str().is_some_and(ours)).map(|entry| entry.path()).collect();
        files.sort();
        files
    }

    /// Forgets days. They count by their files, so that a clock which was once wrong forgets one day at most.
    fn forget_oldest(&self, new: &Path) {
        let mut bytes = 0;
        for (kept, path) in self.all().iter().rev().filter(|path| *path != new).enumerate() {
            bytes += fs::metadata(path).map_or(0, |metadata| metadata.len());
            if (kept + 1 >= MOST_DAYS || bytes > MOST_BYTES)
                && let Err(error) = fs::remove_file(path)
            {
                tracing::warn!(%error, "an old record of traffic cannot be removed");
            }
        }
    }

    /// The entries of a day, as far as they can be read.
    pub(super) fn read(&self, day: u64) -> Vec<Entry> {
        let bytes = fs::read(self.path(day)).unwrap_or_default();
        entry::read(&bytes).map(|content| content.entries).unwrap_or_default()
    }
}

/// The date of a day, as files are named.
fn date(day: u64) -> String {
    let at = Timestamp::from_millis(day * DAY * 1000).to_string();
    at.split('T').next().unwrap_or_default().to_owned()
}
