//! What a build copies of Haddock's archive is what it copies of the folder that the engine's own client sends.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use futures_util::StreamExt;
use haddock_core::ErrorKind;
use haddock_core::build::context::Context;
use haddock_core::runtime::{BuildContext, BuildRequest, ImageBuilder};
use haddock_tests::build::request;
use haddock_tests::client::{command, docker, export, said, version};
use haddock_tests::docker::{IMAGE_LABEL, engine};
use haddock_tests::skip;

const DOCKERFILE: &str = "FROM scratch\nCOPY . /sent/\nCOPY kept/sub /sub\n";

/// Kind, mode, time, target and content of what is in an image, by path.
type Image = BTreeMap<Vec<u8>, (tar::EntryType, u32, u64, Option<Vec<u8>>, Vec<u8>)>;

/// All odd things that the client accepts.
fn write(context: &Path) {
    write_utf8(context);
    fs::write(context.join(OsStr::from_bytes(b"odd \xff name")), "odd").expect("written");
}

/// Those whose names are UTF-8.
fn write_utf8(context: &Path) {
    let deep = ["deep".repeat(40), "x".repeat(200)].join("/");
    let files = ["kept/sub/file", "kept/run", "kept/secret", "left/out", "left/kept", "a b", "é", "empty-file", &deep];
    for file in files {
        let file = context.join(file);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(&file, file.as_os_str().as_bytes()).expect("written");
    }
    fs::write(context.join("large"), vec![7; 3_000_001]).expect("written");
    fs::write(context.join("empty-file"), "").expect("written");
    File::create(context.join("sparse")).and_then(|file| file.set_len(2_000_000)).expect("a file");
    fs::create_dir(context.join("empty")).expect("a folder");
    for (link, target) in
        [("dangling", "nowhere/./x/"), ("outside", "/etc/passwd"), ("to", "kept"), ("long", &"t/".repeat(120))]
    {
        symlink(target, context.join(link)).expect("a link");
    }
    fs::hard_link(context.join("kept/run"), context.join("kept/same")).expect("a second name");
    assert!(Command::new("mkfifo").arg(context.join("fifo")).status().expect("mkfifo runs").success());
    let modes =
        [("kept/run", 0o755), ("kept/secret", 0o600), ("empty", 0o1777), ("kept/sub", 0o2750), ("large", 0o4711)];
    for (path, mode) in modes {
        fs::set_permissions(context.join(path), Permissions::from_mode(mode)).expect("permissions");
    }
    let times = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_millis(1_700_000_000_900));
    for path in ["a b", "kept/sub", "empty"] {
        File::open(context.join(path)).and_then(|file| file.set_times(times)).expect("times");
    }
}

/// What an image holds of the context.
fn image(id: &str, folder: &Path) -> Image {
    let tar = folder.join("tar");
    export(id, IMAGE_LABEL, &tar);
    let mut archive = tar::Archive::new(File::open(tar).expect("an archive"));
    let mut found = Image::new();
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let path = entry.path_bytes().into_owned();
        if ![b"sent/".as_slice(), b"sub/"].iter().any(|root| path.starts_with(root) && path.len() > root.len()) {
            continue;
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        let header = entry.header();
        let (kind, mode) = (header.entry_type(), header.mode().expect("a mode"));
        // If this folder is left out, the engine makes it for what is in it.
        let mtime = if path == b"sent/left/" { 0 } else { header.mtime().expect("a time") };
        // Another name of a file: Haddock sends a second file.
        let same = target.as_ref().filter(|_| kind.is_hard_link()).map(|target| found[target].clone());
        found.insert(path, same.unwrap_or((kind, mode, mtime, target, content)));
    }
    found
}

fn built_of_folder(context: &Path, dockerfile: &Path, scratch: &Path) -> Image {
    let file = dockerfile.to_str().expect("UTF-8");
    let arguments = ["build", "--quiet", "--no-cache", "--force-rm", "--label", IMAGE_LABEL, "--file", file];
    let built = docker(&[&arguments[..], &[context.to_str().expect("UTF-8")]].concat());
    image(&said(&built), scratch)
}

async fn built_of_archive(context: &Path, dockerfile: &Path, scratch: &Path) -> Image {
    let context = Context::scan(context, Some(dockerfile)).expect("a context");
    let file = context.dockerfile();
    let arguments = ["build", "--quiet", "--no-cache", "--force-rm", "--label", IMAGE_LABEL, "--file", file, "-"];
    let mut client = command(&arguments);
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    let mut stdin = client.stdin.take().expect("a pipe");
    let mut archive = context.archive(BTreeMap::new());
    while let Some(piece) = archive.next().await {
        stdin.write_all(&piece.expect("a piece")).expect("the client reads");
    }
    drop(stdin);
    image(&said(&client.wait_with_output().expect("it ends")), scratch)
}

/// The text of `.dockerignore`, the path of the Dockerfile from a folder that has the context `context`, and how many
/// things an image has at least.
const CASES: &[(&str, &str, usize)] = &[
    ("", "context/Dockerfile", 25),
    ("left\n!left/kept\n*.md\n", "context/Dockerfile", 25),
    ("left\n.dockerignore\nDockerfile\n", "context/Dockerfile", 20),
    ("**\n!kept\n", "context/Dockerfile", 6),
    ("left\n", "context/left/Dockerfile", 20),
    ("left\n", "Dockerfile", 20),
];

