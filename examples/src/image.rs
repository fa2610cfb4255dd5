//! The demo application as an image on a Docker engine: one static binary, from scratch, nothing to pull.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::query_parameters::{BuildImageOptionsBuilder, RemoveImageOptionsBuilder};
use futures_util::StreamExt as _;

/// The repository of the demo's images.
pub const REPOSITORY: &str = "haddock-demo";
/// The label of everything that the demo makes on an engine.
pub const LABEL: &str = "haddock.demo";
/// The port that the application listens on in its container.
pub const PORT: u16 = 8080;

/// Builds the demo application as a static binary, in a target directory of its own beside the workspace's, so that
/// neither build throws the other's work away. The first time takes about a minute, later ones less than a second.
///
/// # Errors
/// When cargo cannot be run or fails; it writes why to standard error.
pub async fn build_binary() -> io::Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the examples are a member of a workspace");
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let directory = workspace.join("target/static");
    let status = tokio::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(workspace)
        .args(["build", "--release", "--package", "haddock-demo-app", "--target", &target, "--target-dir"])
        .arg(&directory)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // It only counts: what matters is that it is built soon and is small.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .env("CARGO_PROFILE_RELEASE_STRIP", "true")
        .kill_on_drop(true)
        .status()
        .await?;
    if !status.success() {
        return Err(io::Error::other(format!("the static build of the demo application failed: {status}")));
    }
    Ok(directory.join(target).join("release/haddock-demo-app"))
}

/// Makes the image `haddock-demo:<version>` from that binary; the application in it says that version. An image of
/// that name is replaced.
///
/// # Errors
/// When the binary cannot be read or the engine refuses.
pub async fn make(docker: &Docker, binary: &Path, version: &str) -> io::Result<String> {
    let reference = format!("{REPOSITORY}:{version}");
    let dockerfile = format!(
        "FROM scratch\nCOPY app /app\nENV VERSION={version} PORT={PORT}\nEXPOSE {PORT}\nENTRYPOINT [\"/app\"]\n"
    );
    let context = context(&dockerfile, &tokio::fs::read(binary).await?)?;
    let options = BuildImageOptionsBuilder::default()
        .t(&reference)
        .rm(true)
        .forcerm(true)
        .labels(&HashMap::from([(LABEL, version)]))
        .build();
    let mut progress = std::pin::pin!(docker.build_image(options, None, Some(bollard::body_full(context.into()))));
    // A failure comes after good items: the stream is read to its end.
    while let Some(item) = progress.next().await {
        let item = item.map_err(|error| io::Error::other(format!("image `{reference}` was not built: {error}")))?;
        if let Some(message) = item.error_detail.and_then(|detail| detail.message) {
            return Err(io::Error::other(format!("image `{reference}` was not built: {message}")));
        }
    }
    Ok(reference)
}

/// Removes the image of that version; one that is not there is fine.
///
/// # Errors
/// When the engine refuses, for instance because a container still uses it.
pub async fn remove(docker: &Docker, version: &str) -> io::Result<()> {
    let reference = format!("{REPOSITORY}:{version}");
    let options = RemoveImageOptionsBuilder::default().build();
    match docker.remove_image(&reference, Some(options), None).await {
        Ok(_) => Ok(()),
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        Err(error) => Err(io::Error::other(format!("image `{reference}` was not removed: {error}"))),
    }
}

fn context(dockerfile: &str, binary: &[u8]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, mode, content) in [("Dockerfile", 0o644, dockerfile.as_bytes()), ("app", 0o755, binary)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        archive.append_data(&mut header, name, content)?;
    }
    archive.into_inner()
}
