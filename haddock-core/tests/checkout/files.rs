//! Files as they were in a commit.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use haddock_core::{ErrorKind, vcs};

use crate::repository::Repository;

#[test]
fn the_files_of_an_earlier_commit_are_written() {
    let made = Repository::new();
    std::fs::create_dir_all(made.folder.join("deploy/bin")).expect("folders");
    made.write("deploy/compose.yaml", "name: old\n");
    made.write("deploy/bin/start", "#!/bin/sh\n");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(made.folder.join("deploy/bin/start"), executable).expect("a mode");
    for (link, target) in [("inside", "deploy/../file"), ("outside", "../../etc"), ("absolute", "/etc")] {
        symlink(target, made.folder.join(link)).expect("a link");
    }
    made.commit("second");
    made.git("tag v1");
    made.write("deploy/compose.yaml", "name: new\n");
    let third = made.commit("third");

    for (commit, text) in [("v1", "name: old\n"), ("HEAD~1", "name: old\n"), (&third[..9], "name: new\n")] {
        let into = tempfile::tempdir().expect("a folder");
        let files = [made.folder.join("deploy/compose.yaml"), made.folder.join("file")];
        let found = vcs::files_at(commit, &files, into.path()).expect(commit);
        assert_eq!(found, [into.path().join("deploy/compose.yaml"), into.path().join("file")]);
        assert_eq!(std::fs::read_to_string(&found[0]).expect("a file"), text, "{commit}");
        let mode = std::fs::metadata(into.path().join("deploy/bin/start")).expect("a file").permissions().mode();
        assert_eq!(mode & 0o111, 0o111);
        assert_eq!(std::fs::read_to_string(into.path().join("inside")).expect("a link"), "one\n");
        for outside in ["outside", "absolute", ".git"] {
            assert!(into.path().join(outside).symlink_metadata().is_err(), "{outside}");
        }
    }
}

#[test]
fn a_commit_or_a_file_that_is_not_there_is_not_found() {
    let made = Repository::new();
    let into = made.beside("into");
    for (commit, file) in [
        ("no-such", made.folder.join("file")),
        ("HEAD", made.beside("file")),
        ("--help", made.folder.join("file")),
        ("", made.folder.join("file")),
    ] {
        let error = vcs::files_at(commit, &[file], &into).expect_err(commit);
        assert_eq!((error.kind(), error.hint().is_some()), (ErrorKind::NotFound, true), "{error}");
    }
    let both = [made.folder.join("file"), PathBuf::from("/etc/passwd")];
    assert_eq!(vcs::files_at("HEAD", &both, &into).expect_err("elsewhere").kind(), ErrorKind::NotFound);
    assert!(!into.exists(), "nothing is written");
}
