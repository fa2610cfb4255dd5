//! A tree is dirty if `git describe --dirty` says so, and git finds everything as it was.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use crate::repository::Repository;

/// Whether it is dirty. What git says of it must be the same.
#[track_caller]
fn dirty(made: &Repository) -> bool {
    let index = made.folder.join(".git/index");
    let before = std::fs::read(&index).expect("an index");
    let ours = made.revision().dirty;
    assert_eq!(std::fs::read(&index).expect("an index"), before, "the index was written");
    assert_eq!(ours, made.git("describe --always --dirty --exclude=*").ends_with("-dirty"), "ours, and git's");
    ours
}

#[test]
fn files_that_differ_count_staged_or_not() {
    let made = Repository::new();
    assert!(!dirty(&made));
    made.write("file", "two\n");
    assert!(dirty(&made));
    made.git("add file");
    assert!(dirty(&made), "staged");
    made.write("file", "one\n");
    assert!(dirty(&made), "staged, and then as it was");
    made.git("add file");
    assert!(!dirty(&made));
    std::fs::remove_file(made.folder.join("file")).expect("a file");
    assert!(dirty(&made), "removed");
    made.git("checkout --quiet file");
    assert!(!dirty(&made));
    made.git("mv file other");
    assert!(dirty(&made), "renamed");
}

#[test]
fn files_that_git_does_not_know_do_not_count() {
    let made = Repository::new();
    made.write("new", "x");
    std::fs::create_dir(made.folder.join("folder")).expect("a folder");
    made.write("folder/new", "x");
    assert!(!dirty(&made));
    made.git("add --intent-to-add new");
    assert!(dirty(&made), "known, without its content");
}

#[test]
fn the_same_content_at_another_time_does_not_count() {
    let made = Repository::new();
    made.write("file", "one\n");
    let file = std::fs::File::options().write(true).open(made.folder.join("file")).expect("a file");
    file.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000)).expect("a time");
    // Git refreshes the index, so ours comes first.
    assert!(!made.revision().dirty);
    assert!(!dirty(&made));
}

#[test]
fn modes_and_kinds_of_files_count_if_git_tracks_them() {
    let made = Repository::new();
    let file = made.folder.join("file");
    std::fs::set_permissions(&file, Permissions::from_mode(0o755)).expect("a mode");
    assert!(dirty(&made));
    made.git("config core.fileMode false");
    assert!(!dirty(&made));
    std::fs::remove_file(&file).expect("a file");
    std::os::unix::fs::symlink("one\n", &file).expect("a link");
    assert!(dirty(&made), "a link with the same content");
}

#[test]
fn what_the_user_told_git_to_skip_does_not_count() {
    let made = Repository::new();
    made.git("update-index --assume-unchanged file");
    made.write("file", "another\n");
    assert!(!dirty(&made));
    made.git("update-index --no-assume-unchanged file");
    assert!(dirty(&made));
    made.git("update-index --skip-worktree file");
    assert!(!dirty(&made), "as in a sparse checkout");
}

#[test]
fn a_sparse_checkout_lacks_files_and_is_clean() {
    let made = Repository::new();
    for folder in ["in", "out"] {
        std::fs::create_dir(made.folder.join(folder)).expect("a folder");
        made.write(&format!("{folder}/file"), "x");
    }
    made.commit("two folders");
    made.git("sparse-checkout set in");
    assert!(!made.folder.join("out").exists(), "git has left it out");
    assert!(!dirty(&made));
    made.write("in/file", "other");
    assert!(dirty(&made));
    made.git("checkout --quiet in");
    made.git("sparse-checkout reapply --sparse-index");
    let error = haddock_core::vcs::revision(&made.folder).expect_err("an index of folders");
    assert!(error.hint().is_some_and(|hint| hint.contains("--no-sparse-index")), "{error:?}");
    made.git("sparse-checkout reapply --no-sparse-index");
    assert!(!dirty(&made), "after what the hint says");
}

#[test]
fn a_conflict_counts() {
    let made = Repository::new();
    made.git("checkout --quiet -b other");
    made.write("file", "other\n");
    made.commit("other");
    made.git("checkout --quiet main");
    made.write("file", "mine\n");
    made.commit("mine");
    let words = ["-c", "user.name=A", "-c", "user.email=a@b", "merge", "--quiet", "other"];
    let merge = std::process::Command::new("git").current_dir(&made.folder).args(words).output().expect("git");
    assert!(!merge.status.success(), "a conflict");
    assert!(dirty(&made));
}

#[test]
fn line_ends_are_compared_as_git_keeps_them() {
    let made = Repository::new();
    made.git("config core.autocrlf true");
    std::fs::remove_file(made.folder.join("file")).expect("a file");
    made.git("checkout --quiet file");
    assert_eq!(std::fs::read(made.folder.join("file")).expect("a file"), b"one\r\n");
    made.write("file", "one\r\n");
    assert!(!made.revision().dirty, "the content must be compared");
    assert!(!dirty(&made));
    made.write("file", "two\r\n");
    assert!(dirty(&made));
}

#[test]
fn a_submodule_counts_at_another_commit_or_with_changed_files() {
    let inner = Repository::new();
    let made = Repository::new();
    let address = inner.folder.to_str().expect("text");
    made.run(&["submodule", "--quiet", "add", address, "inner"]);
    made.commit("a submodule");
    assert!(!dirty(&made));
    made.write("inner/new", "x");
    assert!(!dirty(&made), "files in it that its git does not know");
    made.write("inner/file", "two\n");
    assert!(dirty(&made), "changed files in it");
    made.git("-C inner add file");
    assert!(dirty(&made), "staged in it");
    made.git("-C inner commit --quiet -m more");
    assert!(dirty(&made), "another commit of it");
    made.commit("as it is now");
    assert!(!dirty(&made));
    made.git("submodule --quiet deinit --force inner");
    assert!(!dirty(&made), "not checked out");
}

/// As `git lfs` does it: git keeps something else than the folder has, and a program makes one from the other.
#[test]
fn what_a_filter_keeps_elsewhere_is_no_difference() {
    let made = Repository::new();
    made.run(&["config", "filter.large.clean", "tr a-z A-Z"]);
    made.run(&["config", "filter.large.smudge", "tr A-Z a-z"]);
    made.run(&["config", "filter.large.required", "true"]);
    made.write(".gitattributes", "*.bin filter=large\n");
    made.write("big.bin", "content\n");
    made.commit("a large file");
    assert_eq!(made.git("show HEAD:big.bin"), "CONTENT");
    assert!(!dirty(&made));
    // The same again, at another time: the content must be compared, by the filter.
    made.write("big.bin", "content\n");
    assert!(!made.revision().dirty);
    assert!(!dirty(&made));
    made.write("big.bin", "changed\n");
    assert!(dirty(&made));
}
