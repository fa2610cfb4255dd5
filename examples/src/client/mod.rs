//! A client that holds many sessions on a service and notices everything that happens to them.
//!
//! It is a program separate from Haddock, and shares no code with it. It **never retries**: a request that ends in
//! anything but the right answer has failed, and stays failed. Each session has its own cookies and its own
//! keep-alive connection, as a browser has; a part of them sends slow requests one after another, so that some are
//! in flight at any time, and a part holds a WebSocket.
//!
//! ```text
//!   Command ──▶ population ──▶ session ──▶ connection ──▶ the service
//!   (open, leave, stop)        │  └──────▶ socket ─────▶
//!                              ▼
//!                            books ──▶ Report, Summary
//! ```
//!
//! `Books` judge each answer: the counter has to grow by exactly one, and neither version nor instance may
//! change, for as long as the session lasts.

mod answer;
mod books;
mod connection;
mod jar;
mod options;
mod population;
mod protocol;
mod session;
mod socket;

pub use books::{Failure, Kind, Report, Summary};
pub(crate) use connection::{Connection, Reason};
pub(crate) use jar::Jar;
pub use options::Options;
pub(crate) use options::seconds;
pub use population::run;
pub use protocol::{Command, drive};

use std::time::{Duration, Instant};

/// The client's clock: it shares no code with what it watches.
#[allow(clippy::disallowed_methods, reason = "the one place of the client that reads the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A pause that is the load's own pace; nothing is waited for.
pub(crate) async fn pause(duration: Duration) {
    let _ = tokio::time::timeout(duration, std::future::pending::<()>()).await;
}
