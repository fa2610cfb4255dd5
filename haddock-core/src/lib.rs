//! Zero-downtime releases for services that keep client sessions in memory.
#![forbid(unsafe_code)]

pub mod container;
pub mod environment;
mod error;
pub mod image;
pub mod journal;
pub mod locator;
mod name;
pub mod release;
pub mod routing;
pub mod runtime;
mod time;

pub use error::{Error, ErrorKind, Place, Result};
pub use name::{
    ComponentName, EnvironmentName, InstanceId, JournalId, LinkAlias, LocatorName, RequestId, ServiceName, VersionId,
};
pub use routing::{LocatorReport, Number, Share};
pub use time::{Clock, SystemClock, Timestamp};
