//! All that it takes to release: Docker, the image, the way to the instances, journal and controller.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use haddock_core::build::{BuildOptions, Images};
use haddock_core::controller::{Controller, Service};
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
use haddock_core::environment::store::SpecStore;
use haddock_core::image::tree::ImageTree;
use haddock_core::journal::Journal;
use haddock_core::journal::sqlite::SqliteJournal;
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::docker::DockerRuntime;
use haddock_core::{ServiceName, SystemClock};

use super::arguments::{Arguments, Through};
use super::front::Front;
use crate::show::{Site, told};

/// The image is not different from version to version: what differs is a variable.
const TAG: &str = "latest";

/// A service and all that it takes to release it.
pub struct House {
    arguments: Arguments,
    clock: SystemClock,
    site: Site,
    front: Front,
    service: Service,
    compose: ComposeFile,
    /// Where journal, specifications, tables and keys are kept; it is removed with the house.
    _folder: tempfile::TempDir,
}

impl House {
    /// Builds the image, unless it is there, and puts the rest together. `program` becomes a gateway where one is to be killed.
    ///
    /// # Errors
    /// When one of the parts does not come up, such as the engine.
    pub async fn open(arguments: &Arguments, program: Option<&Path>) -> io::Result<Self> {
        let runtime = Arc::new(DockerRuntime::connect(None).await.map_err(told)?);
        make_image(&runtime).await?;
        let folder = tempfile::Builder::new().prefix("haddock-tomcat-").tempdir()?;
        let compose = ComposeFile::parse("tomcat.yaml", include_str!("../../compose/tomcat.yaml")).map_err(told)?;
        let name = ServiceName::new("shop").map_err(told)?;
        let front = Front::open(arguments, program, folder.path(), name.as_str()).await?;
        let journal: Arc<dyn Journal> =
            Arc::new(SqliteJournal::open(folder.path().join("journal.sqlite")).map_err(told)?);
        let specs = SpecStore::directory(folder.path().join("specs")).map_err(told)?;
        let (_, first) = front.locators.first().ok_or_else(|| io::Error::other("there is no way to the instances"))?;
        let engine = Arc::clone(&runtime) as Arc<dyn ContainerRuntime>;
        let builder = Controller::builder(engine, Arc::clone(first), Arc::clone(&journal), specs);
        let builder = builder.locators(front.locators.iter().cloned());
        let controller = builder.holder("the tomcat example").tick(Duration::from_millis(200)).build();
        let service = controller.service(name.clone());
        let acting = service.act().await.map_err(told)?;
        let (arguments, clock) = (arguments.clone(), SystemClock::new());
        let site = Site { name, runtime, journal, acting };
        Ok(Self { arguments, clock, site, front, service, compose, _folder: folder })
    }

    /// The service, with its history and its instances.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The clock that all here go by.
    #[must_use]
    pub fn clock(&self) -> &SystemClock {
        &self.clock
    }

    /// The way to the instances.
    pub(super) fn front(&self) -> &Front {
        &self.front
    }

    /// Where clients reach the service.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.front.addresses
    }

    /// Asks for the release of a version.
    ///
    /// # Errors
    /// When the compose file or the journal refuses.
    pub async fn release(&self, number: u32) -> io::Result<()> {
        let Arguments { idle, every, through, .. } = &self.arguments;
        // HAProxy keeps in its table where a session is.
        let mode = if *through == Through::Haproxy { "learn" } else { "prefix" };
        let (idle, every, version) = (idle.to_string(), format!("{every}s"), version(number));
        let options = ResolveOptions {
            variables: [
                ("IDLE_SECONDS", idle.as_str()),
                ("EVERY", &every),
                ("VERSION", &version),
                ("COOKIE_MODE", mode),
            ]
            .into_iter()
            .collect(),
            tag: Some(TAG.into()),
            purpose: Purpose::Release,
            ..ResolveOptions::default()
        };
        let resolved = self.compose.resolve(&options).map_err(told)?;
        self.service.release(&resolved.spec, "the tomcat example", None).await.map_err(told)?;
        Ok(())
    }

    /// Stops and removes everything but the image. Goes on after an error, and answers with the first.
    ///
    /// # Errors
    /// The engine's.
    pub async fn close(self) -> io::Result<()> {
        self.site.close().await
    }
}

/// What a version says that it is.
#[must_use]
pub(super) fn version(number: u32) -> String {
    format!("v{number}")
}

/// What the image needs, and this machine does not have.
#[must_use]
pub fn missing_for_images() -> Option<&'static str> {
    let is_there = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|folder| folder.join(program).is_file())
    };
    // It is made once.
    let is_made = tree().join("debian/root.tar").is_file();
    let can_be_made = nix::unistd::geteuid().is_root() && is_there("debootstrap");
    if is_made || can_be_made { None } else { Some("root and debootstrap, for the images of examples/images") }
}

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("images")
}

/// Builds the application's image and those that it stands on. On a machine that has none of them, it takes minutes.
async fn make_image(runtime: &Arc<DockerRuntime>) -> io::Result<()> {
    let make = tokio::process::Command::new(tree().join("debian/make.sh")).output().await?;
    if !make.status.success() {
        let why = String::from_utf8_lossy(&make.stderr).into_owned();
        return Err(io::Error::other(format!("examples/images/debian/make.sh: {why}")));
    }
    let tree = ImageTree::read(&tree()).map_err(told)?;
    let images = Images::of(tree, Arc::clone(runtime) as _, TAG).map_err(told)?;
    let options = BuildOptions { images: vec!["accounting".into()], ..BuildOptions::default() };
    images.build(&options, &|_| ()).await.map_err(told)?;
    Ok(())
}

impl fmt::Display for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<_> = self.front.addresses.iter().map(ToString::to_string).collect();
        write!(f, "{} behind {:?} at {}", self.site.runtime, self.arguments.through, addresses.join(" and "))
    }
}

impl fmt::Debug for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("House")
            .field("runtime", &self.site.runtime)
            .field("service", &self.site.name)
            .finish_non_exhaustive()
    }
}
