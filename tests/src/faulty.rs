//! A runtime of which one call goes wrong, so that a test can go through all of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use haddock_core::runtime::{ContainerRuntime, RuntimeCapabilities};
use haddock_core::testing::{Call, Faults};
use haddock_core::{Error, ErrorKind, Result};
use tokio::sync::Notify;

/// What happens at the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not carried out, and fails.
    Fails,
    /// It is carried out, and its answer is lost.
    Lost,
    /// The process dies before it is carried out.
    DiesBefore,
    /// The process dies when it was carried out.
    DiesAfter,
}

impl Fault {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Fails, Self::Lost, Self::DiesBefore, Self::DiesAfter];
}

/// A runtime whose call with the number `at`, counted from 0, goes wrong. Calls that only read texts are not counted.
#[derive(Debug)]
pub struct Faulty {
    inner: haddock_core::testing::Faulty<Arc<dyn ContainerRuntime>>,
    dead: Arc<Notify>,
}

struct Once {
    at: usize,
    fault: Fault,
    counted: AtomicUsize,
    /// The number of the call that goes wrong, when it has come.
    hit: AtomicUsize,
    dead: Arc<Notify>,
}

impl Faulty {
    /// Around another runtime.
    pub fn new(inner: Arc<dyn ContainerRuntime>, at: usize, fault: Fault) -> Arc<Self> {
        let dead = Arc::new(Notify::new());
        let (counted, hit) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let once = Once { at, fault, counted, hit, dead: Arc::clone(&dead) };
        Arc::new(Self { inner: haddock_core::testing::Faulty::new(inner, once), dead })
    }

    /// Does some work with it, unless the process dies meanwhile: then `None`, and nothing of the work goes on.
    pub async fn outlive<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.dead.notified() => None,
            done = work => Some(done),
        }
    }
}

impl Once {
    async fn die(&self) -> Result<()> {
        self.dead.notify_one();
        std::future::pending().await
    }
}

fn fault() -> Result<()> {
    Err(Error::new(ErrorKind::RuntimeUnavailable, "a fault for the test"))
}

#[async_trait]
impl Faults for Once {
    async fn before(&self, call: Call) -> Result<()> {
        let reads = matches!(call.method, "logs" | "health_output" | "events");
        if reads || self.counted.fetch_add(1, Ordering::SeqCst) != self.at {
            return Ok(());
        }
        self.hit.store(call.number, Ordering::SeqCst);
        match self.fault {
            Fault::Fails => fault(),
            Fault::DiesBefore => self.die().await,
            Fault::Lost | Fault::DiesAfter => Ok(()),
        }
    }

    async fn after(&self, call: Call) -> Result<()> {
        match self.fault {
            _ if self.hit.load(Ordering::SeqCst) != call.number => Ok(()),
            Fault::Lost => fault(),
            Fault::DiesAfter => self.die().await,
            Fault::Fails | Fault::DiesBefore => Ok(()),
        }
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a faulty runtime")
    }
}

macro_rules! with_networks {
    // What asks for networks is to have faults, too.
    ($me:ident, capabilities) => { RuntimeCapabilities { networks: true, ..$me.inner.capabilities() } };
    ($me:ident, cannot, $what:ident) => { $me.inner.cannot($what) };
    ($me:ident, $method:ident $(, $argument:ident)*) => { $me.inner.$method($($argument),*).await };
}

haddock_core::forward_runtime! { [impl ContainerRuntime for Faulty] with_networks }
