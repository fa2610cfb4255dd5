//! The engine's own client, `docker`, to compare with.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The client, which builds with the classic builder as Haddock's archives do.
#[must_use]
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.env("DOCKER_BUILDKIT", "0").args(arguments);
    command
}

/// What the client does with these arguments.
///
/// # Panics
/// If there is no client.
#[must_use]
pub fn docker(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the client runs")
}

/// What a command said.
///
/// # Panics
/// If the command failed.
#[must_use]
pub fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The client's major version, if there is a client.
#[must_use]
pub fn version() -> Option<u32> {
    let output = command(&["version", "--format", "{{.Client.Version}}"]).stderr(Stdio::null()).output().ok()?;
    said(&output).split('.').next()?.parse().ok()
}

/// Writes an archive of all that is in an image, and removes the image.
///
/// # Panics
/// If the engine refuses it.
pub fn export(image: &str, label: &str, to: &Path) {
    let container = said(&docker(&["create", "--label", label, image, "none"]));
    let exported = docker(&["export", "--output", to.to_str().expect("UTF-8"), &container]);
    let _ = (said(&docker(&["rm", &container])), said(&docker(&["rmi", image])), said(&exported));
}
