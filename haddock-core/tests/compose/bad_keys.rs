//! Keys that are not supported yet, and keys that nobody knows.

use haddock_core::ErrorKind;

use super::{check, component, environment, settings, table};

/// Every key of a service that the Compose Specification has and that is not read, from its page `05-services.md` and
/// the pages on building, deploying and developing.
const PLANNED: &str =
    "credential_spec driver_opts models post_start post_stop pre_start pre_stop provider pull_refresh_after";

#[test]
fn every_other_key_of_a_service_is_not_supported_yet() {
    let cases: Vec<(&str, String)> =
        PLANNED.split_whitespace().map(|key| (key, component(&format!("{key}: {{}}")))).collect();
    for (key, text) in &cases {
        let errors = check(text, &environment()).expect_err(key);
        assert_eq!(errors.len(), 1, "{key}: {errors:?}");
        assert_eq!(errors[0].kind(), ErrorKind::NotSupported, "{key}");
        let place = errors[0].place().expect("a place");
        assert_eq!((place.line, place.column, place.key.as_str()), (4, 5, format!("services.web.{key}").as_str()));
    }
    insta::assert_snapshot!(table(&cases, &environment()));
}

#[test]
fn other_keys_that_are_known_are_not_supported_yet() {
    let top = |lines: &str| format!("services:\n  web: {{ image: \"shop:1\", expose: [80] }}\n{lines}\n");
    let cases = [
        ("models", top("models: {}")),
        ("an external secret", component("secrets: [s]") + "secrets: { s: { external: true } }\n"),
        ("build ssh", component("build: { context: ., ssh: [\"github=~/.ssh/id\"] }")),
        ("reserved resources", component("deploy: { resources: { reservations: { generic_resources: [] } } }")),
        ("a drive of Windows", component("volumes: [\"c:/data\"]")),
        ("a pipe of Windows", component("volumes: [{ type: npipe, source: a, target: /b }]")),
        ("pull policy", component("pull_policy: refresh")),
        ("host", settings("host: shop.example.com")),
        ("production", settings("production: { hosts: [ssh://deploy@app1] }")),
        ("by client", settings("release: { by: client }")),
    ];
    for (name, text) in &cases {
        for error in check(text, &environment()).expect_err(name) {
            assert_eq!(error.kind(), ErrorKind::NotSupported, "{name}: {error}");
        }
    }
    insta::assert_snapshot!(table(&cases, &environment()));
}

#[test]
fn unknown_keys_are_mistakes() {
    let cases = [
        ("top level", "servces:\n  web: { image: a }\n".into()),
        ("top level, far off", "services:\n  web: { image: a, expose: [80] }\nfoo: 1\n".into()),
        ("our own, misspelt", "services:\n  web: { image: a, expose: [80] }\nx-haddok: {}\n".into()),
        ("our own, with an underscore", "services:\n  web: { image: a, expose: [80] }\nx_haddock: {}\n".into()),
        ("service", component("enviroment: {}")),
        ("service, a hyphen", component("depends-on: []")),
        ("service, far off", component("colour: blue")),
        ("service, upper case", component("Ports: []")),
        ("service, planned and misspelt", component("volume: []")),
        ("service, an empty key", component("\"\": x")),
        ("service, a number", component("8080: x")),
        ("ours in a component", component("x-haddock: {}")),
        ("a long key", component(&format!("{}: x", "k".repeat(60)))),
        ("env_file", component("env_file: [{ path: a, require: false }]")),
        ("port", component("ports: [{ target: 80, publish: 8080 }]")),
        ("dependency", component("depends_on: { web2: { conditon: service_started } }")),
        ("health check", component("healthcheck: { tests: a }")),
        ("x-haddock", settings("entri: web:80")),
        ("x-haddock takes no extensions", settings("x-mine: 1")),
        ("ready", settings("ready: { https: /health }")),
        ("session", settings("session: { timeout: 30m }")),
        ("release", settings("release: { stages: [100%] }")),
        ("drain", settings("release: { drain: { evict: 1h } }")),
    ];
    for (name, text) in &cases {
        let errors = check(text, &environment()).expect_err(name);
        assert!(errors.iter().any(|error| error.kind() == ErrorKind::ComposeFile), "{name}: {errors:?}");
    }
    insta::assert_snapshot!(table(&cases, &environment()));
}
