//! The Docker Engine of the tests, and images for it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use async_trait::async_trait;
use bollard::Docker;
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::TryStreamExt;
use haddock_core::image::ImageReference;
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::docker::DockerRuntime;
use haddock_core::runtime::suite::RuntimeHarness;

use crate::{FIXTURE_SOURCE, pause, skip, workshop, workshop_lock};

/// A registry that nobody serves: what is named so is on the host or nowhere, on every machine.
pub const NOWHERE: &str = "127.0.0.1:1";
/// The label of images that tests made; `tests/run` removes them.
pub const IMAGE_LABEL: &str = "haddock.test=1";

/// The engine, if one answers; otherwise says so, or fails where it is required.
///
/// # Panics
/// If `HADDOCK_TEST_REQUIRE` is set and no engine answers.
pub async fn engine() -> Option<DockerRuntime> {
    match DockerRuntime::connect(None).await {
        Ok(runtime) => Some(runtime),
        Err(error) => {
            skip(&format!("a Docker Engine ({error})"));
            None
        }
    }
}

/// Whether the engine is podman, which builds and pushes by itself and with messages of its own.
///
/// # Panics
/// If it does not answer.
pub async fn is_podman() -> bool {
    let docker = Docker::connect_with_defaults().expect("an engine");
    let components = docker.version().await.expect("it answers").components.unwrap_or_default();
    components.iter().any(|it| it.name.starts_with("Podman"))
}

/// The address that this machine has on the engine's default network, which is not a loopback address; `None` if the
/// engine has no such network.
///
/// # Panics
/// If it does not answer.
pub async fn gateway() -> Option<IpAddr> {
    let docker = Docker::connect_with_defaults().expect("an engine");
    let network = docker.inspect_network("bridge", None).await.ok()?;
    network.ipam?.config?.first()?.gateway.as_ref()?.parse().ok()
}

/// A static build of the fixture: an image from scratch needs nothing else.
///
/// # Panics
/// If it cannot be built.
#[must_use]
pub fn static_fixture() -> PathBuf {
    let built = workshop().join("fixture");
    let is_new = |path: &Path| {
        let time = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        time(path) > time(Path::new(FIXTURE_SOURCE))
    };
    let _lock = workshop_lock();
    if !is_new(&built) {
        let new = workshop().join("fixture.new");
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let status = Command::new(rustc)
            .args(["--edition=2024", "-Copt-level=s", "-Cstrip=symbols", "-Ctarget-feature=+crt-static", "-o"])
            .args([new.as_path(), Path::new(FIXTURE_SOURCE)])
            .status()
            .expect("rustc runs");
        assert!(status.success(), "the fixture can be built");
        std::fs::rename(&new, &built).expect("the workshop can be written");
    }
    built
}

/// Makes an image from scratch with one program in it, and answers with its reference. Made once, found afterwards.
///
/// # Panics
/// If the engine refuses it.
pub async fn image(name: &str, program: &Path, entrypoint: &[&str], command: &[&str]) -> ImageReference {
    let lines = format!("ENTRYPOINT {}\nCMD {}\n", json(entrypoint), json(command));
    made(name, program, &lines).await
}

/// The fixture as an image that serves, and brings this health check.
///
/// # Panics
/// If the engine refuses it.
pub async fn image_with_check(name: &str, check: &[&str]) -> ImageReference {
    let lines = format!("ENTRYPOINT [\"/app\"]\nCMD [\"serve\"]\nHEALTHCHECK CMD {}\n", json(check));
    made(name, &static_fixture(), &lines).await
}

/// The fixture as an image that has this command, and asks for a volume at this path.
///
/// # Panics
/// If the engine refuses it.
pub async fn image_with_volume(command: &[&str], path: &str) -> ImageReference {
    let lines = format!("ENTRYPOINT [\"/app\"]\nCMD {}\nVOLUME {path}\n", json(command));
    made("volume", &static_fixture(), &lines).await
}

fn json(words: &[&str]) -> String {
    serde_json::to_string(words).expect("strings can be written as JSON")
}

