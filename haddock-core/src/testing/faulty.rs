//! A port whose calls are late, fail, or lose their answers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::locator::ServiceLocator;
use crate::runtime::ContainerRuntime;
use crate::time::sleep;

/// A call of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// The name of the method, such as `create`.
    pub method: &'static str,
    /// How many calls came before it: 0 is the first.
    pub number: usize,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is carried out after this time.
    Late(Duration),
    /// It is not carried out, and fails.
    Fails(Error),
    /// It is carried out, and its answer is lost.
    Lost(Error),
}

/// What happens to the calls of a [`Faulty`] port. A closure from a [`Call`] to an `Option` of a [`Fault`] is one, too.
#[async_trait]
pub trait Faults: Send + Sync + 'static {
    /// Called before a call is carried out. If this returns an error, the call is not carried out, and the error is its
    /// answer. If it never returns, this is like a process that ended before the call.
    async fn before(&self, call: Call) -> Result<()>;

    /// Called after a call was carried out. An error replaces its answer. If it never returns, this is like a process
    /// that ended after the call.
    async fn after(&self, call: Call) -> Result<()>;
}

#[async_trait]
impl<F: Fn(Call) -> Option<Fault> + Send + Sync + 'static> Faults for F {
    async fn before(&self, call: Call) -> Result<()> {
        match self(call) {
            Some(Fault::Fails(error)) => Err(error),
            Some(Fault::Late(late)) => {
                sleep(late).await;
                Ok(())
            }
            Some(Fault::Lost(_)) | None => Ok(()),
        }
    }

    async fn after(&self, call: Call) -> Result<()> {
        match self(call) {
            Some(Fault::Lost(error)) => Err(error),
            _ => Ok(()),
        }
    }
}

/// A runtime, a locator or a journal around another one, whose calls go wrong. All methods count as calls, except those
/// that answer at once, such as `capabilities`.
///
/// ```
/// use std::time::Duration;
///
/// use haddock_core::runtime::ContainerRuntime;
/// use haddock_core::runtime::sim::{SimImage, SimRuntime};
/// use haddock_core::testing::{Fault, Faulty, VirtualTime};
/// use haddock_core::{Error, ErrorKind, Timestamp};
///
/// # fn main() -> haddock_core::Result<()> {
/// let time = VirtualTime::new(Timestamp::from_millis(0))?;
/// let engine = SimRuntime::new(time.clock());
/// engine.add_image("shop:v1", SimImage::good(Duration::ZERO));
///
/// // The second call fails, and each takes 50 ms otherwise.
/// let slow = Faulty::new(engine, |call: haddock_core::testing::Call| match call.number {
///     1 => Some(Fault::Fails(Error::new(ErrorKind::RuntimeUnavailable, "it is away"))),
///     _ => Some(Fault::Late(Duration::from_millis(50))),
/// });
/// time.block_on(async {
///     let image = "shop:v1".parse()?;
///     assert!(slow.pull(&image, false).await.is_ok());
///     assert_eq!(slow.pull(&image, false).await.unwrap_err().kind(), ErrorKind::RuntimeUnavailable);
///     assert_eq!(slow.calls(), 2);
///     Ok::<_, Error>(())
/// })?;
/// assert_eq!(time.clock().now(), Timestamp::from_millis(50));
/// # Ok(())
/// # }
/// ```
pub struct Faulty<P> {
    inner: P,
    faults: Arc<dyn Faults>,
    calls: AtomicUsize,
}

impl<P> Faulty<P> {
    /// Around another one.
    pub fn new(inner: P, faults: impl Faults) -> Self {
        Self { inner, faults: Arc::new(faults), calls: AtomicUsize::new(0) }
    }

    /// How many calls there were.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The inner one.
    #[must_use]
    pub fn inner(&self) -> &P {
        &self.inner
    }

    async fn call<T>(&self, method: &'static str, call: impl Future<Output = Result<T>>) -> Result<T> {
        let made = Call { method, number: self.calls.fetch_add(1, Ordering::SeqCst) };
        self.faults.before(made).await?;
        let answer = call.await;
        self.faults.after(made).await.and(answer)
    }
}

impl<P: fmt::Display> fmt::Display for Faulty<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<P: fmt::Debug> fmt::Debug for Faulty<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Faulty").field(&self.inner).finish()
    }
}

macro_rules! perhaps {
    ($me:ident, id) => { $me.inner.id() };
    ($me:ident, capabilities) => { $me.inner.capabilities() };
    ($me:ident, cannot, $what:ident) => { $me.inner.cannot($what) };
    ($me:ident, $method:ident $(, $argument:ident)*) => {
        $me.call(stringify!($method), $me.inner.$method($($argument),*)).await
    };
}

crate::forward_runtime! { [impl<R: ContainerRuntime> ContainerRuntime for Faulty<R>] perhaps }
crate::forward_locator! { [impl<L: ServiceLocator> ServiceLocator for Faulty<L>] perhaps }
crate::forward_journal! { [impl<J: Journal> Journal for Faulty<J>] perhaps }
