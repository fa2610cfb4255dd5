use super::*;
use crate::environment::compose::{ComposeFile, Purpose, ResolveOptions};
use crate::name::{ComponentName, JournalId, ServiceName};
use crate::routing::SessionCount;

const EXACT: LocatorCapabilities = LocatorCapabilities {
    keeps_sticky_at_zero: true,
    session_count: SessionCount::Exact,
    atomic_close: true,
    hold: true,
    counts_by_table: true,
    adoption: true,
    follows_unseen: true,
    closes_in_rounds: true,
    counts_by_policy: true,
    by_client: true,
};

fn version(release: &str, tag: &str) -> NewVersion {
    let text = format!(
        "name: shop\nservices: {{ web: {{ image: 'shop:${{TAG}}', expose: ['8080'] }}, \
         migrate: {{ image: 'migrate:${{TAG}}' }} }}\n\
         x-haddock: {{ entry: 'web:8080', ready: {{ http: /health, within: 90s }}, release: {release} }}\n"
    );
    let options = ResolveOptions { tag: Some(tag.into()), purpose: Purpose::Release, ..ResolveOptions::default() };
    let spec = ComposeFile::parse("compose.yaml", &text).expect("YAML").resolve(&options).expect("good").spec;
    let settings = spec.service().expect("a service").clone();
    let web = ComponentName::new("web").expect("valid");
    let image = spec.components[&web].image.to_string();
    NewVersion::new(tag.to_owned(), settings, BTreeMap::from([(web, image)]))
}

fn locators() -> BTreeMap<LocatorName, LocatorCapabilities> {
    BTreeMap::from([(LocatorName::new("gateway").expect("valid"), EXACT)])
}

fn nothing() -> ServiceState {
    ServiceState::new(ServiceName::new("shop").expect("valid"), JournalId::new("j1").expect("valid"))
}

/// The state after a release went well.
fn after(state: &ServiceState, new: &NewVersion) -> ServiceState {
    let mut request = request(state, Verb::Release(Box::new(new.clone()))).expect("valid");
    request.id = RequestId::new(format!("release-{}", new.spec)).expect("valid");
    let steps = Forecast::new(state, &locators()).run(request);
    steps.last().expect("at least one").state.clone()
}

fn steps(state: &ServiceState, new: &NewVersion) -> Vec<String> {
    outline(state, new, &locators()).expect("it is not refused")
}

#[test]
fn the_first_version_gets_everything_at_once() {
    assert_eq!(
        steps(&nothing(), &version("{ settle: 5m }", "v2")),
        [
            "pull `shop:v2` for `web`",
            "launch one instance, and wait until `/health` on port 8080 of `web` answers, for at most 1m 30s",
            "give it all new sessions at once: nothing else serves",
            "hold that for 5m; then it has settled",
        ]
    );
}

#[test]
fn a_later_one_is_given_more_and_more() {
    let one = after(&nothing(), &version("{ settle: 5m }", "v1"));
    assert_eq!(one.known_good, Some(VersionId(1)), "all went well");
    let new =
        "{ replicas: 2, ramp: [10%, 50%, 100%], every: 10m, settle: 5m, before: migrate, drain: { evict_after: 8h } }";
    let two = version(new, "v2");
    assert_eq!(
        steps(&one, &two),
        [
            "pull `shop:v2` for `web`",
            "run `migrate`, and wait until it has ended well, for at most 1h",
            "launch 2 instances, and wait until `/health` on port 8080 of `web` answers, for at most 1m 30s",
            "give it 10% of the new sessions, for 10m",
            "give it 50% of the new sessions, for 10m",
            "give it all new sessions, and hold that for 5m; then it has settled",
            "let version 1 keep the sessions that it has, and remove it when the last has expired",
        ]
    );
    let both = after(&one, &two);
    assert_eq!(both.instances.len(), 2, "version 1 is gone: {both:?}");
    let three = version("{ settle: 5m }", "v3");
    let last = steps(&both, &three).pop();
    let drain = "let version 2 keep the sessions that it has, and remove it when the last has expired, or after 8h";
    assert_eq!(last.as_deref(), Some(drain));
}

#[test]
fn a_stage_says_what_ends_it() {
    let one = after(&nothing(), &version("{ settle: 5m }", "v1"));
    let told = |release: &str| -> Vec<String> {
        let steps = steps(&one, &version(release, "v2"));
        steps.into_iter().filter(|step| step.starts_with("give it")).collect()
    };
    let full = "give it all new sessions, and hold that for 5m; then it has settled";
    assert_eq!(
        told(
            "{ settle: 5m, every: 10m, after: 200 sessions, ramp: [1%, { share: 10%, gate: hold }, \
             { share: 50%, every: 0s, after: 1 session }, 100%] }"
        ),
        [
            "give it 1% of the new sessions, for 10m, and until 200 sessions have begun on it",
            "give it 10% of the new sessions, for 10m, and until 200 sessions have begun on it, and until somebody says `advance`",
            "give it 50% of the new sessions, until one session has begun on it",
            full,
        ]
    );
    assert_eq!(
        told("{ settle: 5m, ramp: auto, harm_budget: 3 }"),
        [
            "give it 1% of the new sessions, and more as it proves good: so many that at most 3 could fail until the next look",
            full,
        ]
    );
}

#[test]
fn one_that_has_to_wait_says_for_what() {
    let one = after(&nothing(), &version("{ settle: 5m }", "v1"));
    let asked = request(&one, Verb::Release(Box::new(version("{ settle: 5m }", "v2")))).expect("valid");
    let under_way = Forecast::new(&one, &locators()).run(asked).swap_remove(1).state;
    assert!(under_way.release.is_some());
    let waits = &steps(&under_way, &version("{ settle: 5m }", "v3"))[0];
    assert_eq!(waits, "wait until the release of version 2 is over");
    let supersedes = &steps(&under_way, &version("{ settle: 5m, queue: supersede }", "v3"))[..2];
    assert_eq!(supersedes[1], "abort the release of version 2, which this one supersedes");
}

#[test]
fn what_would_be_refused_is_refused() {
    let blind = LocatorCapabilities { session_count: SessionCount::None, ..EXACT };
    let locators = BTreeMap::from([(LocatorName::new("gateway").expect("valid"), blind)]);
    let refused = outline(&nothing(), &version("{}", "v1"), &locators).expect_err("a drain would never end");
    assert_eq!(refused.kind(), crate::ErrorKind::NotSupported);
}

#[test]
fn a_retirement_takes_every_version_away() {
    let one = after(&nothing(), &version("{ settle: 5m }", "v1"));
    assert_eq!(
        outline_retirement(&one, &locators()).expect("nothing is in progress"),
        [
            "give no new sessions to `shop`: whoever has none is turned away",
            "let version 1 keep the sessions that it has, and remove it when the last has expired",
            "forget `shop`: its name can be used again, and its history stays",
        ]
    );
    let refused = outline_retirement(&nothing(), &locators()).expect_err("there is nothing");
    assert_eq!(refused.kind(), crate::ErrorKind::NothingToDo);
}
