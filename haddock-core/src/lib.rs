//! Zero-downtime releases for services that keep client sessions in memory.
//!
//! A new version of a service is started beside the old one. The service locator sends more and more of the *new*
//! sessions to it. Existing sessions stay where they began. When the last session of the old version has expired, its
//! containers are removed. Nobody notices.
//!
//! ```text
//!   compose file ─▶ environment ─▶ release ─────▶ journal          what is wanted, what is decided, what is remembered
//!                                    │  ▲
//!                             actions│  │observation
//!                                    ▼  │
//!                                 controller
//!                                  │      │
//!                     ContainerRuntime   ServiceLocator             what performs
//!                  docker process sim    gateway remote haproxy sim
//! ```
//!
//! # Where things are
//!
//! - [`environment`]: the compose file, the settings in it, what it describes, and environments by name; [`image`]:
//!   references to images.
//! - [`release`]: everything that decides, as one pure function, [`release::step()`].
//! - [`runtime`], [`locator`], [`journal`]: the ports. Each is a trait with its contract, has several implementations,
//!   and a conformance suite for yours.
#![cfg_attr(
    feature = "controller",
    doc = "- [`controller`]: the loop that observes, steps, commits and acts; the verbs. [`progress`]: what long calls say while they run."
)]
#![cfg_attr(
    feature = "rehearsal",
    doc = "- [`rehearsal`]: a release in virtual time: how it would go, before it is made."
)]
#![cfg_attr(
    feature = "build",
    doc = "- [`build`]: the images of a tree: what has changed is built; pushed, pulled, pruned."
)]
#![cfg_attr(
    feature = "testing",
    doc = "- [`testing`]: a whole simulated world, virtual time, mocks of the ports, and ports that are slow or fail."
)]
#![cfg_attr(
    feature = "git",
    doc = "- [`vcs`]: what git has checked out: branch, commit, and whether files differ from it."
)]
//! - [`report`]: a release as a page with charts, for people: HTML in one file.
//! - [`follow`]: new tags of a registry that are released by themselves.
//! - [`container`], [`routing`]: the data that runtimes and locators exchange with the rest; [`value`]: durations,
//!   sizes and percentages as text.
//!
//! # A release
//!
#![cfg_attr(all(feature = "docker", feature = "gateway", feature = "sqlite"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "docker", feature = "gateway", feature = "sqlite")), doc = "```ignore")]
//! use std::sync::Arc;
//! use haddock_core::controller::Controller;
//! use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
//! use haddock_core::environment::store::SpecStore;
//! use haddock_core::journal::sqlite::SqliteJournal;
//! use haddock_core::locator::remote::RemoteGateway;
//! use haddock_core::runtime::docker::DockerRuntime;
//!
//! # async fn example() -> haddock_core::Result<()> {
//! let controller = Controller::builder(
//!     Arc::new(DockerRuntime::connect(None).await?),
//!     Arc::new(RemoteGateway::new("http://127.0.0.1:8081", None)?),
//!     Arc::new(SqliteJournal::open("haddock.db")?),
//!     SpecStore::directory("haddock-specs")?,
//! )
//! .build();
//!
//! let tag = Some("main-3f2a1bc".into());
//! let options = ResolveOptions { tag, purpose: Purpose::Release, ..ResolveOptions::default() };
//! let file = ComposeFile::read("compose.yaml".as_ref())?.resolve(&options)?;
//! let service = controller.service(file.name.clone());
//!
//! let acting = service.act().await?;
//! let release = service.release(&file.spec, "me", Some("3f2a1bc".into())).await?;
//! println!("{} has settled", release.settled().await?);
//! release.gone().await?; // the last session of the version before has expired
//! acting.stop().await
//! # }
//! ```
//!
//! # Features
//!
//! | feature | what it brings |
//! |---|---|
//! | none | the nouns, the compose file, the release step, the ports' traits: pure, without tokio |
//! | `controller` | the loop, the verbs, the journal in memory |
//! | `probes`, `webhooks` | readiness by HTTP; URLs that are notified: what is performed has both |
//! | `docker`, `gateway`, `sqlite` (default) | the runtime, the locator and the journal of production |
//! | `haproxy` | an HAProxy that you have, as the locator |
//! | `process` | instances as child processes |
//! | `build` | the images of a tree: built, pushed, pulled, pruned |
//! | `git` | what is checked out, for tags of images |
//! | `rehearsal` | releases tried in virtual time, against a model of the traffic |
//! | `testing` | mocks, the simulated runtime and locator, the conformance suites |
#![forbid(unsafe_code)]

#[cfg(all(doctest, feature = "docker", feature = "gateway", feature = "sqlite"))]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(feature = "build")]
pub mod build;
pub mod container;
#[cfg(feature = "controller")]
pub mod controller;
pub mod environment;
mod error;
pub mod follow;
pub mod image;
pub mod journal;
pub mod locator;
#[cfg(feature = "controller")]
mod mask;
mod name;
#[cfg(feature = "controller")]
pub mod progress;
#[cfg(feature = "rehearsal")]
pub mod rehearsal;
pub mod release;
pub mod report;
pub mod routing;
pub mod runtime;
mod settings;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
pub mod value;
#[cfg(feature = "git")]
pub mod vcs;

pub use error::{Error, ErrorKind, Place, Result};
pub use name::{
    ComponentName, EnvironmentName, InstanceId, JournalId, LinkAlias, LocatorName, RequestId, ServiceName, VersionId,
};
pub use routing::{FencingToken, LocatorReport, Share};
pub use time::{Clock, SystemClock, Timestamp};

/// Compiles the Rust examples of the guide together with those of this crate.
#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../../docs/runtimes-and-locators.md")]
struct GuideToPorts;

/// Compiles the examples of the guide to Haddock in a Rust program.
#[cfg(all(doctest, feature = "testing", feature = "docker", feature = "gateway", feature = "sqlite"))]
#[doc = include_str!("../../docs/rust.md")]
struct GuideToRust;
