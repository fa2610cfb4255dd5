//! What the engine's own client leaves out of a build context is what `Ignore` leaves out.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use haddock_core::image::ignore::{Ignore, Matched};
use haddock_tests::client::{docker, export, said, version};
use haddock_tests::docker::{IMAGE_LABEL, engine};
use haddock_tests::skip;

const FILES: &[&str] = &[
    ".env",
    ".git/HEAD",
    "#notes",
    "!odd",
    "README.md",
    "a b",
    "a+b",
    "a(b)c",
    "a.b",
    "a[b]",
    "a]",
    "a{2}",
    "aab",
    "acb",
    "axb",
    "azb",
    "é",
    "a\\b",
    "app/main.rs",
    "app/.env",
    "app/log/today.log",
    "app/log/keep.txt",
    "docs/README.md",
    "docs/guide/a.md",
    "docs/guide/b.txt",
    "docs (old)/a.md",
    "empty/",
    "target/debug/app",
    "target/keep/it/here.txt",
    "today.log",
    "^]",
];

/// Each is the text of a `.dockerignore` file.
const CASES: &[&str] = &[
    "",
    "docs",
    "/docs",
    "docs/",
    "./docs//",
    "x/../docs",
    "../docs",
    ".",
    "/",
    "#notes",
    " #notes",
    "\\#notes",
    "!odd",
    "\\!odd",
    "a b",
    "a?b",
    "a*b",
    "a.b",
    "a[b-d]b",
    "a[^b-d]b",
    "a[b]",
    "a\\[b\\]",
    "a[*]",
    "[*]",
    "a[?]",
    "a\\\\b",
    "a\\b",
    "a\\wb",
    "a{2}",
    "a{2}?",
    "a{b}?",
    "*{2}",
    "a+*",
    "a(*)c",
    "a|b*",
    "^a*",
    "é",
    "?",
    "[à-ü]",
    "*",
    "*\n!docs",
    "*\n!docs/guide",
    "*\n!docs/*.md",
    "*\n!*/README.md",
    "*\n!**/README.md",
    "**",
    "**/",
    "**\n!app/log/keep.txt",
    "**/*.log",
    "**/.env",
    "**.md",
    "**/log/**",
    "app/**",
    "app/**/*.txt",
    "a**",
    "***",
    "**/**/*.txt",
    "docs*",
    "docs (old)",
    "docs/*\n!docs/README.md",
    "docs\n!docs/guide/a.md\ndocs/guide",
    "target\n!target/keep",
    "target\n!target/keep/*/here.txt",
    "target\n!target/k*",
    "!docs\ndocs",
    "a*\n!a?b\naab",
    "*/*",
    "*/*/*",
    "app/log/",
    ".*",
    ".git\n.env",
    "empty",
    "*\n!empty",
    "\u{feff}docs\r\n \tapp \r\n",
    "*\n!../../docs",
    "*\n!!odd",
    "app\n!app/log\nap*",
    "[[:alpha:]]*",
    "[",
    "a[",
    "[]a]",
    "a[b-]",
    "[z-a]",
    "!",
    "a\\",
    "\\o",
];

/// What clients before 25 see differently. They made an expression of each pattern, escaped only `.` and `$` in it, and
/// compared a path anew with all folders above it.
const SINCE_25: &[&str] =
    &["a+*", "a(*)c", "a{2}", "docs (old)", "**.md", "app\n!app/log\nap*", "docs\n!docs/guide/a.md\ndocs/guide"];

fn write(context: &Path) {
    for file in FILES {
        let path = context.join(file);
        let folder = if file.ends_with('/') { &path } else { path.parent().expect("a folder") };
        std::fs::create_dir_all(folder).expect("a folder");
        if !file.ends_with('/') {
            std::fs::write(path, file).expect("written");
        }
    }
}

/// A folder with the context, and beside it the file that builds an image of all that is sent.
fn prepared(ignored: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join("context"));
    std::fs::write(folder.path().join("context/.dockerignore"), ignored).expect("written");
    std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY . /sent/\n").expect("written");
    folder
}

/// What is in the image that the engine builds; none, if the client refuses the patterns.
fn sent_by_docker(folder: &Path) -> Option<BTreeSet<String>> {
    let (context, file) = (folder.join("context"), folder.join("Dockerfile"));
    let (context, file) = (context.to_str().expect("UTF-8"), file.to_str().expect("UTF-8"));
    // Without the cache, no other case has the same image.
    let built =
        docker(&["build", "--quiet", "--no-cache", "--force-rm", "--label", IMAGE_LABEL, "--file", file, context]);
    if !built.status.success() {
        let why = String::from_utf8_lossy(&built.stderr);
        assert!(["syntax error in pattern", "illegal exclusion pattern"].iter().any(|it| why.contains(it)), "{why}");
        return None;
    }
    let image = said(&built);
    let tar = folder.join("tar");
    export(&image, IMAGE_LABEL, &tar);
    let listed = Command::new("tar").args(["--list", "--quoting-style=literal", "--file"]).arg(tar).output();
    let listed = said(&listed.expect("tar runs"));
    let paths = listed.lines().filter_map(|path| path.strip_prefix("sent/")).map(|path| path.trim_end_matches('/'));
    // Whether these two are sent is not decided by the patterns: the engine needs them.
    let is_own = |path: &str| path.is_empty() || path.starts_with(".docker");
    Some(paths.filter(|path| !is_own(path)).map(str::to_owned).collect())
}

/// What `Ignore` lets through, with the folders that lead there.
fn sent_by_haddock(folder: &Path, at: &Matched<'_>, sent: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let found = at.enter(&entry.file_name().into_string().expect("UTF-8"));
        if found.path() == ".dockerignore" {
            continue;
        }
        if !found.is_excluded() {
            let path = Path::new(found.path()).ancestors().map(|path| path.to_str().expect("UTF-8").to_owned());
            sent.extend(path.filter(|path| !path.is_empty()));
        }
        if entry.file_type().expect("a type").is_dir() && found.may_descend() {
            sent_by_haddock(&entry.path(), &found, sent);
        }
    }
}

/// How the two differ in this case, if they do.
fn difference(ignored: &str) -> Option<String> {
    let folder = prepared(ignored);
    let docker = sent_by_docker(folder.path());
    let haddock = Ignore::parse(".dockerignore", ignored).ok().map(|ignore| {
        let mut sent = BTreeSet::new();
        sent_by_haddock(&folder.path().join("context"), &ignore.root(), &mut sent);
        sent
    });
    (docker != haddock).then(|| format!("{ignored:?}:\n  docker  {docker:?}\n  haddock {haddock:?}\n"))
}

#[tokio::test]
async fn the_client_sends_what_is_not_excluded() {
    if engine().await.is_none() {
        return;
    }
    let Some(client) = version() else { return skip("the `docker` command") };
    let cases: Vec<_> = CASES.iter().filter(|case| client >= 25 || !SINCE_25.contains(case)).collect();
    let next = AtomicUsize::new(0);
    let one_by_one = || std::iter::from_fn(|| cases.get(next.fetch_add(1, Ordering::Relaxed)));
    let found = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| one_by_one().filter_map(|case| difference(case)).collect::<String>()))
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<String>()
    });
    assert!(found.is_empty(), "client {client}:\n{found}");
}
