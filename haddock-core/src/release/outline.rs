//! What a release would do, for people.

use std::collections::BTreeMap;
use std::time::Duration;

use super::event::Event;
use super::observation::Observation;
use super::request::{Request, Verb};
use super::state::ServiceState;
use super::step::{Step, step};
use crate::environment::ServiceSettings;
use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::name::{ComponentName, RequestId, VersionId};
use crate::routing::Share;

/// The steps of a release with these settings and images, one sentence each, in order. `state` is that of the service,
/// if it was ever released.
#[must_use]
pub fn outline(
    state: Option<&ServiceState>,
    settings: &ServiceSettings,
    images: &BTreeMap<ComponentName, String>,
) -> Vec<String> {
    let release = &settings.release;
    let mut steps: Vec<String> = images.iter().map(|(name, image)| format!("pull `{image}` for `{name}`")).collect();
    if let Some(before) = &release.before {
        let (component, within) = (&before.component, told(before.within));
        steps.push(format!("run `{component}`, and wait until it has ended well, for at most {within}"));
    }
    let (entry, ready) = (&settings.entry, &settings.ready);
    let probe = match &ready.http {
        Some(path) => format!("`{path}` on port {} of `{}` answers", entry.port, entry.component),
        None => format!("port {} of `{}` takes connections", entry.port, entry.component),
    };
    let instances =
        if release.replicas == 1 { "one instance".to_owned() } else { format!("{} instances", release.replicas) };
    steps.push(format!("launch {instances}, and wait until {probe}, for at most {}", told(ready.within)));
    let Some(serving) = state.and_then(|state| state.known_good) else {
        steps.push("give it all new sessions at once: nothing else serves".to_owned());
        steps.push(format!("hold that for {}; then it has settled", told(release.settle)));
        return steps;
    };
    for stage in &release.ramp {
        if stage.share != Share::FULL {
            steps.push(format!("give it {} of the new sessions, for {}", stage.share, told(stage.hold)));
        }
    }
    steps.push(format!("give it all new sessions, and hold that for {}; then it has settled", told(release.settle)));
    if state.is_none_or(|state| state.instances_of(serving).next().is_none()) {
        return steps;
    }
    let drain =
        format!("let version {} keep the sessions that it has, and remove it when the last has expired", serving.0);
    steps.push(match release.drain.evict_after {
        Some(after) => format!("{drain}, or after {}", told(after)),
        None => drain,
    });
    steps
}

/// The steps of a retirement, one sentence each, in order.
///
/// # Errors
/// Why the service would not be retired: [`Busy`](ErrorKind::Busy) while a release goes on,
/// [`NothingToDo`](ErrorKind::NothingToDo) if there is nothing of it.
pub fn outline_retirement(state: &ServiceState) -> Result<Vec<String>, Error> {
    state.check_retirement()?;
    let service = &state.service;
    let mut steps = vec![format!("give no new sessions to `{service}`: whoever has none is turned away")];
    let versions: BTreeMap<_, _> = state.instances.values().map(|it| (it.version, it.external.is_some())).collect();
    for (version, external) in versions {
        let evict_after = state.versions.get(&version).and_then(|it| it.new.settings.release.drain.evict_after);
        let until = evict_after.map(|after| format!(", or after {}", told(after))).unwrap_or_default();
        let end = if external { "let go of it" } else { "remove it" };
        let drain = format!("let version {} keep the sessions that it has, and {end} when the last has", version.0);
        steps.push(format!("{drain} expired{until}"));
    }
    steps.push(format!("forget `{service}`: its name can be used again, and its history stays"));
    Ok(steps)
}

/// The steps of what a verb asks of a service, one sentence each, in order: the step is run, and what it decides is told.
/// For [`Verb::Rollback`], and what steers a release.
///
/// # Errors
/// Why it would be refused, such as [`NothingToDo`](ErrorKind::NothingToDo).
pub fn outline_verb(state: &ServiceState, verb: &Verb) -> Result<Vec<String>, Error> {
    let id = RequestId::new("plan")?;
    let request = Request { id, at: state.now, by: "plan".to_owned(), verb: verb.clone(), about: None };
    let seen = Observation { requests: vec![request], ..Observation::default() };
    let Step { state: after, events, .. } = step(state, &seen, state.now);
    let mut steps = Vec::new();
    let share = |version: VersionId| state.asked_share_of(version);
    let (service, good) = (&state.service, state.known_good.map(|good| good.0));
    for event in &events {
        match event {
            Event::RequestRefused { error, .. } => return Err(error.clone()),
            Event::ReleaseStarted { version, rollback: true, .. } => {
                let to = after.versions.get(version).and_then(|version| version.again).unwrap_or(*version).0;
                let from = good.map(|good| format!(" from version {good}")).unwrap_or_default();
                steps.push(format!("go back{from} of `{service}` to what version {to} was"));
            }
            Event::ReleaseAborting { version, .. } => {
                let (version, share) = (version.0, share(*version));
                steps.push(format!(
                    "abort the release of version {version} of `{service}`, and give its share of {share} back"
                ));
            }
            Event::RetirementAborted { .. } => {
                let by = state.retiring.as_ref().map(|it| it.by.as_str()).unwrap_or_default();
                steps.push(format!("let `{service}` serve again, which `{by}` retires"));
            }
            _ => {}
        }
    }
    if let Some(release) = state.release.as_ref().filter(|_| steps.is_empty()) {
        let (version, share) = (release.version.0, share(release.version));
        let release = format!("{} the release of version {version} of `{service}`", verb.name());
        steps.push(match verb {
            Verb::Pause => format!("{release}: hold it at {share} of the new sessions"),
            Verb::Resume => format!("{release}, which is at {share} of the new sessions"),
            _ => format!("{release}: end this stage, or its settling, at once"),
        });
    }
    Ok(steps)
}

/// A duration as the compose file has it.
fn told(duration: Duration) -> String {
    let rounded = Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    jiff::SignedDuration::try_from(rounded).map_or_else(|_| format!("{} s", rounded.as_secs()), |it| format!("{it:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::compose::{ComposeFile, Purpose, ResolveOptions};

    fn steps(state: Option<&ServiceState>, release: &str) -> Vec<String> {
        let text = format!(
            "name: shop\nservices: {{ web: {{ image: 'shop:${{TAG}}', expose: ['8080'] }} }}\n\
             x-haddock: {{ ready: {{ http: /health, within: 90s }}, release: {release} }}\n"
        );
        let options = ResolveOptions { tag: Some("v2".into()), purpose: Purpose::Release, ..ResolveOptions::default() };
        let spec = ComposeFile::parse("compose.yaml", &text).expect("YAML").resolve(&options).expect("good").spec;
        let images = spec.components.iter().map(|(name, component)| (name.clone(), component.image.to_string()));
        outline(state, spec.service().expect("a service"), &images.collect())
    }

    #[test]
    fn the_first_version_gets_everything_at_once() {
        assert_eq!(
            steps(None, "{ settle: 5m }"),
            [
                "pull `shop:v2` for `web`",
                "launch one instance, and wait until `/health` on port 8080 of `web` answers, for at most 1m 30s",
                "give it all new sessions at once: nothing else serves",
                "hold that for 5m; then it has settled",
            ]
        );
    }
}
