//! A release that was asked for, and its events.

use std::sync::Arc;
use std::time::Duration;

use haddock_core::controller::{Following as CoreFollowing, Release as CoreRelease, Told, Until};
use haddock_core::release::{AbortReason, Verb};
use haddock_core::{Error, Result, ServiceName, Timestamp};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::call::Call;
use crate::convert::{seconds, to_python};
use crate::driver::pause;
use crate::home::Home;
use crate::house::House;

/// How often a follower checks whether nobody acts any more, so that it has to act itself.
const TAKE_OVER: Duration = Duration::from_secs(2);
const VIRTUAL_TAKE_OVER: Duration = Duration::from_secs(600);
/// How often, and how many times in a row, a journal that does not answer is tried again.
const RETRY: Duration = Duration::from_secs(1);
const TRIES: u32 = 30;
/// How many events are returned at a time.
const PAGE: usize = 256;

/// A release that was asked for.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct Release {
    inner: Home<Inner>,
}

struct Inner {
    house: Arc<House>,
    service: ServiceName,
    release: Arc<CoreRelease>,
}

impl Release {
    pub(crate) fn new(house: Arc<House>, service: ServiceName, release: CoreRelease) -> Self {
        Self { inner: Home::new(Inner { house, service, release: Arc::new(release) }) }
    }
}

impl Inner {
    fn follower(&self, until: Until, since: u64) -> Follower {
        let following = self.release.follow(until, since);
        Follower { house: Arc::clone(&self.house), service: self.service.clone(), following }
    }
}

fn until_of(until: Option<&str>) -> PyResult<Until> {
    match until {
        Some("settled") => Ok(Until::Settled),
        Some("gone") => Ok(Until::Gone),
        None => Ok(Until::Forever),
        Some(other) => Err(PyValueError::new_err(format!("until is \"settled\", \"gone\" or None, not {other:?}"))),
    }
}

#[pymethods]
impl Release {
    /// The service's name.
    fn service(&self) -> PyResult<String> {
        Ok(self.inner.get()?.service.to_string())
    }

    /// The id of the request.
    fn request(&self) -> PyResult<String> {
        Ok(self.inner.get()?.release.request().to_string())
    }

    /// Its state, as plain data.
    fn status(&self) -> PyResult<Call> {
        let inner = self.inner.get()?;
        let release = Arc::clone(&inner.release);
        inner.house.calls().call(async move { release.summary().await }, |py, summary| to_python(py, &summary))
    }

    /// The time of its clock in seconds.
    fn now(&self) -> PyResult<f64> {
        Ok(Duration::from_millis(self.inner.get()?.house.driver.clock().now().as_millis()).as_secs_f64())
    }

    /// Its events until it is `settled` or `gone`, or for ever.
    fn follow(&self, until: Option<&str>, since: u64) -> PyResult<Following> {
        let inner = self.inner.get()?;
        let follower = Home::new(Arc::new(Mutex::new(inner.follower(until_of(until)?, since))));
        Ok(Following { house: Home::new(Arc::clone(&inner.house)), follower })
    }

    /// Waits until it is `settled` or `gone`. Returns how it ended and how long that took since its request, as plain
    /// data. After that many seconds it returns nothing.
    fn wait(&self, until: &str, timeout: Option<f64>) -> PyResult<Call> {
        let inner = self.inner.get()?;
        let timeout = timeout.map(seconds).transpose()?;
        let mut follower = inner.follower(until_of(Some(until))?, 0);
        let work = async move {
            match timeout {
                None => follower.end().await.map(Some),
                Some(limit) => tokio::time::timeout(limit, follower.end()).await.map_or(Ok(None), |end| end.map(Some)),
            }
        };
        inner.house.calls().call(work, |py, end| to_python(py, &end))
    }

