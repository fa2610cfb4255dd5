//! A small disk that can be filled up.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::skip;

/// A file system of its own, in memory. Dropped, it is unmounted.
#[derive(Debug)]
pub struct Disk {
    folder: TempDir,
}

impl Disk {
    /// Mounts one of that many mebibytes, if this process may mount.
    ///
    /// # Panics
    /// If there is no room for a folder.
    #[must_use]
    pub fn mount(mebibytes: u32) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("haddock-disk-").tempdir().expect("a folder");
        let size = format!("size={mebibytes}m,mode=0700");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "haddock-test"]).arg(folder.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { folder }),
            Ok(output) => {
                skip(&format!("the right to mount ({})", String::from_utf8_lossy(&output.stderr).trim()));
                None
            }
            Err(error) => {
                skip(&format!("`mount` ({error})"));
                None
            }
        }
    }

    /// Makes it that many mebibytes large. What it holds stays.
    ///
    /// # Panics
    /// If it cannot.
    pub fn grow(&self, mebibytes: u32) {
        let size = format!("remount,size={mebibytes}m");
        let mounted = Command::new("mount").args(["-o", &size]).arg(self.path()).status().expect("`mount` runs");
        assert!(mounted.success(), "it is mounted");
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Fills it up to the last byte.
    ///
    /// # Panics
    /// If the file cannot be made.
    pub fn fill(&self) {
        let mut file = File::create(self.ballast()).expect("a file");
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// Gives the room back.
    ///
    /// # Panics
    /// If it was not filled.
    pub fn free(&self) {
        std::fs::remove_file(self.ballast()).expect("the ballast is there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the journal may still be open in a thread that ends.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
