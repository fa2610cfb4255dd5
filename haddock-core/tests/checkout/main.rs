//! What is checked out, in repositories that git itself has made.

mod dirty;
mod files;
mod repository;

use haddock_core::image::TagTemplate;
use haddock_core::vcs;
use haddock_core::{ErrorKind, Timestamp};
use repository::{Repository, git_in, revision_of};

#[test]
fn branch_commit_time_and_source_are_read() {
    let made = Repository::new();
    made.git("remote add origin https://ci:s3cret@host/shop.git");
    let revision = made.revision();
    assert_eq!(revision.branch.as_deref(), Some("main"));
    assert_eq!(revision.commit, made.git("rev-parse HEAD"));
    assert!(!revision.dirty);
    assert_eq!(revision.source.as_deref(), Some("https://host/shop.git"));
    assert_eq!(revision.committed, Some(Timestamp::from_millis(1_700_000_000_000)));
    let below = made.folder.join("some/folder");
    std::fs::create_dir_all(&below).expect("folders");
    assert_eq!(revision_of(&below), revision, "the folder is below");
    std::os::unix::fs::symlink(&below, made.beside("link")).expect("a link");
    assert_eq!(revision_of(&made.beside("link")), revision, "the folder is a link");
}

#[test]
fn the_next_commit_is_another_revision() {
    let made = Repository::new();
    let first = made.revision();
    made.write("file", "two\n");
    let commit = made.commit("second");
    assert_ne!(first.commit, commit);
    assert_eq!(made.revision().commit, commit);
    made.git("pack-refs --all");
    made.git("gc --quiet");
    assert_eq!(made.revision().commit, commit, "packed");
}

