//! The verb that takes over a server that runs already.

use std::net::SocketAddr;

use super::service::Service;
use crate::environment::ServiceSettings;
use crate::environment::check_http;
use crate::error::{Error, ErrorKind, Result};
use crate::name::InstanceId;
use crate::release::{Adoption, Event, Verb};

impl Service {
    /// Takes over a server that runs already, with its sessions, and waits until it has answered its probe. From then
    /// on it is the known good version and gets all new sessions. The first release drains it. It is neither started
    /// nor stopped: when its last session has expired, [`Event::ExternalReleased`] says so.
    ///
    /// Its sessions are recognised by the application's cookies; [`adopt_with`](Self::adopt_with) can name the right
    /// one. A session stays on the server if its client came through the locators before the first release gives a
    /// share to another instance.
    ///
    /// # Errors
    /// [`NothingToDo`](ErrorKind::NothingToDo) if the service has instances already,
    /// [`NeverReady`](ErrorKind::NeverReady) if the server does not answer within `settings.ready.within`,
    /// [`NotSupported`](ErrorKind::NotSupported) if a locator does not find its sessions (the capability `adoption`),
    /// [`InvalidValue`](ErrorKind::InvalidValue) if nobody can listen at the address,
    /// [`InvalidName`](ErrorKind::InvalidName) if the settings are those of another service.
    pub async fn adopt(&self, address: SocketAddr, settings: ServiceSettings, by: &str) -> Result<InstanceId> {
        self.adopt_with(Adoption { address, settings, cookie: None }, by).await
    }

    /// As [`adopt`](Self::adopt), with the name of the application's session cookie. A client that has only other
    /// cookies, such as a returning visitor, has no session then and may get the next version at once.
    ///
    /// # Errors
    /// As [`adopt`](Self::adopt).
    pub async fn adopt_with(&self, adoption: Adoption, by: &str) -> Result<InstanceId> {
        self.check_name(&adoption.settings)?;
        check_http(&*self.ports.probing, &adoption.settings)?;
        let address = adoption.address;
        if address.port() == 0 || address.ip().is_unspecified() {
            return Err(Error::new(ErrorKind::InvalidValue, format!("`{address}` is no address to connect to"))
                .with_hint("it looks like `127.0.0.1:8080`"));
        }
        if let Some(cookie) = &adoption.cookie
            && (cookie.is_empty() || cookie.contains(|c: char| !c.is_ascii_graphic() || "=;,\"".contains(c)))
        {
            return Err(Error::new(ErrorKind::InvalidValue, format!("`{cookie}` is no name of a cookie"))
                .with_hint("it looks like `JSESSIONID`"));
        }
        let mut events = self.events_from_now().await?;
        let request = self.submit(Verb::Adopt(Box::new(adoption)), by).await?;
        let mut ours = None;
        loop {
            for recorded in events.next().await? {
                match recorded.event {
                    Event::RequestRefused { id, error } if id == request => return Err(error),
                    Event::ExternalAdopted { request: id, instance, .. } if id == request => ours = Some(instance),
                    Event::InstanceReady { instance } if ours.as_ref() == Some(&instance) => return Ok(instance),
                    Event::InstanceFailed { instance, error } if ours.as_ref() == Some(&instance) => return Err(error),
                    _ => {}
                }
            }
        }
    }
}