async fn made(name: &str, program: &Path, lines: &str) -> ImageReference {
    let docker = Docker::connect_with_defaults().expect("an engine");
    let bytes = std::fs::read(program).expect("the program is there");
    // The tag follows the content, so that a changed program is another image.
    let mut hash = std::hash::DefaultHasher::new();
    std::hash::Hash::hash(&(&bytes, lines), &mut hash);
    let repository = format!("{NOWHERE}/haddock-test-{name}");
    let tag = format!("{:016x}", std::hash::Hasher::finish(&hash));
    let reference = format!("{repository}:{tag}");
    let _lock = workshop_lock();
    if docker.inspect_image(&reference).await.is_err() {
        let folder = tempfile::tempdir().expect("a folder");
        let lines = format!("FROM scratch\nCOPY app /app\n{lines}LABEL {IMAGE_LABEL}\n");
        std::fs::write(folder.path().join("Dockerfile"), lines).expect("written");
        std::fs::copy(program, folder.path().join("app")).expect("copied");
        let mut tar = Command::new("tar");
        tar.args(["--create", "--mode=0755", "--directory"]).arg(folder.path()).args(["Dockerfile", "app"]);
        let tar = output(&mut tar);
        // Not an import: podman takes one change of that, and the others for a part of it.
        let options = BuildImageOptionsBuilder::default().t(&reference).rm(true).forcerm(true).build();
        let built = docker.build_image(options, None, Some(bollard::body_full(tar.into())));
        built.try_collect::<Vec<_>>().await.expect("built");
    }
    ImageReference::parse(&reference).expect("a reference")
}

fn output(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("tar runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The fixture as an image, with this command.
pub async fn fixture(command: &[&str]) -> ImageReference {
    image("fixture", &static_fixture(), &["/app"], command).await
}

/// Where the image that stores something wants a volume.
const VOLUME: &str = "/data";

/// The suite's view of the engine.
pub struct DockerHarness {
    /// The runtime.
    pub runtime: DockerRuntime,
    serving: ImageReference,
    exiting: ImageReference,
    stubborn: ImageReference,
    storing: ImageReference,
}

impl DockerHarness {
    /// With the engine, if one answers.
    pub async fn new() -> Option<Self> {
        Some(Self::on(engine().await?).await)
    }

    /// With this runtime, on the default engine.
    pub async fn on(runtime: DockerRuntime) -> Self {
        let serving = fixture(&["serve"]).await;
        let exiting = fixture(&["exit", "3"]).await;
        let stubborn = fixture(&["stubborn"]).await;
        let storing = image_with_volume(&["serve"], VOLUME).await;
        Self { runtime, serving, exiting, stubborn, storing }
    }
}

#[async_trait]
impl RuntimeHarness for DockerHarness {
    fn runtime(&self) -> &dyn ContainerRuntime {
        &self.runtime
    }

    fn serving(&self) -> ImageReference {
        self.serving.clone()
    }

    fn exiting(&self) -> ImageReference {
        self.exiting.clone()
    }

    fn stubborn(&self) -> ImageReference {
        self.stubborn.clone()
    }

    fn missing(&self) -> ImageReference {
        ImageReference::parse(&format!("{NOWHERE}/haddock-missing:none")).expect("a reference")
    }

    fn connects(&self) -> bool {
        true
    }

    fn calling(&self, alias: &str) -> Option<Vec<String>> {
        Some(["call", alias, "8080"].map(str::to_owned).to_vec())
    }

    fn checking(&self, code: u8) -> Option<Vec<String>> {
        Some(["CMD", "/app", "check", &code.to_string()].map(str::to_owned).to_vec())
    }

    fn copying(&self) -> Option<Vec<String>> {
        Some(["/app", "copy"].map(str::to_owned).to_vec())
    }

    fn with_volume(&self) -> Option<(ImageReference, String)> {
        Some((self.storing.clone(), VOLUME.to_owned()))
    }

    async fn pause(&self) {
        pause().await;
    }
}
