//! Events of containers.

use std::collections::{BTreeMap, HashMap};

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;

use super::{DockerRuntime, label_filter};
use crate::container::{ContainerId, RuntimeEvent, Selector};
use crate::error::Result;
use crate::time::Timestamp;

/// What wakes the controller: starts, ends, removals (`remove` of podman), and a health check's verdict.
const ACTIONS: [&str; 7] = ["start", "die", "destroy", "remove", "oom", "restart", "health_status"];

impl DockerRuntime {
    pub(super) async fn container_events(&self, selector: &Selector) -> Result<BoxStream<'static, RuntimeEvent>> {
        // The stream connects when it is first polled. It begins at the engine's present time all the same, so that
        // nothing between this answer and the first poll is missed; and the call fails if the engine is away.
        let info = self.client.read("listen to events", self.client.docker.info()).await?;
        let mut options = EventsOptionsBuilder::default().filters(&HashMap::from([
            ("type", vec!["container".to_owned()]),
            ("event", ACTIONS.map(str::to_owned).to_vec()),
            ("label", label_filter(&selector.0)),
        ]));
        if let Some(since) = info.system_time.as_deref().and_then(engine_time) {
            options = options.since(&since);
        }
        let selector = selector.clone();
        let events = self.client.docker.events(Some(options.build()));
        let ours = events
            .take_while(|event| std::future::ready(event.is_ok()))
            .filter_map(move |event| std::future::ready(event.ok().and_then(|event| translate(event, &selector))));
        Ok(ours.boxed())
    }
}

/// Seconds and nanoseconds, as `since` wants them.
fn engine_time(time: &str) -> Option<String> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(format!("{}.{:09}", time.as_second(), time.subsec_nanosecond()))
}

fn translate(event: EventMessage, selector: &Selector) -> Option<RuntimeEvent> {
    let actor = event.actor?;
    // An event's attributes hold the container's labels, and other things.
    let labels: BTreeMap<String, String> = actor.attributes?.into_iter().collect();
    if !selector.matches(&labels) {
        return None;
    }
    let millis = event.time_nano.map_or(0, |nanos| nanos / 1_000_000);
    Some(RuntimeEvent {
        container: ContainerId(actor.id?),
        action: event.action.map(|action| if action == "remove" { "destroy".to_owned() } else { action })?,
        at: Timestamp::from_millis(u64::try_from(millis).unwrap_or(0)),
    })
}
