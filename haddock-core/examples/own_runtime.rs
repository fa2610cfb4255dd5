//! A container runtime of your own: containers in memory. It passes Haddock's suite, and a release runs on it.
//!
//! ```text
//! cargo run  -p haddock-core --example own_runtime --features controller,testing
//! cargo test -p haddock-core --example own_runtime --features controller,testing
//! ```
//!
//! A real one would ask an engine instead of changing a map. What a runtime cannot do it does not declare, and need not
//! implement: here that is all but the required methods.
#![allow(missing_docs, clippy::print_stdout, reason = "an example says what it does")]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use haddock_core::container::{
    Container, ContainerId, ContainerSpec, ContainerState, Network, NetworkSpec, RuntimeEvent, Selector,
};
use haddock_core::image::ImageReference;
use haddock_core::runtime::probe::{Probe, ProbeFailure, Probing};
use haddock_core::runtime::{ContainerRuntime, RuntimeCapabilities};
use haddock_core::{Error, ErrorKind, Result};

/// The runtime. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Shelf(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    containers: BTreeMap<ContainerId, (Container, ContainerSpec)>,
    /// The last number that was given out: for ids, addresses and lives.
    last: u16,
}

impl Shelf {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

impl Inner {
    fn number(&mut self) -> u16 {
        self.last += 1;
        self.last
    }

    fn find(&mut self, id: &ContainerId) -> Result<&mut (Container, ContainerSpec)> {
        let missing = || Error::new(ErrorKind::NotFound, format!("container `{id}` does not exist"));
        self.containers.get_mut(id).ok_or_else(missing)
    }
}

fn end(container: &mut Container, code: i64) {
    container.state = ContainerState::Exited { code, out_of_memory: false };
    container.addresses.clear();
}

#[async_trait]
impl ContainerRuntime for Shelf {
    fn capabilities(&self) -> RuntimeCapabilities {
        RuntimeCapabilities::default()
    }

    async fn pull(&self, image: &ImageReference, _refresh: bool) -> Result<String> {
        if image.to_string().starts_with("nowhere") {
            return Err(Error::new(ErrorKind::ImageMissing, format!("image `{image}` is not there")));
        }
        Ok(format!("id:{image}")) // what means the same image for ever, such as a digest
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        if !spec.image.starts_with("id:") {
            return Err(Error::new(ErrorKind::ImageMissing, format!("image `{}` was not pulled", spec.image)));
        }
        let mut inner = self.inner();
        if let Some((container, _)) = inner.containers.values().find(|(container, _)| container.name == spec.name) {
            return match spec.identity.is_carried_by(&container.labels) {
                true => Ok(container.id.clone()), // the same call again
                false => Err(Error::new(ErrorKind::NameTaken, format!("the name `{}` is taken", spec.name))),
            };
        }
        let id = ContainerId(format!("shelf-{}", inner.number()));
        inner.containers.insert(id.clone(), (Container::created(id.clone(), spec), spec.clone()));
        Ok(id)
    }

    async fn start(&self, container: &ContainerId) -> Result<()> {
        let mut inner = self.inner();
        let number = inner.number();
        let (container, spec) = inner.find(container)?;
        if container.state == ContainerState::Created {
            let [high, low] = number.to_be_bytes();
            container.state = ContainerState::Running;
            container.started = number.into(); // another one for each life
            container.addresses = spec.expose.iter().map(|port| (*port, ([127, 1, high, low], *port).into())).collect();
            if spec.image.contains("exiting") {
                end(container, 3);
            }
        }
        Ok(()) // one that runs or has ended is left as it is
    }

    async fn inspect(&self, container: &ContainerId) -> Result<Option<Container>> {
        Ok(self.inner().containers.get(container).map(|(container, _)| container.clone()))
    }

    async fn list(&self, selector: &Selector) -> Result<Vec<Container>> {
        let inner = self.inner();
        let all = inner.containers.values().map(|(container, _)| container);
        Ok(all.filter(|container| selector.matches(&container.labels)).cloned().collect())
    }

    async fn stop(&self, container: &ContainerId, _grace: Duration) -> Result<()> {
        if let Ok((container, spec)) = self.inner().find(container)
            && container.state == ContainerState::Running
        {
            end(container, if spec.image.contains("stubborn") { 137 } else { 0 });
        }
        Ok(()) // one that is not there, or does not run, is no error
    }