#[test]
fn where_nothing_is_checked_out_there_is_no_revision() {
    let made = Repository::new();
    std::fs::create_dir(made.beside("plain")).expect("a folder");
    assert_eq!(vcs::revision(&made.beside("plain")), Ok(None));
    made.git("clone --quiet --bare . ../bare");
    assert_eq!(vcs::revision(&made.beside("bare")), Ok(None));
    let missing = vcs::revision(&made.beside("missing")).expect_err("no folder");
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[test]
fn before_the_first_commit_there_is_only_a_branch() {
    let made = Repository::empty();
    let error = vcs::revision(&made.folder).expect_err("no commit");
    assert_eq!((error.kind(), error.hint().is_some()), (ErrorKind::NotFound, true), "{error}");
    assert_eq!(vcs::branch_in(&made.folder, &|_| None), Ok(Some("main".to_owned())));
}

#[test]
fn ci_names_the_branch_of_a_commit_that_is_checked_out() {
    let made = Repository::new();
    let of_github = |name: &str| match name {
        "GITHUB_ACTIONS" => Some("true".to_owned()),
        "GITHUB_REF_NAME" => Some("feature/login".to_owned()),
        _ => None,
    };
    let of_user = |name: &str| (name == "HADDOCK_BRANCH").then(|| "mine".to_owned());
    let branch = |variables: &dyn Fn(&str) -> Option<String>| {
        let revision = vcs::revision_in(&made.folder, variables).expect("readable").expect("a repository");
        assert_eq!(vcs::branch_in(&made.folder, variables), Ok(revision.branch.clone()));
        revision.branch
    };
    assert_eq!(branch(&of_github).as_deref(), Some("main"), "what is checked out is known");
    assert_eq!(branch(&of_user).as_deref(), Some("mine"));
    made.git("checkout --quiet --detach");
    assert_eq!(branch(&|_| None), None);
    assert_eq!(branch(&of_github).as_deref(), Some("feature/login"));
    assert_eq!(branch(&of_user).as_deref(), Some("mine"));
    assert_eq!(made.revision().tag().expect("a tag"), made.git("rev-parse --short=7 HEAD"));
}

#[test]
fn worktrees_shallow_clones_and_submodules_have_their_own() {
    let made = Repository::new();
    let first = made.git("rev-parse HEAD");
    made.git("worktree add --quiet -b other ../worktree");
    made.write("file", "two\n");
    let second = made.commit("second");
    let worktree = revision_of(&made.beside("worktree"));
    assert_eq!((worktree.branch.as_deref(), worktree.commit), (Some("other"), first));

    let address = format!("file://{}", made.folder.display());
    git_in(&made.beside(""), &["clone", "--quiet", "--depth=1", &address, "shallow"]);
    let shallow = revision_of(&made.beside("shallow"));
    assert_eq!((shallow.branch.as_deref(), shallow.commit, shallow.dirty), (Some("main"), second.clone(), false));

    let outer = Repository::new();
    outer.run(&["submodule", "--quiet", "add", &address, "inner"]);
    outer.commit("with a submodule");
    assert!(!outer.revision().dirty);
    assert_eq!(revision_of(&outer.folder.join("inner")).commit, second);
    assert_ne!(outer.revision().commit, second);
}

#[test]
fn formats_that_cannot_be_read_have_an_error_with_the_fix() {
    let made = Repository::new();
    for words in ["init --quiet --object-format=sha256 ../sha256", "init --quiet --ref-format=reftable ../reftable"] {
        made.git(words);
        let folder = made.beside(words.rsplit('/').next().expect("a name"));
        git_in(&folder, &["commit", "--quiet", "--allow-empty", "-m", "first"]);
        let error = vcs::revision(&folder).expect_err(words);
        assert_eq!(error.kind(), ErrorKind::NotSupported, "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("--tag")), "{error:?}");
    }
}

/// Git itself has these branches, and each has a tag of its own.
#[test]
fn a_hundred_odd_branches_have_a_hundred_tags() {
    let made = Repository::new();
    let names = (0..100).map(|n| match n % 10 {
        0 => format!("feature/{n}"),
        1 => format!("Größe-{n}"),
        2 => format!("🎉{n}"),
        3 => format!("{}{n}", "x".repeat(200)),
        4 => format!("users/o'brien/{n}"),
        5 => format!("fix#{n}"),
        6 => format!("{n}%20space"),
        7 => format!("dependabot/npm_and_yarn/@types/node-{n}.0.1"),
        8 => format!("\"{n}\";$(x)&|<>`!"),
        _ => format!("refs/heads/origin/{n}"),
    });
    let mut tags = std::collections::BTreeSet::new();
    for name in names {
        made.run(&["symbolic-ref", "HEAD", &format!("refs/heads/{name}")]);
        assert_eq!(vcs::branch_in(&made.folder, &|_| None), Ok(Some(name.clone())));
        made.run(&["update-ref", "HEAD", "main"]);
        let revision = made.revision();
        assert_eq!(revision.branch, Some(name));
        tags.insert(TagTemplate::default().tag(&revision).expect("a tag"));
    }
    assert_eq!(tags.len(), 100);
}

/// In a container of a CI system, the folder is often another user's. Git refuses to read it.
#[test]
fn the_repository_of_another_user_is_read_but_runs_nothing() {
    let made = Repository::new();
    let told = made.beside("told");
    made.write(".gitattributes", "* filter=spy\n");
    let commit = made.commit("attributes");
    made.run(&["config", "filter.spy.clean", &format!("tee {}", told.display())]);
    made.run(&["config", "core.fsmonitor", &format!("touch {}", told.display())]);
    made.write("file", "one\n");
    let root = std::os::unix::fs::chown(&made.folder, Some(4_321), None).is_ok();
    if !root {
        eprintln!("skipped: only root can give files to another user");
        return;
    }
    let owned = std::process::Command::new("chown").args(["-R", "4321"]).arg(&made.folder).status();
    assert!(owned.expect("chown").success());
    let revision = made.revision();
    assert_eq!((revision.branch.as_deref(), revision.commit, revision.dirty), (Some("main"), commit, false));
    assert!(!told.exists(), "a program of another user has run");
    made.write("file", "two\n");
    assert!(made.revision().dirty);
    assert!(!told.exists(), "a program of another user has run");
}