    /// Sends a verb about the release: pause, resume, advance, abort.
    fn ask(&self, verb: &str, by: String) -> PyResult<Call> {
        let inner = self.inner.get()?;
        let verb = steering(verb)?;
        let (house, service, release) = (Arc::clone(&inner.house), inner.service.clone(), Arc::clone(&inner.release));
        inner.house.calls().done(async move {
            house.act(&service).await?;
            release.ask(verb, &by).await
        })
    }
}

/// A verb that steers a release.
pub(crate) fn steering(verb: &str) -> PyResult<Verb> {
    match verb {
        "pause" => Ok(Verb::Pause),
        "resume" => Ok(Verb::Resume),
        "advance" => Ok(Verb::Advance),
        "abort" => Ok(Verb::Abort),
        other => Err(PyValueError::new_err(format!("there is no verb {other:?}"))),
    }
}

struct Follower {
    house: Arc<House>,
    service: ServiceName,
    following: CoreFollowing,
}

impl Follower {
    /// The next event. If the journal does not answer for a moment, it is tried again.
    async fn next(&mut self) -> Result<Option<Told>> {
        let mut tries = 0;
        loop {
            match self.look().await {
                Err(error) if error.is_retryable() && tries < TRIES => {
                    tries += 1;
                    pause(RETRY).await;
                }
                other => return other,
            }
        }
    }

    /// Acts for the service if nobody else does, and waits for the next event.
    async fn look(&mut self) -> Result<Option<Told>> {
        let patience = if self.house.driver.is_virtual() { VIRTUAL_TAKE_OVER } else { TAKE_OVER };
        loop {
            self.house.act(&self.service).await?;
            tokio::select! {
                biased;
                told = self.following.next() => return told,
                () = pause(patience) => {}
            }
        }
    }

    /// How it ends, and how long that took.
    async fn end(&mut self) -> Result<Value> {
        let (mut first, mut last) = (None, Timestamp::default());
        loop {
            match self.next().await? {
                Some(Told::Event(telling)) => {
                    last = telling.recorded.at;
                    first.get_or_insert(last);
                }
                Some(other) => {
                    let took = last - first.unwrap_or(last);
                    return Ok(
                        json!({ "end": plain(other), "millis": u64::try_from(took.as_millis()).unwrap_or(u64::MAX) }),
                    );
                }
                None => {}
            }
        }
    }

    /// The next event, with all others that are ready: events, then perhaps an end.
    async fn page(&mut self) -> Result<Value> {
        let (mut events, mut end) = (Vec::new(), None);
        let mut told = self.next().await?;
        while let Some(this) = told {
            match this {
                Told::Event(telling) => events.push(telling),
                other => end = Some(plain(other)),
            }
            if end.is_some() || events.len() == PAGE {
                break;
            }
            told = match self.following.ready() {
                Some(told) => Some(told),
                None => break,
            };
        }
        Ok(json!({ "events": events, "end": end }))
    }
}

fn plain(told: Told) -> Value {
    let end = |end: &str, version: Option<u64>, error: Option<Error>, reason: Option<String>| json!({ "end": end, "version": version, "error": error, "reason": reason });
    match told {
        Told::Event(_) => Value::Null,
        Told::Reached(version) => end("reached", Some(version.0), None, None),
        Told::Aborted { version, reason } => {
            let error = reason.error().cloned();
            let ended = if matches!(reason, AbortReason::Superseded) { "superseded" } else { "aborted" };
            end(ended, version.map(|version| version.0), error, Some(reason.to_string()))
        }
        Told::Skipped => {
            end("superseded", None, None, Some("a newer release took its place before it began".to_owned()))
        }
        Told::Refused(error) => end("refused", None, Some(error), None),
    }
}

/// The events of a release.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct Following {
    house: Home<Arc<House>>,
    follower: Home<Arc<Mutex<Follower>>>,
}

#[pymethods]
impl Following {
    /// The next events and, after the last, how it ended; as plain data.
    fn next(&self) -> PyResult<Call> {
        let follower = Arc::clone(self.follower.get()?);
        let work = async move { follower.lock().await.page().await };
        self.house.get()?.calls().call(work, |py, page| to_python(py, &page))
    }
}
