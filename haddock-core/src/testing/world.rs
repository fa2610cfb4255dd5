//! Everything that a test of a release needs: a simulated engine, a simulated locator and a controller, in time that
//! passes at once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::VirtualTime;
use crate::controller::{Acting, Controller, Release, Service};
use crate::environment::EnvironmentSpec;
use crate::environment::store::SpecStore;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::Result;
use crate::journal::Journal;
use crate::journal::memory::MemoryJournal;
use crate::locator::ServiceLocator;
use crate::locator::sim::{Cookie, SimLocator};
use crate::name::{InstanceId, JournalId, LocatorName, ServiceName, VersionId};
use crate::runtime::sim::{SimImage, SimRuntime};
use crate::time::Timestamp;

/// When a world begins: the first day of 2030.
const BEGIN: Timestamp = Timestamp::from_millis(1_893_456_000_000);

/// A world in which nothing has happened: its engine has every image, and what is started from one answers after two
/// seconds. Time passes only while the world does something, and then at once: a drain of eight hours takes milliseconds.
///
/// ```
/// use std::time::Duration;
/// use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
/// use haddock_core::testing::World;
///
/// # fn main() -> haddock_core::Result<()> {
/// const FILE: &str = "
/// name: shop
/// services: { web: { image: 'shop:${TAG}', expose: ['8080'] } }
/// x-haddock: { session: { idle: 1h }, release: { ramp: [10%, 100%], every: 10m, settle: 10m } }
/// ";
/// let file = ComposeFile::parse("compose.yaml", FILE)?;
/// let of = |tag: &str| {
///     let options = ResolveOptions { tag: Some(tag.into()), purpose: Purpose::Release, ..ResolveOptions::default() };
///     Ok::<_, haddock_core::Error>(file.resolve(&options)?.spec)
/// };
///
/// let world = World::new()?;
/// let first = world.release(&of("v1")?)?;
/// let service = of("v1")?.service()?.service.clone();
/// let mut session = world.open_session(&service).expect("version 1 serves");
///
/// let second = world.release(&of("v2")?)?;
/// assert!(second > first);
/// for _ in 0..32 {
///     world.time.advance(Duration::from_secs(15 * 60));
///     assert!(session.request(), "it stays where it began, for eight hours");
/// }
/// world.time.advance(Duration::from_secs(61 * 60));
/// assert!(!session.request(), "nobody used it for its idle time");
/// let state = world.time.block_on(world.controller.service(service).status())?.expect("it was released").state;
/// assert_eq!(state.instances_of(first).count(), 0, "so the old version is gone");
/// # Ok(())
/// # }
/// ```
pub struct World {
    /// The virtual time of this world.
    pub time: VirtualTime,
    /// The engine: the behaviour of its images, its containers, and faults by script.
    pub runtime: SimRuntime,
    /// The locator, where clients' requests begin and end.
    pub locator: SimLocator,
    /// The specifications of what was released.
    pub specs: SpecStore,
    /// A controller of them, with a journal in memory.
    pub controller: Controller,
    acting: Mutex<BTreeMap<ServiceName, Acting>>,
}

impl World {
    /// A world in which nothing has happened.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if the system has no resources for another runtime.
    pub fn new() -> Result<Self> {
        let time = VirtualTime::new(BEGIN)?;
        let runtime = SimRuntime::new(time.clock());
        runtime.set_other_images(Some(SimImage::good(Duration::from_secs(2))));
        let locator = SimLocator::new(LocatorName::new("gateway")?, time.clock());
        let (journal, specs) = (MemoryJournal::new(JournalId::new("world")?), SpecStore::memory());
        let controller = of_world(&time, &runtime, &locator, Arc::new(journal), &specs);
        Ok(Self { time, runtime, locator, specs, controller, acting: Mutex::default() })
    }

    /// Another controller of the same engine and locator, with this journal. It may be the journal of the first
    /// controller, that of another team, or a new one after the first was lost.
    #[must_use]
    pub fn controller_of(&self, journal: Arc<dyn Journal>, specs: &SpecStore) -> Controller {
        of_world(&self.time, &self.runtime, &self.locator, journal, specs)
    }

