//! Arrows run down only: which room may name which, which files may name what, and no circles.
#![allow(missing_docs)]

mod circles;
mod rooms;
mod source;

use source::{SOURCE, root};

/// Fails if a file names one of the words, but for the files and folders of `but`.
fn assert_named_only_in(but: &[&str], words: &[&str]) {
    for path in but {
        assert!(root().join(path).exists(), "there is no `{path}` any more");
    }
    let excepted = |file: &str| but.iter().any(|path| file.starts_with(path));
    for file in SOURCE.files.iter().filter(|file| !excepted(&file.name)) {
        for word in words {
            assert!(!file.code.contains(word), "`{}` names `{word}`", file.name);
        }
    }
}

#[test]
fn only_one_room_names_gix() {
    assert_named_only_in(&["vcs/"], &["gix"]);
}

#[test]
fn only_the_docker_runtime_names_bollard() {
    assert_named_only_in(&["runtime/docker/"], &["bollard"]);
}

#[test]
fn only_one_file_reads_the_clock() {
    assert_named_only_in(&["time.rs"], &["Instant::now", "SystemTime::now", "tokio::time::sleep"]);
}

#[test]
fn only_the_gateway_serves_http() {
    // BuildKit asks by gRPC on a connection that is opened from here.
    let session = "runtime/docker/builder/session/";
    assert_named_only_in(&["locator/gateway/", session], &["hyper::server"]);
    let speaks = ["locator/gateway/", "locator/remote.rs", "runtime/probe.rs", session];
    assert_named_only_in(&speaks, &["hyper::", "hyper_util::"]);
}

#[test]
fn only_one_room_speaks_to_haproxy() {
    assert_named_only_in(&["locator/haproxy/"], &["add server", "show table"]);
}

#[test]
fn what_decides_performs_nothing() {
    let io = ["async ", "tokio", "std::fs", "std::net::Tcp", "std::process", "SystemClock", "rand::"];
    let mut files = SOURCE.files.iter().filter(|file| file.name.starts_with("release/")).peekable();
    assert!(files.peek().is_some(), "there is no `release` any more");
    for file in files {
        for word in io {
            assert!(!file.code.contains(word), "`{}` names `{word}`", file.name);
        }
    }
}
