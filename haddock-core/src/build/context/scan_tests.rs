use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use super::folder::{Folder, find, packed, paths, unpacked};
use super::{Context, scan};
use crate::error::{Error, ErrorKind};

const DOCKERFILE: (&str, &str) = ("Dockerfile", "FROM scratch\n");

fn told(error: &Error) -> (ErrorKind, String, String) {
    (error.kind(), error.message().to_owned(), error.hint().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn what_the_rules_leave_out_is_not_sent() {
    let files =
        [DOCKERFILE, (".dockerignore", "*.log\nlib\n!lib/keep\n"), ("a.log", ""), ("lib/x", ""), ("lib/keep", "")];
    let folder = Folder::with(&[&files[..], &[("empty/", ""), ("a-b", ""), ("a/b", "")]].concat());
    let expected = [".dockerignore", "Dockerfile", "a/", "a-b", "a/b", "empty/", "lib/keep"];
    assert_eq!(paths(&folder.context()).await, {
        let mut sorted = expected.map(str::to_owned);
        sorted.sort_by(|one, other| one.trim_end_matches('/').cmp(other.trim_end_matches('/')));
        sorted
    });
    assert_eq!(folder.context().root(), folder.root());
}

#[tokio::test]
async fn what_the_builder_needs_is_sent_even_if_it_is_left_out() {
    let folder = Folder::with(&[("Dockerfile", "FROM a"), (".dockerignore", "**"), ("x/y", "")]);
    assert_eq!(paths(&folder.context()).await, [".dockerignore", "Dockerfile"]);

    folder.write("x/Dockerfile", "FROM b");
    let context = Context::scan(&folder.root(), Some(&folder.at("x/Dockerfile"))).expect("a context");
    assert_eq!(context.dockerfile(), "x/Dockerfile");
    let sent = unpacked(&packed(&context).await);
    assert_eq!(find(&sent, "x/Dockerfile").content, b"FROM b");
    assert_eq!(sent.len(), 2);
    assert_eq!(find(&sent, ".dockerignore").content, b"**", "the builder decides by the same rules");

    folder.link("Link", "x/Dockerfile");
    let context = Context::scan(&folder.root(), Some(&folder.at("Link"))).expect("a context");
    assert_eq!(context.dockerfile(), "x/Dockerfile", "what a link leads to");
}

#[tokio::test]
async fn a_dockerfile_outside_of_the_folder_gets_a_name_that_is_left_out() {
    let outside = Folder::with(&[("Dockerfile", "FROM a")]);
    let folder = Folder::with(&[("x", "")]);
    let scan = || Context::scan(&folder.root(), Some(&outside.at("Dockerfile"))).expect("a context");
    assert_eq!(scan().dockerfile(), ".dockerfile.haddock");
    let sent = unpacked(&packed(&scan()).await);
    assert_eq!(find(&sent, ".dockerfile.haddock").content, b"FROM a");
    let ignored = String::from_utf8(find(&sent, ".dockerignore").content.clone()).expect("UTF-8");
    assert_eq!(ignored, "\n.dockerignore\n\n.dockerfile.haddock\n");
    assert_eq!(sent.len(), 3);

    let before = scan().digest(None).expect("a digest").digest;
    outside.write("Dockerfile", "FROM b");
    assert_ne!(scan().digest(None).expect("a digest").digest, before, "it is part of the digest");

    folder.write(".dockerignore", "y");
    let sent = unpacked(&packed(&scan()).await);
    assert_eq!(find(&sent, ".dockerignore").content, b"y\n!.dockerignore\n\n.dockerfile.haddock\n");
}

#[tokio::test]
async fn the_rules_of_a_dockerfile_win() {
    let folder = Folder::with(&[
        ("[a].Dockerfile", "FROM a"),
        ("[a].Dockerfile.dockerignore", "two\n*.Dockerfile\n"),
        (".dockerignore", "one\n"),
        ("one", ""),
        ("two", ""),
    ]);
    let context = Context::scan(&folder.root(), Some(&folder.at("[a].Dockerfile"))).expect("a context");
    let sent = unpacked(&packed(&context).await);
    let paths: Vec<_> = sent.iter().map(|entry| OsStr::from_bytes(&entry.path)).collect();
    assert_eq!(paths, [".dockerignore", "[a].Dockerfile", "[a].Dockerfile.dockerignore", "one"]);
    let ignored = String::from_utf8(find(&sent, ".dockerignore").content.clone()).expect("UTF-8");
    assert_eq!(ignored, "one\n\n!.dockerignore\n\n\\[a\\].Dockerfile\n", "the builder removes what they leave out");
}

#[tokio::test]
async fn links_are_kept_as_they_are() {
    let folder = Folder::with(&[DOCKERFILE, ("folder/x", "")]);
    for (path, target) in
        [("dangling", "nowhere/./x/"), ("outside", "/etc"), ("up", "../.."), ("self", "self"), ("to", "folder")]
    {
        folder.link(path, target);
    }
    let sent = unpacked(&packed(&folder.context()).await);
    for (path, target) in
        [("dangling", "nowhere/./x/"), ("outside", "/etc"), ("up", "../.."), ("self", "self"), ("to", "folder")]
    {
        let found = find(&sent, path);
        assert_eq!((found.kind, found.mode), (tar::EntryType::Symlink, 0o777));
        assert_eq!(found.target.as_deref(), Some(target.as_bytes()));
    }
    assert_eq!(sent.len(), 8);
    folder.context().digest(None).expect("a digest");
}

#[tokio::test]
async fn modes_are_kept() {
    let folder = Folder::with(&[DOCKERFILE, ("run", ""), ("secret", ""), ("shared/", ""), ("setuid", "")]);
    let modes = [("run", 0o755), ("secret", 0o600), ("shared/", 0o3770), ("setuid", 0o4755)];
    for (path, mode) in modes {
        folder.chmod(path, mode);
    }
    let sent = unpacked(&packed(&folder.context()).await);
    for (path, mode) in modes {
        assert_eq!(find(&sent, path).mode, mode, "{path}");
    }
}

#[tokio::test]
async fn sockets_are_left_out_and_fifos_sent() {
    let folder = Folder::with(&[DOCKERFILE]);
    let _socket = UnixListener::bind(folder.at("socket")).expect("a socket");
    let made = Command::new("mkfifo").arg(folder.at("fifo")).status().expect("mkfifo runs");
    assert!(made.success());
    let sent = unpacked(&packed(&folder.context()).await);
    assert_eq!(find(&sent, "fifo").kind, tar::EntryType::Fifo);
    assert_eq!(sent.len(), 2);
    folder.context().digest(None).expect("nothing waits for a writer");
}

#[test]
fn devices_are_refused() {
    let device = Path::new("/dev/null");
    let error = scan::entry(b"null".to_vec(), device, &device.metadata().expect("there")).expect_err("refused");
    let hint = "remove it, or name it in `.dockerignore`";
    assert_eq!(
        told(&error),
        (ErrorKind::ImageTree, "`/dev/null` is a device, which does not belong into an image".into(), hint.into())
    );
}

#[test]
fn a_context_is_a_folder_with_a_dockerfile() {
    let folder = Folder::with(&[DOCKERFILE, ("file", ""), ("sub/", "")]);
    let refused = |root: &str, dockerfile: &str| {
        told(&Context::scan(&folder.at(root), Some(&folder.at(dockerfile))).expect_err("refused"))
    };
    let at = |path: &str| folder.at(path).display().to_string();
    let tree = |message: String, hint: &str| (ErrorKind::ImageTree, message, hint.to_owned());
    assert_eq!(
        refused("none", "Dockerfile"),
        tree(format!("context `{}` does not exist", at("none")), "name a folder")
    );
    assert_eq!(
        refused("file", "Dockerfile"),
        tree(format!("context `{}` is not a folder", at("file")), "name a folder")
    );
    assert_eq!(
        refused("", "dockerFile"),
        tree(
            format!("there is no Dockerfile `{}`", at("dockerFile")),
            "there is `Dockerfile`: write the name in the same case"
        )
    );
    assert_eq!(
        refused("", "sub/Dockerfile"),
        tree(format!("there is no Dockerfile `{}`", at("sub/Dockerfile")), "create it, or name another")
    );
    assert_eq!(
        refused("", "sub"),
        tree(format!("Dockerfile `{}` is not a file", at("sub")), "name the Dockerfile itself")
    );
}

#[test]
fn bad_rules_are_refused_with_the_place() {
    let folder = Folder::with(&[DOCKERFILE, (".dockerignore", "a\n[\n")]);
    let error = folder.scan().expect_err("refused");
    let place = error.place().expect("a place");
    assert_eq!((place.file.clone(), place.line), (folder.at(".dockerignore").display().to_string(), 2));

    std::fs::write(folder.at(".dockerignore"), b"\xff").expect("written");
    let error = folder.scan().expect_err("refused");
    let message = format!("`{}` is not UTF-8", folder.at(".dockerignore").display());
    assert_eq!(told(&error), (ErrorKind::ImageTree, message, "save it as UTF-8".to_owned()));

    std::fs::remove_file(folder.at(".dockerignore")).expect("removed");
    std::fs::create_dir(folder.at(".dockerignore")).expect("a folder");
    assert_eq!(folder.scan().expect_err("refused").kind(), ErrorKind::Io);
}

/// Root may read everything: for root, this shows nothing.
#[tokio::test]
async fn what_cannot_be_read_is_named_unless_it_is_left_out() {
    let folder = Folder::with(&[DOCKERFILE, ("file", ""), ("sub/x", "")]);
    folder.chmod("file", 0);
    folder.chmod("sub", 0);
    if std::fs::read(folder.at("file")).is_ok() {
        return;
    }
    let hint = "make it readable, or name it in `.dockerignore`";
    let of = |path: &str| {
        let message = format!("cannot read `{}`: Permission denied (os error 13)", folder.at(path).display());
        (ErrorKind::Io, message, hint.to_owned())
    };
    assert_eq!(told(&folder.scan().expect_err("refused")), of("sub"));
    folder.write(".dockerignore", "sub\n");
    let context = folder.context();
    assert_eq!(told(&context.digest(None).expect_err("refused")), of("file"));
    assert_eq!(told(&super::folder::read(context.archive([].into())).await.expect_err("refused")), of("file"));
    folder.write(".dockerignore", "sub\nfile\n");
    assert_eq!(paths(&folder.context()).await, [".dockerignore", "Dockerfile"]);
    folder.context().digest(None).expect("a digest");
    folder.chmod("sub", 0o700);
}