    /// A controller of the same engine with another locator, such as one of your own, and a new journal in memory.
    #[must_use]
    pub fn controller_with(&self, locator: Arc<dyn ServiceLocator>) -> Controller {
        let journal = MemoryJournal::new(JournalId::new("world2").expect("a plain name"));
        put_together(&self.time, &self.runtime, locator, Arc::new(journal), &SpecStore::memory())
    }

    /// The service that a specification describes.
    ///
    /// # Errors
    /// [`ComposeFile`](ErrorKind::ComposeFile) if it describes none.
    pub fn service(&self, spec: &EnvironmentSpec) -> Result<Service> {
        Ok(self.controller.service(spec.service()?.service.clone()))
    }

    /// Acts for a service from now on, unless that is done already.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy) while another acts.
    pub fn act(&self, service: &Service) -> Result<()> {
        let acts = self.acting().get(service.name()).is_some_and(|acting| !acting.has_ended());
        if !acts {
            let begun = self.time.block_on(service.act())?;
            self.acting().insert(service.name().clone(), begun);
        }
        Ok(())
    }

    fn acting(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Acting>> {
        self.acting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nobody acts, as after a crash. Everything stays as it is, and the next one to act goes on from
    /// there.
    ///
    /// # Errors
    /// [`Fenced`](ErrorKind::Fenced) if another had taken over.
    pub fn stop_acting(&self) -> Result<()> {
        let all = std::mem::take(&mut *self.acting());
        all.into_values().try_for_each(|acting| self.time.block_on(acting.stop()))
    }

    /// Asks for a release, and acts for its service.
    ///
    /// # Errors
    /// Those of [`Service::release`] and [`act`](Self::act).
    pub fn begin_release(&self, spec: &EnvironmentSpec) -> Result<Release> {
        let service = self.service(spec)?;
        self.act(&service)?;
        self.time.block_on(service.release(spec, "a test", None))
    }

    /// Releases the specification, and waits until the release has settled.
    ///
    /// # Errors
    /// Those of [`begin_release`](Self::begin_release) and [`Release::settled`].
    pub fn release(&self, spec: &EnvironmentSpec) -> Result<VersionId> {
        let release = self.begin_release(spec)?;
        self.time.block_on(release.settled())
    }

    /// A client comes, and has a session after its first request. `None`: nothing takes new sessions.
    #[must_use]
    pub fn open_session(&self, service: &ServiceName) -> Option<Session> {
        let ticket = self.locator.begin(service, None, false)?;
        let cookie = self.locator.finish(service, &ticket, false)?;
        Some(Session { locator: self.locator.clone(), service: service.clone(), cookie })
    }

    /// How many containers the engine has.
    #[must_use]
    pub fn containers(&self) -> usize {
        self.runtime.with(|engine, now| engine.containers(now).count())
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("time", &self.time).finish_non_exhaustive()
    }
}

/// A client with a session on an instance of a service in a [`World`].
#[derive(Debug, Clone)]
pub struct Session {
    locator: SimLocator,
    service: ServiceName,
    cookie: Cookie,
}

impl Session {
    /// Sends a request, which is answered at once. Returns whether it came to the same session. If not, the session has
    /// expired or was lost. From now on the client has another one, or none if nothing takes new sessions.
    pub fn request(&mut self) -> bool {
        let Some(ticket) = self.locator.begin(&self.service, Some(&self.cookie), false) else { return false };
        let same = ticket.session == self.cookie.session;
        if let Some(cookie) = self.locator.finish(&self.service, &ticket, false) {
            self.cookie = cookie;
        }
        same
    }

    /// The instance that the session is on.
    #[must_use]
    pub fn instance(&self) -> &InstanceId {
        &self.cookie.instance
    }
}

fn of_world(
    time: &VirtualTime,
    runtime: &SimRuntime,
    locator: &SimLocator,
    journal: Arc<dyn Journal>,
    specs: &SpecStore,
) -> Controller {
    put_together(time, runtime, Arc::new(locator.clone()), journal, specs)
}

fn put_together(
    time: &VirtualTime,
    runtime: &SimRuntime,
    locator: Arc<dyn ServiceLocator>,
    journal: Arc<dyn Journal>,
    specs: &SpecStore,
) -> Controller {
    let builder = Controller::builder(Arc::new(runtime.clone()), locator, journal, specs.clone());
    time.pace(builder).probing(Arc::new(runtime.clone())).build()
}
