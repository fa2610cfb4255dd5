//! Builds by the engine: contexts, and what is left of them.

use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use bollard::query_parameters::ListContainersOptionsBuilder;
use futures_util::StreamExt;
use haddock_core::image::ImageReference;
use haddock_core::runtime::docker::DockerRuntime;
use haddock_core::runtime::{BuildOutput, BuildRequest, ContextArchive, ImageBuilder};
use haddock_core::{Error, Result};

use crate::docker::{IMAGE_LABEL, NOWHERE, static_fixture};

/// A context with this Dockerfile, these files with their texts, and the fixture as `app`.
///
/// # Panics
/// If it cannot be written.
#[must_use]
pub fn archive(dockerfile: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(static_fixture(), folder.path().join("app")).expect("copied");
    for (name, text) in [("Dockerfile", dockerfile)].iter().chain(files) {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    packed(folder.path())
}

/// A context of an image with this many bytes that cannot be compressed, other ones each time.
///
/// # Panics
/// If it cannot be written.
#[must_use]
pub fn noise(bytes: u64) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY noise /noise\n").expect("written");
    let mut random = std::fs::File::open("/dev/urandom").expect("random bytes").take(bytes);
    let mut file = std::fs::File::create(folder.path().join("noise")).expect("a file");
    std::io::copy(&mut random, &mut file).expect("written");
    packed(folder.path())
}

/// All that is in a folder, always as the same archive.
///
/// # Panics
/// If tar does not run.
#[must_use]
pub fn packed(folder: &Path) -> Vec<u8> {
    let tar = Command::new("tar")
        .args(["--create", "--mode=0755", "--mtime=2026-01-01", "--sort=name", "--owner=0", "--group=0", "--directory"])
        .arg(folder)
        .arg(".")
        .output()
        .expect("tar runs");
    assert!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
    tar.stdout
}

/// The archive in pieces.
#[must_use]
pub fn pieces(archive: &[u8]) -> ContextArchive {
    let pieces: Vec<Result<Vec<u8>>> = archive.chunks(64 * 1024).map(|piece| Ok(piece.to_vec())).collect();
    futures_util::stream::iter(pieces).boxed()
}

/// A request for an image of this name that no registry has, with the label of tests.
///
/// # Panics
/// If that is no name.
#[must_use]
pub fn request(name: &str) -> BuildRequest {
    let (label, value) = IMAGE_LABEL.split_once('=').expect("a label");
    BuildRequest {
        dockerfile: "Dockerfile".to_owned(),
        labels: [(label.to_owned(), value.to_owned())].into(),
        tags: vec![nowhere(name)],
        ..BuildRequest::default()
    }
}

/// A name that no registry has.
///
/// # Panics
/// If that is no name.
#[must_use]
pub fn nowhere(name: &str) -> ImageReference {
    ImageReference::parse(&format!("{NOWHERE}/haddock-test-{name}")).expect("a reference")
}

/// Builds, and returns what the builder said, too.
pub async fn built(
    runtime: &DockerRuntime,
    request: &BuildRequest,
    archive: &[u8],
) -> (Result<String>, Vec<BuildOutput>) {
    let said = Mutex::new(Vec::new());
    let output = |one: BuildOutput| said.lock().expect("no panic").push(one);
    let built = runtime.build_image(request, pieces(archive).into(), &output).await;
    (built, said.into_inner().expect("no panic"))
}

/// How many containers there are, running or not, whose command contains this text.
///
/// # Panics
/// If the engine does not answer.
pub async fn containers_that(command: &str) -> usize {
    let docker = bollard::Docker::connect_with_defaults().expect("an engine");
    let all = ListContainersOptionsBuilder::default().all(true).build();
    let containers = docker.list_containers(Some(all)).await.expect("a list");
    containers.into_iter().filter(|it| it.command.as_deref().is_some_and(|it| it.contains(command))).count()
}

/// How many processes there are with this word among their arguments. BuildKit runs steps without containers.
///
/// # Panics
/// If the processes cannot be listed.
#[must_use]
pub fn processes_that(word: &str) -> usize {
    let processes = std::fs::read_dir("/proc").expect("processes are listed");
    let commands = processes.flatten().filter_map(|it| std::fs::read(it.path().join("cmdline")).ok());
    commands.filter(|it| it.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())).count()
}

/// All that an error shows.
#[must_use]
pub fn shown(error: &Error) -> String {
    format!("{error:#} {error:?}")
}
