//! Haddock, put together: runtime, gateway, journal and controller in this process.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use haddock_core::container::Selector;
use haddock_core::controller::{Controller, Service};
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
use haddock_core::environment::store::SpecStore;
use haddock_core::journal::Journal;
use haddock_core::journal::sqlite::SqliteJournal;
use haddock_core::locator::ServiceLocator;
use haddock_core::locator::gateway::Gateway;
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::docker::DockerRuntime;
use haddock_core::runtime::process::ProcessRuntime;
use haddock_core::{ErrorKind, InstanceId, ServiceName, SystemClock};

use super::arguments::Arguments;
use super::site::{Site, told};
use crate::image;

/// The word with which a program of ours, as its first argument, becomes the demo application.
pub const APP: &str = "__app";

/// A service and all that it takes to release it.
pub struct House {
    arguments: Arguments,
    clock: SystemClock,
    site: Site,
    locator: Arc<dyn ServiceLocator>,
    gateway: Gateway,
    service: Service,
    compose: ComposeFile,
    /// Where journal, specifications, tables, keys and processes are kept; it is removed with the house.
    _folder: tempfile::TempDir,
}

impl House {
    /// Puts it together. `program` becomes the application where versions run as processes.
    ///
    /// # Errors
    /// When one of the parts does not come up, such as the engine.
    pub async fn open(arguments: &Arguments, program: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("haddock-release-").tempdir()?;
        let runtime: Arc<dyn ContainerRuntime> = if arguments.docker {
            Arc::new(DockerRuntime::connect(None).await.map_err(told)?)
        } else {
            let mut builder = ProcessRuntime::builder(folder.path().join("processes"));
            for number in 1..=arguments.versions {
                let command = [program.to_string_lossy().into_owned(), APP.to_owned()];
                builder = builder.image(format!("{}:{}", image::REPOSITORY, tag(number)), command);
            }
            Arc::new(builder.build().map_err(told)?)
        };
        let journal: Arc<dyn Journal> =
            Arc::new(SqliteJournal::open(folder.path().join("journal.sqlite")).map_err(told)?);
        let specs = SpecStore::directory(folder.path().join("specs")).map_err(told)?;
        let gateway = Gateway::builder().state_dir(folder.path().join("gateway")).start().await.map_err(told)?;
        let locator = gateway.locator();
        let controller = Controller::builder(Arc::clone(&runtime), Arc::clone(&locator), Arc::clone(&journal), specs)
            .holder("the release example")
            .tick(Duration::from_millis(200))
            .build();
        let compose = ComposeFile::parse("demo.yaml", include_str!("../../compose/demo.yaml")).map_err(told)?;
        let name = ServiceName::new("demo").map_err(told)?;
        let service = controller.service(name.clone());
        let acting = service.act().await.map_err(told)?;
        let (arguments, clock) = (arguments.clone(), SystemClock::new());
        let site = Site { name, runtime, journal, acting };
        Ok(Self { arguments, clock, site, locator, gateway, service, compose, _folder: folder })
    }

    /// Makes what the versions run from, where that is images.
    ///
    /// # Errors
    /// When the static build fails, or the engine refuses.
    pub async fn make_images(&self) -> io::Result<()> {
        let Some(docker) = self.docker()? else { return Ok(()) };
        let binary = image::build_binary().await?;
        for number in 1..=self.arguments.versions {
            image::make(&docker, &binary, &tag(number)).await?;
        }
        Ok(())
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

    /// Where clients reach the service.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.gateway.local_addr()
    }

    /// Asks for the release of a version.
    ///
    /// # Errors
    /// When the compose file or the journal refuses.
    pub async fn release(&self, number: u32) -> io::Result<()> {
        let idle = self.arguments.idle.as_secs_f64().to_string();
        let mut variables = vec![("IDLE_SECONDS", idle.as_str())];
        if !self.arguments.docker {
            variables.push(("ADDRESS", "127.0.0.1"));
        }
        let options = ResolveOptions {
            variables: variables.into_iter().collect(),
            tag: Some(tag(number)),
            purpose: Purpose::Release,
            ..ResolveOptions::default()
        };
        let resolved = self.compose.resolve(&options).map_err(told)?;
        self.service.release(&resolved.spec, "the release example", None).await.map_err(told)?;
        Ok(())
    }

    /// Stops an instance by the runtime, without telling the controller.
    ///
    /// # Errors
    /// The runtime's.
    pub async fn stop_behind_the_back(&self, instance: &InstanceId) -> io::Result<()> {
        let selector = Selector::environment(self.site.journal.id(), instance);
        for container in self.site.runtime.list(&selector).await.map_err(told)? {
            self.site.runtime.stop(&container.id, Duration::from_secs(1)).await.map_err(told)?;
        }
        Ok(())
    }

    /// Has the gateway give an instance's sessions to others, without telling the controller.
    ///
    /// # Errors
    /// The gateway's.
    pub async fn evict_behind_the_back(&self, instance: &InstanceId) -> io::Result<()> {
        loop {
            let newest = self.locator.observe(&self.site.name).await.map_err(told)?.newest;
            match self.locator.evict(&self.site.name, instance, newest).await {
                // The controller was faster: there is a newer number by now.
                Err(error) if error.kind() == ErrorKind::StaleNumber => {}
                other => return other.map_err(told),
            }
        }
    }

    /// Stops and removes everything. Goes on after an error, and answers with the first.
    ///
    /// # Errors
    /// The runtime's, or the engine's.
    pub async fn close(self) -> io::Result<()> {
        let outcome = self.site.close().await;
        if self.arguments.docker { outcome.and(remove_images(self.arguments.versions).await) } else { outcome }
    }

    fn docker(&self) -> io::Result<Option<bollard::Docker>> {
        if self.arguments.docker { engine().map(Some) } else { Ok(None) }
    }
}

async fn remove_images(versions: u32) -> io::Result<()> {
    let docker = engine()?;
    for number in 1..=versions {
        image::remove(&docker, &tag(number)).await?;
    }
    Ok(())
}

fn engine() -> io::Result<bollard::Docker> {
    bollard::Docker::connect_with_defaults().map_err(io::Error::other)
}

fn tag(number: u32) -> String {
    format!("v{number}")
}

impl fmt::Display for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} behind {}", self.site.runtime, self.gateway.local_addr())
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