    async fn remove(&self, container: &ContainerId) -> Result<()> {
        self.inner().containers.remove(container);
        Ok(())
    }

    async fn logs(&self, container: &ContainerId, tail: usize) -> Result<Vec<String>> {
        let ended = matches!(self.inner().find(container)?.0.state, ContainerState::Exited { code: 3, .. });
        let lines: Vec<String> = (1..=5).filter(|_| ended).map(|line| format!("line {line}")).collect();
        Ok(lines[lines.len().saturating_sub(tail)..].to_vec())
    }

    // Without the capability, a network is a name, and nobody asks for events.

    async fn create_network(&self, spec: &NetworkSpec) -> Result<Network> {
        Ok(Network::created(&spec.name, spec))
    }

    async fn networks(&self, _selector: &Selector) -> Result<Vec<Network>> {
        Ok(Vec::new())
    }

    async fn remove_network(&self, _id: &str) -> Result<()> {
        Ok(())
    }

    async fn events(&self, _selector: &Selector) -> Result<BoxStream<'static, RuntimeEvent>> {
        Ok(stream::pending().boxed())
    }
}

impl fmt::Display for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the shelf")
    }
}

/// Nothing listens at its addresses, so it is asked whether an instance answers. A real runtime needs nothing of this.
#[async_trait]
impl Probing for Shelf {
    async fn probe(&self, probe: &Probe, _limit: Duration) -> Result<(), ProbeFailure> {
        let inner = self.inner();
        let there = inner.containers.values().any(|(it, _)| it.addresses.values().any(|it| *it == probe.address));
        there.then_some(()).ok_or(ProbeFailure::Refused)
    }
}

/// A release on it, in time that passes at once.
fn main() -> Result<()> {
    use haddock_core::controller::Controller;
    use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
    use haddock_core::environment::store::SpecStore;
    use haddock_core::journal::memory::MemoryJournal;
    use haddock_core::locator::sim::SimLocator;
    use haddock_core::testing::VirtualTime;
    use haddock_core::{JournalId, LocatorName, Timestamp};

    let file = "
name: shop
services: { web: { image: 'shop:${TAG}', expose: ['8080'] } }
";
    let options = ResolveOptions { tag: Some("v1".into()), purpose: Purpose::Release, ..ResolveOptions::default() };
    let spec = ComposeFile::parse("compose.yaml", file)?.resolve(&options)?.spec;

    let time = VirtualTime::new(Timestamp::from_millis(1_893_456_000_000))?;
    let shelf = Shelf::default();
    let locator = SimLocator::new(LocatorName::new("gateway")?, time.clock());
    let journal = MemoryJournal::new(JournalId::new("example")?);
    let controller =
        Controller::builder(Arc::new(shelf.clone()), Arc::new(locator), Arc::new(journal), SpecStore::memory())
            .clock(time.clock())
            .probing(Arc::new(shelf.clone()))
            .build();
    let service = controller.service(spec.service()?.service.clone());
    time.block_on(async {
        let acting = service.act().await?;
        println!("version {} has settled", service.release(&spec, "me", None).await?.settled().await?);
        for container in shelf.list(&Selector::default()).await? {
            println!("{} is {:?}", container.name, container.state);
        }
        acting.stop().await
    })
}

/// What the suite has to know of it: images that behave in a known way, and how time passes.
#[cfg(test)]
pub mod tests {
    use haddock_core::runtime::suite::RuntimeHarness;

    use super::*;

    struct Stage(Shelf);

    fn image(name: &str) -> ImageReference {
        name.parse().expect("a reference")
    }

    #[async_trait]
    impl RuntimeHarness for Stage {
        fn runtime(&self) -> &dyn ContainerRuntime {
            &self.0
        }

        fn serving(&self) -> ImageReference {
            image("serving:1")
        }

        fn exiting(&self) -> ImageReference {
            image("exiting:1")
        }

        fn stubborn(&self) -> ImageReference {
            image("stubborn:1")
        }

        fn missing(&self) -> ImageReference {
            image("nowhere:1")
        }

        fn connects(&self) -> bool {
            false // nothing listens at its addresses
        }

        fn calling(&self, _alias: &str) -> Option<Vec<String>> {
            None
        }

        fn checking(&self, _code: u8) -> Option<Vec<String>> {
            None
        }

        async fn pause(&self) {} // everything happens at once
    }

    haddock_core::runtime_suite! { #[tokio::test] Some(Stage(Shelf::default())) }
}
