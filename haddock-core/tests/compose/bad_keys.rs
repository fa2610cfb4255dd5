//! Keys that are not supported yet, and keys that nobody knows.

use haddock_core::ErrorKind;

use super::{check, component, environment, settings, table};

/// Every key of a service that the Compose Specification has and that is not read, from its page `05-services.md` and
/// the pages on building, deploying and developing.
const PLANNED: &str = "annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent configs container_name \
    cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec deploy \
    develop device_cgroup_rules devices dns dns_opt dns_search domainname driver_opts extends external_links extra_hosts \
    gpus group_add hostname init ipc isolation label_file logging mac_address mem_limit mem_reservation mem_swappiness \
    memswap_limit models network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform post_start pre_stop \
    privileged profiles provider pull_policy pull_refresh_after read_only runtime scale secrets security_opt shm_size \
    stdin_open storage_opt sysctls tmpfs tty ulimits use_api_socket user userns_mode uts volumes volumes_from working_dir";

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
        ("networks", top("networks: { front: }")),
        ("volumes", top("volumes: { data: }")),
        ("configs", top("configs: {}")),
        ("secrets", top("secrets: {}")),
        ("include", top("include: [other.yaml]")),
        ("models", top("models: {}")),
        ("build without image", "services:\n  web:\n    build: .\nx-haddock: { entry: \"web:80\" }\n".into()),
        ("env_file format", component("env_file: [{ path: a.env, required: false, format: raw }]")),
        ("health check start_interval", component("healthcheck: { test: a, start_interval: 1s }")),
        ("port mode", component("ports: [{ target: 80, mode: host }]")),
        ("port name", component("ports: [{ target: 80, name: web, app_protocol: http }]")),
        ("host", settings("host: shop.example.com")),
        ("notify", settings("notify: [\"https://example.com\"]")),
        ("idle", settings("idle: { stop_after: 1h }")),
        ("production", settings("production: { without: [db] }")),
        ("session cookie", settings("session: { cookie: JSESSIONID, idle: 30m }")),
        ("session short", settings("session: JSESSIONID")),
        ("ramp auto", settings("release: { ramp: auto }")),
        ("tolerate", settings("release: { tolerate: 1% }")),
        ("before", settings("release: { before: migrate }")),
        ("hooks", settings("release: { hooks: { serving: x } }")),
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
