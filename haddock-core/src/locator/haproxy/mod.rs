//! An HAProxy that you have, 2.6 or newer, over its runtime API. Nothing is reloaded, and no file of yours is touched.
//!
//! ```text
//!   apply, close ─▶ kept      the number, the table, what is closed: on disk, as HAProxy keeps none of it
//!                    │
//!                    ▼
//!   show … ────▶ sight ─▶ plan ─▶ add server, set server, clear table, del server
//!                    │
//!   show table ─▶ count ─▶ figures ─▶ the report
//! ```
//!
//! A service is a backend of the same name. An instance is a dynamic server in it, whose name is the id of the instance.
//! Sessions are the entries of the backend's stick table, whose keys are the application's cookie. You write backend and
//! table; [`HaproxyLocator::lines`] shows the lines, and [`check`](crate::locator::ServiceLocator::check) says what they
//! lack.
//!
//! Each call compares HAProxy with the table and does what is missing. So a reload or a restart, after which HAProxy has
//! none of the servers, needs nothing else: they come back within a fraction of a second. Requests wait for them if the
//! backend has a server `haddock-ready` and the lines beside it: it is ready only once the others are.
//!
//! # What differs from the gateway
//!
//! - A session begins with the answer that sets the application's cookie.
//! - Without a cookie that names the server, HAProxy knows no session after a restart, and after a reload without `peers`:
//!   each goes anywhere, as the capability `follows_unseen` says.
//! - [`sessions_begun`](crate::routing::InstanceFigures::sessions_begun) counts requests without a session, whatever
//!   their path is. Failed sessions are not counted, and failed requests are 5xx, as the capability `counts_by_policy`
//!   says.
//! - Upgraded connections count as requests in flight.
//! - It cannot let requests wait.

mod advice;
mod answers;
mod client;
mod count;
mod figures;
mod kept;
mod locator;
mod plan;
mod sight;
mod weights;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::name::ServiceName;
use crate::time::{Clock, SystemClock};

pub use client::RuntimeSocket;
pub use locator::HaproxyLocator;

use client::Client;
use kept::Kept;
use locator::Desk;

/// Makes an [`HaproxyLocator`].
#[derive(Debug)]
pub struct HaproxyBuilder {
    socket: RuntimeSocket,
    state_dir: PathBuf,
    backends: BTreeMap<ServiceName, String>,
    clock: Arc<dyn Clock>,
}

impl HaproxyLocator {
    /// The locator of the HAProxy whose runtime API is at `socket`. What HAProxy does not keep is in `state_dir`, which
    /// is made if it is missing. Several processes may use the same directory, and those that use one HAProxy have to.
    ///
    /// ```no_run
    /// use haddock_core::locator::haproxy::HaproxyLocator;
    /// use haddock_core::{ServiceName, locator::ServiceLocator};
    ///
    /// # async fn example() -> haddock_core::Result<()> {
    /// let shop = ServiceName::new("shop")?;
    /// let haproxy = HaproxyLocator::builder("/run/haproxy/admin.sock".parse()?, "/var/lib/haddock/haproxy")
    ///     .backend(shop.clone(), "shop_servers")
    ///     .open()?;
    /// for advice in haproxy.check(&shop, &Default::default()).await? {
    ///     println!("{}: {}", advice.says, advice.fix);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(socket: RuntimeSocket, state_dir: impl Into<PathBuf>) -> HaproxyBuilder {
        HaproxyBuilder {
            socket,
            state_dir: state_dir.into(),
            backends: BTreeMap::new(),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// The lines of `haproxy.cfg` for a service whose application knows a session by this cookie.
    ///
    /// ```
    /// use haddock_core::locator::haproxy::HaproxyLocator;
    /// use std::time::Duration;
    ///
    /// let lines = HaproxyLocator::lines("shop", "JSESSIONID", Duration::from_secs(1800));
    /// assert!(lines.contains("stick-table type string len 64 size 1m expire 1800s srvkey name store gpt0"));
    /// ```
    #[must_use]
    pub fn lines(backend: &str, cookie: &str, idle: std::time::Duration) -> String {
        advice::lines(backend, cookie, idle)
    }
}

impl HaproxyLocator {
    /// More lines for a backend, with which requests wait while HAProxy has no servers after a reload or a restart. They
    /// need [`waiting_script`](Self::waiting_script), and an HAProxy with Lua, as distributions build it.
    ///
    /// ```
    /// use haddock_core::locator::haproxy::HaproxyLocator;
    ///
    /// assert!(HaproxyLocator::waiting_lines("shop").contains("server haddock-ready 127.0.0.1:9 weight 0 disabled"));
    /// ```
    #[must_use]
    pub fn waiting_lines(backend: &str) -> String {
        advice::waiting_lines(backend)
    }

    /// The Lua file that `lua-load` in the section `global` names, for [`waiting_lines`](Self::waiting_lines).
    #[must_use]
    pub fn waiting_script() -> &'static str {
        include_str!("wait.lua")
    }
}

impl HaproxyBuilder {
    /// The backend of a service. By default, it has the service's name.
    #[must_use]
    pub fn backend(mut self, service: ServiceName, backend: impl Into<String>) -> Self {
        self.backends.insert(service, backend.into());
        self
    }

    /// The clock. By default it is that of the machine.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Opens the state directory. HAProxy is not asked yet.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if the directory cannot be made; [`InvalidValue`](ErrorKind::InvalidValue) if the name of a
    /// backend is none.
    pub fn open(self) -> Result<HaproxyLocator> {
        let Self { socket, state_dir, backends, clock } = self;
        let plain = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'))
        };
        if let Some(bad) = backends.values().find(|name| !plain(name)) {
            return Err(Error::new(ErrorKind::InvalidValue, format!("`{bad}` is not the name of a backend"))
                .with_hint("HAProxy's names have letters, digits, `-`, `_`, `.` and `:`"));
        }
        let desk = Desk {
            client: Client { socket },
            kept: Kept::open(state_dir)?,
            backends,
            clock,
            known: Default::default(),
            listings: Default::default(),
            unsaved: Default::default(),
            watched: Default::default(),
        };
        Ok(HaproxyLocator { desk: Arc::new(desk) })
    }
}
