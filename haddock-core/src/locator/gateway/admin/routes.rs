//! The table of routes. `docs/gateway-api.md` tells people of them, and `openapi` tells programs.

use std::collections::BTreeMap;

use http::StatusCode;

use super::answers::text;
use super::bodies::{Hold, Report, Resume, RouteQuestion, Target};
use super::feed::EVENT_STREAM;
use super::route::Route;
use crate::error::{Error, ErrorKind};
use crate::locator::ServiceLocator;
use crate::locator::gateway::events::Event;
use crate::locator::gateway::metrics;
use crate::name::ServiceName;
use crate::routing::{EndedSession, LocatorReport, RoutingTable};
use crate::time::Timestamp;

/// What a time of a query has to be.
const TIME: &str = "a time in milliseconds since the Unix epoch";
const STALE: &str = "A newer number was seen. Nothing changed.";

/// All routes.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::other("/health", "health", "Whether the gateway runs", &["text/plain"], |_, _| async {
            Ok(text(StatusCode::OK, "text/plain", "ok\n"))
        })
        .public(),
        Route::other(
            "/metrics",
            "metrics",
            "All figures, for Prometheus",
            &metrics::FORMATS,
            |gateway, call| async move {
                let (kind, figures) = metrics::render(gateway.figures(), &call.parts.headers);
                let cannot = |_| Error::new(ErrorKind::Panicked, "the figures cannot be written");
                Ok(text(StatusCode::OK, kind, figures.map_err(cannot)?))
            },
        ),
        Route::get("/v1/openapi.json", "openapi", "This description", |gateway, _| async move {
            Ok(gateway.description.clone())
        }),
        Route::get("/v1/services", "services", "The figures of all services", |gateway, _| async move {
            Ok(gateway.reports().into_iter().collect::<BTreeMap<ServiceName, LocatorReport>>())
        }),
        Route::get("/v1/services/{service}", "observe", "The figures of a service", |gateway, call| async move {
            gateway.locator.observe(&call.service()?).await
        })
        .says("A service that the gateway does not know has no instances."),
        Route::get(
            "/v1/services/{service}/traffic",
            "traffic",
            "The recorded sessions of a service, by minute",
            |gateway, call| async move {
                let (from, until) = (call.required("from", TIME)?, call.required("until", TIME)?);
                let (from, until) = (Timestamp::from_millis(from), Timestamp::from_millis(until));
                gateway.locator.first_traffic(&call.service()?, from, until).await
            },
        )
        .query::<u64>("from", true, "The first moment, in milliseconds since the Unix epoch.")
        .query::<u64>("until", true, "The first moment after it, in milliseconds since the Unix epoch.")
        .says("The answer may have the first days only. Then its `until` is earlier: ask again from there."),
        Route::get(
            "/v1/services/{service}/instances/{instance}/remaining",
            "remaining",
            "What is left on an instance that drains, and until when",
            |gateway, call| async move { gateway.locator.remaining(&call.service()?, &call.instance()?).await },
        ),
        Route::get(
            "/v1/services/{service}/ended",
            "ended",
            "The sessions that the application has ended",
            |gateway, call| async move {
                let from = call.required("from", "a number of the list, or 0")?;
                gateway.locator.ended_sessions(&call.service()?, from).await
            },
        )
        .query::<u64>("from", true, "Where to begin: `next` of the answer before, or 0.")
        .says(
            "Another gateway with the same key knows the sessions by the same `key`. The answer has a part of the list, or none \
             where nothing is new. The newest 65536 are kept.",
        ),
        Route::post(
            "/v1/services/{service}/ended",
            "end",
            "Ends sessions that have ended at another gateway",
            |gateway, call, sessions: Vec<EndedSession>| async move {
                gateway.locator.end_sessions(&call.service()?, &sessions).await
            },
        )
        .says("A session that was used here since then goes on."),
        Route::other("/v1/events", "events", "What happens, as server-sent events", &[EVENT_STREAM], |gateway, call| async move {
            gateway.feed(&call)
        })
        .answers::<Event>()
        .query::<ServiceName>("service", false, "Only events of this service.")
        .says("The schema is that of the data of each event. `Last-Event-ID` asks for what was missed.")
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many read the events."),
        Route::post(
            "/v1/services/{service}/apply",
            "apply",
            "Puts a routing table into force",
            |gateway, call, table: RoutingTable| async move {
                let service = call.service()?;
                if table.service != service {
                    let message = format!("the table is for `{}` and was sent to `{service}`", table.service);
                    return Err(Error::new(ErrorKind::LocatorRefused, message));
                }
                gateway.locator.apply(&table).await
            },
        )
        .refuses(StatusCode::CONFLICT, STALE),
        Route::post(
            "/v1/services/{service}/close",
            "close",
            "Closes an instance for ever, if nothing is on it",
            |gateway, call, Target { instance, number }| async move {
                gateway.locator.close(&call.service()?, &instance, number).await
            },
        )
        .refuses(StatusCode::CONFLICT, STALE),
        Route::post(
            "/v1/services/{service}/evict",
            "evict",
            "Closes an instance for ever, and ends its sessions",
            |gateway, call, Target { instance, number }| async move {
                gateway.locator.evict(&call.service()?, &instance, number).await
            },
        )
        .refuses(StatusCode::CONFLICT, STALE),
        Route::post(
            "/v1/services/{service}/hold",
            "hold",
            "Lets requests for an instance wait",
            |gateway, call, Hold { instance, within }| async move {
                gateway.locator.hold(&call.service()?, &instance, within).await
            },
        )
        .refuses(StatusCode::NOT_FOUND, "The instance is not listed."),
        Route::post(
            "/v1/services/{service}/resume",
            "resume",
            "Lets waiting requests go on",
            |gateway, call, Resume { instance }| async move { gateway.locator.resume(&call.service()?, &instance).await },
        ),
        Route::post(
            "/v1/route",
            "route",
            "Decides where a request goes that another proxy carries",
            |gateway, _, question: RouteQuestion| async move { gateway.asked.route(question).await },
        )
        .says(
            "The request counts as in flight until its end is reported. It waits as long as its instance is held, at most \
             300 s.",
        )
        .refuses(StatusCode::NOT_FOUND, "The service is unknown, or no such route is open.")
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "No instance takes the request. `Retry-After` says when to ask again."),
        Route::post(
            "/v1/report",
            "report",
            "Says what became of such a request",
            |gateway, _, report: Report| async move { gateway.asked.report(report) },
        )
        .says("It counts as if the gateway had carried the request itself.")
        .refuses(StatusCode::NOT_FOUND, "No such route is open."),
        Route::get("/v1/certificates", "certificates", "The certificates in use", |gateway, _| async move {
            Ok(gateway.shared.certificates())
        }),
        Route::post("/v1/probe", "probe", "Makes a word for a probe of `haddock check`", |gateway, _, ()| async move {
            gateway.shared.probe_words.arm(gateway.shared.clock.now())
        })
        .says("A request with `?haddock-probe=WORD` is answered with what the gateway was told of it, for a minute."),
    ]
}
