//! Zero-downtime releases for services that keep client sessions in memory.
//!
//! A new version of a service is started beside the old one. The service locator sends *new* sessions to it, more and
//! more of them; sessions that run stay where they began. When the last session of the old version has expired, its
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
//!                  docker process sim    gateway remote sim
//! ```
//!
//! # Where things are
//!
//! - [`environment`]: the compose file, what it describes, and environments by name; [`image`]: references to images.
//! - [`release`]: everything that decides, as one pure function, [`release::step()`].
//! - [`runtime`], [`locator`], [`journal`]: the ports. Each is a trait with its contract, has several implementations,
//!   and a conformance suite for yours.
#![cfg_attr(
    feature = "controller",
    doc = "- [`controller`]: the loop that observes, steps, commits and acts; the verbs."
)]
#![cfg_attr(feature = "testing", doc = "- [`testing`]: mocks of the ports.")]
//! - [`container`], [`routing`]: what runtimes and locators say, as plain data.
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
//! | `docker`, `gateway`, `sqlite` (default) | the runtime, the locator and the journal of production |
//! | `process` | instances as child processes |
//! | `testing` | mocks, the simulated runtime and locator, the conformance suites |
#![forbid(unsafe_code)]

#[cfg(all(doctest, feature = "docker", feature = "gateway", feature = "sqlite"))]
#[doc = include_str!("../../README.md")]
struct Readme;

pub mod container;
#[cfg(feature = "controller")]
pub mod controller;
pub mod environment;
mod error;
pub mod image;
pub mod journal;
pub mod locator;
mod name;
#[cfg(feature = "controller")]
pub mod progress;
pub mod release;
pub mod routing;
pub mod runtime;
#[cfg(feature = "testing")]
pub mod testing;
mod time;

pub use error::{Error, ErrorKind, Place, Result};
pub use name::{
    ComponentName, EnvironmentName, InstanceId, JournalId, LinkAlias, LocatorName, RequestId, ServiceName, VersionId,
};
pub use routing::{LocatorReport, Number, Share};
pub use time::{Clock, SystemClock, Timestamp};

/// The Rust examples of the guide are compiled with those of this crate.
#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../../docs/runtimes-and-locators.md")]
struct GuideToPorts;

/// As those, of the guide to Haddock in a Rust program.
#[cfg(all(doctest, feature = "testing", feature = "docker", feature = "gateway", feature = "sqlite"))]
#[doc = include_str!("../../docs/rust.md")]
struct GuideToRust;
