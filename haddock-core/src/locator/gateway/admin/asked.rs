//! Requests that other proxies carry. They ask where each of them goes, and report what became of it.
//!
//! ```text
//!   proxy ── POST /v1/route ──▶ entry (as for the gateway's own requests) ──▶ placed, kept here
//!         ── the request ─────▶ instance
//!         ── POST /v1/report ─▶ counted as if the gateway had carried it, and given back
//! ```
//!
//! A route of which nothing is reported for [`REPORT_WITHIN`] has ended. So a proxy that dies keeps no instance from closing
//! for longer than that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;

use super::bodies::{Became, Report, ReportAnswer, RouteAnswer, RouteQuestion, SessionIs};
use crate::error::{Error, ErrorKind, Result};
use crate::locator::gateway::answer;
use crate::locator::gateway::connection::Shared;
use crate::locator::gateway::entry::{self, Arrival, Entered};
use crate::locator::gateway::placed::Placed;
use crate::locator::gateway::service::is_replaced;
use crate::time::Timestamp;

/// How long nothing may be reported of a route. A request takes less, and a WebSocket is reported of meanwhile.
pub(super) const REPORT_WITHIN: Duration = Duration::from_secs(300);

/// Routes that may be open: as many requests as a large proxy has on their way. Each takes some 300 bytes.
const MAX_OPEN: usize = 65_536;

/// The routes that are open.
#[derive(Debug)]
pub(super) struct Asked {
    shared: Arc<Shared>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    last: u64,
    routes: HashMap<u64, OpenRoute>,
}

#[derive(Debug)]
struct OpenRoute {
    placed: Placed,
    /// Instances that the proxy could not reach.
    tried: Vec<u32>,
    /// The `Cookie` header that the instance is to see.
    cookie: Option<String>,
    https: bool,
    /// When it ends unless something is reported.
    until: Timestamp,
}