#[tokio::test]
async fn an_archive_builds_what_the_folder_builds() {
    if engine().await.is_none() {
        return;
    }
    if version().is_none() {
        return skip("the `docker` command");
    }
    for (ignored, dockerfile, at_least) in CASES {
        let folder = tempfile::tempdir().expect("a folder");
        let (context, dockerfile) = (folder.path().join("context"), folder.path().join(dockerfile));
        fs::create_dir(&context).expect("a folder");
        write(&context);
        fs::write(context.join(".dockerignore"), ignored).expect("written");
        fs::write(&dockerfile, DOCKERFILE).expect("written");
        let mut docker = built_of_folder(&context, &dockerfile, folder.path());
        let mut haddock = built_of_archive(&context, &dockerfile, folder.path()).await;
        // The client adds a line with a random name to it, and so does Haddock with its own.
        if !dockerfile.starts_with(&context) {
            docker.remove(b"sent/.dockerignore".as_slice());
            haddock.remove(b"sent/.dockerignore".as_slice());
        }
        assert!(docker.len() >= *at_least, "{ignored:?}: only {}", docker.len());
        let paths = |image: &Image| image.keys().map(|path| path.escape_ascii().to_string()).collect::<Vec<_>>();
        assert_eq!(paths(&haddock), paths(&docker), "{ignored:?}");
        for (path, expected) in &docker {
            assert!(haddock[path] == *expected, "{ignored:?}: `{}` differs", path.escape_ascii());
        }
    }
}

/// BuildKit asks for the files of a context without its Dockerfile. Some files of these cases have the same size and the
/// same time, and another content.
#[tokio::test]
async fn what_buildkit_asks_for_builds_what_the_folder_builds() {
    let Some(runtime) = engine().await else { return };
    if version().is_none() {
        return skip("the `docker` command");
    }
    if !runtime.builder_capabilities().await.expect("asked").buildkit {
        return skip("an engine with BuildKit");
    }
    for (ignored, dockerfile) in [
        ("left\n.dockerignore\nDockerfile\n", "context/Dockerfile"),
        ("**\n!kept\n!kept-too\n!a b\n", "context/Dockerfile"),
        ("left\n!left/kept\n", "Dockerfile"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let (context, dockerfile) = (folder.path().join("context"), folder.path().join(dockerfile));
        fs::create_dir(&context).expect("a folder");
        write_utf8(&context);
        fs::write(context.join("kept-too"), "beside a folder whose name begins as its own").expect("written");
        fs::write(context.join(".dockerignore"), ignored).expect("written");
        fs::write(&dockerfile, DOCKERFILE).expect("written");
        let mut docker = built_of_folder(&context, &dockerfile, folder.path());
        let scanned = Context::scan(&context, Some(&dockerfile)).expect("a context");
        let apart = scanned.apart(DOCKERFILE);
        assert!(apart.is_some(), "{ignored:?}: the image must not get the Dockerfile");
        let context = BuildContext { archive: scanned.archive(BTreeMap::new()), apart };
        let request = BuildRequest { no_cache: true, dockerfile: "not/asked/for".to_owned(), ..request("by-session") };
        let id = runtime.build_image(&request, context, &|_| {}).await.expect("built");
        let mut haddock = image(&id, folder.path());
        // BuildKit copies none.
        docker.remove(b"sent/fifo".as_slice());
        // The client adds lines with a random name to it.
        if dockerfile == folder.path().join("Dockerfile") {
            docker.remove(b"sent/.dockerignore".as_slice());
            haddock.remove(b"sent/.dockerignore".as_slice());
        }
        let paths = |image: &Image| image.keys().map(|path| path.escape_ascii().to_string()).collect::<Vec<_>>();
        assert_eq!(paths(&haddock), paths(&docker), "{ignored:?}");
        for (path, expected) in &docker {
            let (kind, mode, mtime, target, content) = &haddock[path];
            let shown = path.escape_ascii();
            // The classic builder, which the client takes here, keeps no set-user-ID.
            let (mode, expected_mode) = (mode & 0o1777, expected.1 & 0o1777);
            assert_eq!((*kind, mode, target), (expected.0, expected_mode, &expected.3), "{ignored:?}: `{shown}`");
            // The folders that it copies are new ones.
            assert!(kind.is_dir() || *mtime == expected.2, "{ignored:?}: `{shown}` has another time");
            assert!(*content == expected.4, "{ignored:?}: `{shown}` has another content");
        }
    }
}

#[tokio::test]
async fn a_file_that_changes_while_buildkit_asks_ends_the_build() {
    let Some(runtime) = engine().await else { return };
    if !runtime.builder_capabilities().await.expect("asked").buildkit {
        return skip("an engine with BuildKit");
    }
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("Dockerfile"), DOCKERFILE).expect("written");
    fs::write(folder.path().join(".dockerignore"), "Dockerfile").expect("written");
    fs::write(folder.path().join("page"), "one").expect("written");
    let scanned = Context::scan(folder.path(), Some(&folder.path().join("Dockerfile"))).expect("a context");
    fs::write(folder.path().join("page"), "another").expect("written");
    let context = BuildContext { archive: scanned.archive(BTreeMap::new()), apart: scanned.apart(DOCKERFILE) };
    let error = runtime.build_image(&request("changing"), context, &|_| {}).await.expect_err("it has changed");
    assert_eq!(error.kind(), ErrorKind::ImageTree, "{error}");
    assert!(error.message().contains("page` changed"), "{error}");
}
