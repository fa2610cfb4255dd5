use std::fs;

use super::folder::Folder;
use super::{Change, ContextDigest, KnownFiles, digest};
use crate::error::ErrorKind;
use crate::time::Timestamp;

const FILES: &[(&str, &str)] =
    &[("Dockerfile", "FROM scratch\n"), ("a", "one"), ("b", "two"), ("sub/c", "three"), ("empty/", "")];
/// A time at which no file of a test is racy.
const LATER: Timestamp = Timestamp::from_millis(u64::MAX);

fn folder() -> Folder {
    let folder = Folder::with(FILES);
    folder.link("link", "a");
    folder
}

fn of(folder: &Folder) -> ContextDigest {
    folder.context().digest(None).expect("a digest")
}

/// As two seconds or more after the last change of a file.
fn later(folder: &Folder, known: Option<&KnownFiles>) -> ContextDigest {
    digest::digest(&folder.context().entries, known, LATER).expect("a digest")
}

#[test]
fn what_does_not_matter_does_not_change_it() {
    let (one, other) = (folder(), folder());
    for (path, _) in FILES {
        other.touch(path, 1);
    }
    other.touch("", 1);
    other.chmod("", 0o711);
    fs::hard_link(other.at("a"), other.at("d")).expect("a second name");
    one.write("d", "one");
    assert_eq!((of(&one).digest, of(&one).files), (of(&other).digest, of(&other).files));
}

/// What is edited, how, and what has changed then.
type Edit = (&'static str, fn(&Folder), Vec<Change>);

#[test]
fn what_matters_changes_it() {
    let edits: Vec<Edit> = vec![
        ("content", |folder| folder.write("a", "eno"), vec![Change::Changed("a".into())]),
        ("longer", |folder| folder.write("a", "one."), vec![Change::Changed("a".into())]),
        ("mode", |folder| folder.chmod("a", 0o755), vec![Change::Changed("a".into())]),
        ("folder's mode", |folder| folder.chmod("empty", 0o700), vec![Change::Changed("empty".into())]),
        ("new", |folder| folder.write("sub/b", ""), vec![Change::Added("sub/b".into())]),
        ("new folder", |folder| folder.write("sub/b/", ""), vec![Change::Added("sub/b".into())]),
        ("gone", |folder| fs::remove_file(folder.at("b")).expect("removed"), vec![Change::Removed("b".into())]),
        (
            "renamed",
            |folder| fs::rename(folder.at("b"), folder.at("z")).expect("renamed"),
            vec![Change::Removed("b".into()), Change::Added("z".into())],
        ),
        (
            "target",
            |folder| {
                fs::remove_file(folder.at("link")).expect("removed");
                folder.link("link", "b");
            },
            vec![Change::Changed("link".into())],
        ),
        (
            "kind",
            |folder| {
                fs::remove_file(folder.at("link")).expect("removed");
                folder.write("link", "a");
            },
            vec![Change::Changed("link".into())],
        ),
    ];
    for (what, edit, changes) in edits {
        let folder = folder();
        let before = later(&folder, None);
        edit(&folder);
        let after = later(&folder, Some(&before.known));
        assert_ne!(after.digest, before.digest, "{what}");
        assert_eq!(after.changes(&before), changes, "{what}");
        assert_eq!(after, later(&folder, None), "{what}: the same without what is known");
        assert!(after.changes(&after).is_empty());
    }
}

/// What is known, with another digest for each file: so it shows where it is used.
fn altered(known: &KnownFiles) -> KnownFiles {
    let mut json = serde_json::to_value(known).expect("JSON");
    for (_, file) in json.as_object_mut().expect("an object") {
        file[4] = "0".repeat(64).into();
    }
    serde_json::from_value(json).expect("what is known")
}

#[test]
fn files_that_are_known_are_not_read_again() {
    let folder = folder();
    let before = later(&folder, None);
    let altered = altered(&before.known);
    let changes = later(&folder, Some(&altered)).changes(&before);
    assert_eq!(changes, ["Dockerfile", "a", "b", "sub/c"].map(|path| Change::Changed(path.into())));

    // The same length, the same time: no program can set the time of the last change of anything.
    let modified = fs::metadata(folder.at("a")).and_then(|it| it.modified()).expect("a time");
    folder.write("a", "eno");
    let file = fs::File::open(folder.at("a")).expect("a file");
    file.set_times(fs::FileTimes::new().set_modified(modified)).expect("times");
    assert_eq!(later(&folder, Some(&before.known)).changes(&before), [Change::Changed("a".into())]);
}

#[test]
fn files_that_have_just_changed_are_read_again() {
    let folder = folder();
    assert_eq!(of(&folder).known, KnownFiles::default());
    let entries = folder.context().entries;
    let changed = fs::metadata(folder.at("a")).and_then(|it| it.modified()).expect("a time");
    let changed = changed.duration_since(std::time::UNIX_EPOCH).expect("a time").as_millis();
    let known = |seconds: i64| {
        let now = Timestamp::from_millis(u64::try_from(changed as i64 + seconds * 1000).expect("a time"));
        let known = digest::digest(&entries, None, now).expect("a digest").known;
        serde_json::to_value(known).expect("JSON").get("a").is_some()
    };
    assert_eq!([-1, 0, 1, 3].map(known), [false, false, false, true]);
    // A time in the future tells nothing.
    folder.touch("a", 1 << 33);
    let now = Timestamp::from_millis(u64::try_from(changed).expect("a time") + 60_000);
    let known = digest::digest(&folder.context().entries, None, now).expect("a digest").known;
    let known = serde_json::to_value(known).expect("JSON");
    assert!(known.get("a").is_none() && known.get("b").is_some());
}

#[test]
fn it_can_be_kept() {
    let before = later(&folder(), None);
    let json = serde_json::to_string(&before).expect("JSON");
    assert_eq!(serde_json::from_str::<ContextDigest>(&json).expect("a digest"), before);
    assert_eq!((before.digest.len(), before.files["a"].len()), (64, 16));
    assert_eq!(Change::Added("a".into()).to_string(), "`a` is new");
}

#[test]
fn the_first_file_that_has_changed_since_the_scan_is_named() {
    let folder = folder();
    let context = folder.context();
    folder.write("a", "another");
    fs::remove_file(folder.at("b")).expect("removed");
    for _ in 0..20 {
        let error = context.digest(None).expect_err("refused");
        let message = format!("`{}` changed while the context was read", folder.at("a").display());
        assert_eq!((error.kind(), error.message()), (ErrorKind::ImageTree, message.as_str()));
    }
}