impl Asked {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, open: Mutex::default() }
    }

    /// Decides where a request goes.
    pub(super) async fn route(&self, question: RouteQuestion) -> Result<RouteAnswer> {
        let mut route = match &question.instead_of {
            Some(id) => self.elsewhere(id)?,
            None => self.enter(question).await?,
        };
        let (answer, id) = {
            let mut open = self.open();
            open.last += 1;
            (self.answer(&mut route, open.last), open.last)
        };
        self.open().routes.insert(id, route);
        Ok(answer)
    }

    async fn enter(&self, question: RouteQuestion) -> Result<OpenRoute> {
        let unknown =
            || Error::new(ErrorKind::NotFound, format!("the gateway knows no service `{}`", question.service));
        let service = self.shared.services.get(&question.service).ok_or_else(unknown)?;
        if self.open().routes.len() >= MAX_OPEN {
            return Err(Error::new(ErrorKind::Busy, format!("{MAX_OPEN} routes are open"))
                .with_hint("report what became of them, by `POST /v1/report`"));
        }
        let wrong = |what: &str| Error::new(ErrorKind::LocatorRefused, format!("`{what}` cannot be one of a request"));
        let path: PathAndQuery = question.path.parse().map_err(|_| wrong("path"))?;
        let mut headers = HeaderMap::new();
        if let Some(cookie) = &question.cookie {
            headers.insert(header::COOKIE, HeaderValue::from_str(cookie).map_err(|_| wrong("cookie"))?);
        }
        let arrival = Arrival { headers: &headers, has_cookies: !headers.is_empty(), path };
        let entered = entry::enter(&service, arrival, self.shared.limits.held).await;
        let entered = entered.map_err(|refusal| {
            Error::new(ErrorKind::Busy, format!("`{}` takes no request: {}", service.name, refusal.1))
                .with_hint("answer with 503, or ask again in a second")
        })?;
        let Entered::Here(placed, hidden) = entered else { return Err(is_replaced()) };
        hidden.take_away(&mut headers, &service);
        let cookie = texts(&headers, header::COOKIE).pop();
        Ok(OpenRoute { until: placed.now() + REPORT_WITHIN, placed, tried: Vec::new(), cookie, https: question.https })
    }

    /// Places a request again whose instance could not be reached.
    fn elsewhere(&self, id: &str) -> Result<OpenRoute> {
        let mut route = self.open().routes.remove(&self.number(id)?).ok_or_else(|| not_open(id))?;
        let present = route.placed.service.routing().address(&route.placed.placement);
        match present.filter(|_| route.placed.placement.is_sticky()) {
            // Only its own instance has the session. It may have another address by now.
            Some(address) => route.placed.placement.address = address,
            None => {
                route.tried.push(route.placed.placement.instance);
                if !route.placed.elsewhere(&route.tried, || Duration::ZERO) {
                    let message = format!("`{}` has no other instance for it", route.placed.service.name);
                    return Err(Error::new(ErrorKind::Busy, message).with_hint("answer with 502"));
                }
            }
        }
        route.until = route.placed.now() + REPORT_WITHIN;
        Ok(route)
    }

    fn answer(&self, route: &mut OpenRoute, id: u64) -> RouteAnswer {
        let placed = &mut route.placed;
        let mut set = HeaderMap::new();
        let by_application = placed.terms.cookies.as_ref().is_some_and(|cookies| cookies.mode.is_some());
        if !by_application && placed.placement.session.is_some() {
            answer::set_cookie(placed, &mut set, route.https);
        }
        answer::set_client_cookie(placed, &mut set, route.https);
        let (instance, draining) = {
            let routing = placed.service.routing();
            (routing.name(&placed.placement), routing.is_draining(&placed.placement))
        };
        let is_sticky = placed.placement.is_sticky();
        RouteAnswer {
            route: format!("{:x}.{id:x}", self.shared.services.maker.incarnation),
            instance,
            address: placed.placement.address,
            session: placed.placement.session.map(|_| if is_sticky { SessionIs::Known } else { SessionIs::New }),
            cookie: route.cookie.clone(),
            set_cookie: texts(&set, header::SET_COOKIE),
            draining,
            draining_header: placed.terms.rules.draining().map(ToString::to_string),
            report_within: REPORT_WITHIN,
        }
    }

    /// Counts what became of a request.
    pub(super) fn report(&self, report: Report) -> Result<ReportAnswer> {
        let id = self.number(&report.route)?;
        let mut open = self.open();
        let route = open.routes.get_mut(&id).ok_or_else(|| not_open(&report.route))?;
        let placed = &mut route.placed;
        let mut headers = HeaderMap::new();
        for cookie in &report.set_cookie {
            let wrong = |_| Error::new(ErrorKind::LocatorRefused, "`set_cookie` has a value that no header can have");
            headers.append(header::SET_COOKIE, HeaderValue::from_str(cookie).map_err(wrong)?);
        }
        // First the session, so that it is the session that has failed if the answer is a failure.
        let cookies = placed.terms.cookies.clone().filter(|cookies| cookies.mode.is_some());
        if let Some(cookies) = cookies {
            answer::follow_the_application(placed, &cookies, &mut headers);
        }
        if let Some(status) = report.status {
            placed.told(status, report.failed, report.first_byte);
        }
        match report.became {
            Became::Answered => {}
            Became::Upgraded => placed.upgrade(),
            Became::Ended => {}
            Became::Lost => placed.lose(),
            Became::Unreachable => placed.not_sent(),
        }
        let ends = !matches!(report.became, Became::Answered | Became::Upgraded);
        if ends {
            placed.told_duration(report.duration);
            open.routes.remove(&id);
        } else {
            route.until = route.placed.now() + REPORT_WITHIN;
        }
        Ok(ReportAnswer { set_cookie: texts(&headers, header::SET_COOKIE), open: !ends })
    }

    /// Ends the routes of which nothing was reported for too long.
    pub(super) fn end_overdue(&self) {
        let now = self.shared.clock.now();
        self.open().routes.retain(|_, route| now < route.until);
    }

    fn number(&self, id: &str) -> Result<u64> {
        let (incarnation, number) = id.split_once('.').ok_or_else(|| not_open(id))?;
        let ours = format!("{:x}", self.shared.services.maker.incarnation);
        let number = u64::from_str_radix(number, 16).ok().filter(|_| incarnation == ours);
        number.ok_or_else(|| not_open(id))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_open(id: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no route `{id}` is open"))
        .with_hint("it has ended, nothing was reported of it for too long, or the gateway was restarted")
}

fn texts(headers: &HeaderMap, name: header::HeaderName) -> Vec<String> {
    let values = headers.get_all(name);
    values.iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}
