//! The examples of `docs/reference/compose-file.md` are read, and each key of the reader is on that page.

use std::path::Path;

use super::{release, resolve};

const PAGE: &str = include_str!("../../../docs/reference/compose-file.md");

/// The blocks of YAML on the page.
fn examples() -> Vec<&'static str> {
    PAGE.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().expect("a closed block")).collect()
}

#[test]
fn every_example_on_the_page_is_a_good_file() {
    let examples = examples();
    assert!(examples.len() >= 4, "only {} examples were found", examples.len());
    for example in examples {
        resolve(example, &release());
    }
}

#[test]
fn every_key_is_on_the_page() {
    for key in [
        "name",
        "version",
        "services",
        "x-haddock",
        "image",
        "command",
        "entrypoint",
        "environment",
        "env_file",
        "expose",
        "ports",
        "depends_on",
        "links",
        "healthcheck",
        "labels",
        "stop_grace_period",
        "stop_signal",
        "restart",
        "service",
        "entry",
        "ready",
        "session",
        "shared",
        "release",
        "replicas",
        "ramp",
        "every",
        "after",
        "harm_budget",
        "share",
        "gate",
        "command",
        "call",
        "within",
        "guard",
        "acts",
        "false_alarm",
        "tolerate",
        "at_most",
        "failed",
        "status",
        "except",
        "paths",
        "except_paths",
        "header",
        "slow",
        "settle",
        "drain",
        "queue",
        "max_versions",
        "unresponsive_for",
        "before",
        "hooks",
        "serving",
        "draining",
        "component",
        "notify",
        "follow",
        "freeze",
        "health_interval",
        "evict_after",
        "notify_clients",
        "idle",
        "ignore",
        "same_site",
        "domain",
        "path",
        "partitioned",
        "by",
        "http",
        "within",
        "test",
        "interval",
        "timeout",
        "retries",
        "start_period",
        "disable",
    ] {
        assert!(PAGE.contains(&format!("`{key}`")), "`{key}` is not on the page");
    }
}

#[test]
fn the_shipped_schema_is_that_of_the_reader() {
    let schema =
        serde_json::to_string_pretty(&haddock_core::environment::compose::schema()).expect("plain data") + "\n";
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/x-haddock.schema.json");
    if std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
        std::fs::write(&shipped, &schema).expect("writable");
    }
    let found = std::fs::read_to_string(&shipped).expect("the schema is shipped");
    assert_eq!(found, schema, "run the tests once with INSTA_UPDATE=always");
}
