//! Arrows run down only: which room may name which.
#![allow(missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

/// Every source file of the crate, with its path below `src`.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&root).expect("below").to_string_lossy().into_owned();
        (name, code_of(&fs::read_to_string(&path).expect("readable")))
    };
    found.into_iter().map(read).collect()
}

/// The code without comments and without its unit tests.
fn code_of(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn assert_not_named(what: &str, in_files: impl Fn(&str) -> bool, words: &[&str]) {
    let mut looked_at = 0;
    for (file, code) in sources().iter().filter(|(file, _)| in_files(file)) {
        looked_at += 1;
        for word in words {
            assert!(!code.contains(word), "{what}: `{file}` names `{word}`");
        }
    }
    assert!(looked_at > 0, "{what}: there is no such file any more");
}

#[test]
fn only_the_docker_runtime_names_bollard() {
    assert_not_named("bollard", |file| !file.starts_with("runtime/docker/"), &["bollard"]);
}

#[test]
fn only_one_file_reads_the_clock() {
    let clocks = ["Instant::now", "SystemTime::now", "tokio::time::sleep"];
    assert_not_named("the clock", |file| file != "time.rs", &clocks);
}

#[test]
fn only_the_gateway_serves_http() {
    let gateway = |file: &str| file.starts_with("locator/gateway/");
    assert_not_named("the HTTP server", |file| !gateway(file), &["hyper::server"]);
    let speaks = |file: &str| gateway(file) || file.starts_with("locator/remote") || file == "environment/probe.rs";
    assert_not_named("HTTP", |file| !speaks(file), &["hyper::", "hyper_util::"]);
}

#[test]
fn what_decides_performs_nothing() {
    let io = ["async ", "tokio", "std::fs", "std::net::Tcp", "std::process", "SystemClock", "rand::"];
    assert_not_named("release", |file| file.starts_with("release/"), &io);
}

#[test]
fn ports_do_not_know_the_release() {
    let port = |file: &str| file.starts_with("runtime/") || file.starts_with("locator/");
    assert_not_named("ports", port, &["crate::release", "crate::controller", "crate::journal"]);
    assert_not_named("journals", |file| file.starts_with("journal/"), &["crate::controller", "crate::runtime"]);
}

#[test]
fn nouns_stand_below_everything() {
    let rooms = ["crate::release", "crate::controller", "crate::journal", "crate::locator", "crate::environment"];
    let nouns = |file: &str| {
        ["error.rs", "name.rs", "time.rs", "routing.rs", "container.rs"].contains(&file) || file.starts_with("image/")
    };
    assert_not_named("nouns", nouns, &rooms);
    let release = |file: &str| file.starts_with("release/");
    assert_not_named("release", release, &["crate::controller", "crate::journal", "crate::runtime"]);
}
