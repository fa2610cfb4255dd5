//! Repositories made by git, in folders that vanish.

use std::path::{Path, PathBuf};
use std::process::Command;

use haddock_core::image::Revision;
use haddock_core::vcs;
use tempfile::TempDir;

/// A repository with the file `file`, committed on the branch `main`.
pub(crate) struct Repository {
    holder: TempDir,
    pub(crate) folder: PathBuf,
}

impl Repository {
    pub(crate) fn new() -> Self {
        let empty = Self::empty();
        empty.write("file", "one\n");
        empty.commit("first");
        empty
    }

    pub(crate) fn empty() -> Self {
        let holder = TempDir::new().expect("a folder");
        let folder = holder.path().join("repository");
        std::fs::create_dir(&folder).expect("a folder");
        let made = Self { holder, folder };
        made.git("init --quiet --initial-branch=main");
        made
    }

    /// A path beside the repository, in no repository.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.holder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).expect("a file");
    }

    pub(crate) fn commit(&self, message: &str) -> String {
        self.git("add --all");
        self.run(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git("rev-parse HEAD")
    }

    /// Runs git with these words, without arguments that hold a space.
    pub(crate) fn git(&self, words: &str) -> String {
        self.run(&words.split(' ').collect::<Vec<_>>())
    }

    pub(crate) fn run(&self, words: &[&str]) -> String {
        git_in(&self.folder, words)
    }

    pub(crate) fn revision(&self) -> Revision {
        revision_of(&self.folder)
    }
}

pub(crate) fn revision_of(folder: &Path) -> Revision {
    vcs::revision(folder).expect("it can be read").expect("a repository")
}

pub(crate) fn git_in(folder: &Path, words: &[&str]) -> String {
    let mut command = Command::new("git");
    // A submodule from a folder, and names and dates that are the same on every machine.
    command.current_dir(folder).args(["-c", "protocol.file.allow=always"]).args(words);
    for (name, value) in [("NAME", "Ada"), ("EMAIL", "ada@example.com"), ("DATE", "1700000000 +0100")] {
        command.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
    }
    let told = command.output().expect("git is installed");
    assert!(told.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&told.stderr));
    String::from_utf8(told.stdout).expect("text").trim_end().to_owned()
}
