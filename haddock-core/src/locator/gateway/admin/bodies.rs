//! What callers send, beside the types of [`crate::routing`].

use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::{InstanceId, ServiceName};
use crate::routing::{FencingToken, maybe_millis, millis};

/// Which instance to close or evict, and the number of the decision.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::locator) struct Target {
    pub(in crate::locator) instance: InstanceId,
    pub(in crate::locator) number: FencingToken,
}

/// Which instance to hold, and for how long.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::locator) struct Hold {
    pub(in crate::locator) instance: InstanceId,
    /// In milliseconds, at most 300 000.
    #[serde(with = "millis")]
    #[schemars(with = "u64")]
    pub(in crate::locator) within: Duration,
}

/// Which instance to let go.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::locator) struct Resume {
    pub(in crate::locator) instance: InstanceId,
}

/// A request of which a proxy wants to know where it goes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteQuestion {
    pub(super) service: ServiceName,
    /// The request's path, with its query if there is one.
    #[serde(default = "root")]
    pub(super) path: String,
    /// The request's `Cookie` header. Several are joined by `; `.
    #[serde(default)]
    pub(super) cookie: Option<String>,
    /// Whether the client came by https. It decides the attributes of cookies.
    #[serde(default)]
    pub(super) https: bool,
    /// A route whose instance could not be reached, with the request still complete. It ends, and the answer is another route
    /// for the same request.
    #[serde(default)]
    pub(super) instead_of: Option<String>,
}

fn root() -> String {
    "/".to_owned()
}

/// Where a request goes.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RouteAnswer {
    /// The name by which to report.
    pub(super) route: String,
    pub(super) instance: InstanceId,
    /// Where the instance listens.
    pub(super) address: SocketAddr,
    /// `null`: the request opens no session, or only its answer does.
    pub(super) session: Option<SessionIs>,
    /// The `Cookie` header for the instance, in place of the client's. `null`: none.
    pub(super) cookie: Option<String>,
    /// `Set-Cookie` headers to add to the client's answer. An answer that gets one must not be cached.
    pub(super) set_cookie: Vec<String>,
    /// Whether the instance gets no new sessions.
    pub(super) draining: bool,
    /// The header that tells clients so, if the service's settings ask for one: add it as `true` if `draining`, and take it away
    /// if not.
    pub(super) draining_header: Option<String>,
    /// The route ends if nothing is reported of it for this long, in milliseconds.
    #[serde(with = "millis")]
    #[schemars(with = "u64")]
    pub(super) report_within: Duration,
}

/// Whether a session was there before the request.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SessionIs {
    /// It began with the request. If its instance cannot be reached, ask for another route.
    New,
    /// Only its instance has it.
    Known,
}

/// What became of a request that went where its route said.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    pub(super) route: String,
    #[serde(default)]
    pub(super) became: Became,
    /// The status code of the answer.
    #[serde(default)]
    #[schemars(range(min = 100, max = 999))]
    pub(super) status: Option<u16>,
    /// Whether the request has failed. Without it, the service's settings decide by the status code.
    #[serde(default)]
    pub(super) failed: Option<bool>,
    /// The `Set-Cookie` headers of the instance's answer, if sessions are known by the application's cookie.
    #[serde(default)]
    pub(super) set_cookie: Vec<String>,
    /// How long it took until the answer began, in milliseconds. Without it, the time until this report counts.
    #[serde(default, with = "maybe_millis")]
    #[schemars(with = "Option<u64>")]
    pub(super) first_byte: Option<Duration>,
    /// How long it took until the answer had ended, in milliseconds. Without it, the time until this report counts.
    #[serde(default, with = "maybe_millis")]
    #[schemars(with = "Option<u64>")]
    pub(super) duration: Option<Duration>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Became {
    /// Its answer has begun, or is still on its way. The route stays open.
    Answered,
    /// Its connection was upgraded, such as to a WebSocket, or still is. The route stays open.
    Upgraded,
    /// It has ended.
    #[default]
    Ended,
    /// It got no answer, or not all of it.
    Lost,
    /// Its instance could not be reached.
    Unreachable,
}

/// What the proxy hands on.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ReportAnswer {
    /// The `Set-Cookie` headers for the client, in place of the instance's.
    pub(super) set_cookie: Vec<String>,
    /// Whether the route is still open.
    pub(super) open: bool,
}
