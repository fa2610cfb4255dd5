//! Whatever stands in a file, reading it ends in a specification or in errors with places, never in a panic.

use haddock_core::environment::compose::{ComposeFile, ResolveOptions, Variables};
use proptest::prelude::*;

use super::release;

const SEED: &str = r#"
x-base: &base { stop_signal: SIGTERM, environment: { A: "${A:-1}", B: } }
name: accounting
services:
  oracle: { <<: *base, image: "registry.local:5000/oracle-xe:sl", healthcheck: { test: [CMD, a], interval: 5s } }
  accounting:
    image: "registry.local:5000/accounting:${TAG}"
    links: [oracle]
    env_file: [{ path: a.env, required: false }]
    labels: [a=b]
  proxy:
    image: "login-proxy:${TAG}"
    command: sh -c 'exec proxy'
    depends_on: { oracle: { condition: service_healthy } }
    links: [oracle, "accounting:app"]
    ports: ["8080", { target: 81, host_ip: 127.0.0.1 }]
    stop_grace_period: 1m30s
    restart: "no"
x-haddock:
  entry: proxy:8080
  ready: { http: /health, within: 1m }
  session: { idle: 30m, ignore: [/health] }
  shared: [oracle]
  release: { replicas: 1, ramp: [10%, 100%], every: 10m, drain: { evict_after: 8h }, queue: newest }
"#;

/// Reads and checks the text; whether it was taken.
fn survives(text: &str, options: &ResolveOptions) -> Result<bool, TestCaseError> {
    let file = match ComposeFile::parse("shop/compose.yaml", text) {
        Ok(file) => file,
        Err(error) => {
            prop_assert!(error.place().is_some_and(|place| place.line > 0 && place.column > 0), "{error:?}");
            return Ok(false);
        }
    };
    match file.check(options) {
        Ok(resolved) => {
            let spec = resolved.spec;
            if let Some(settings) = &spec.settings {
                prop_assert!(spec.components.contains_key(&settings.entry.component));
                prop_assert!(spec.components[&settings.entry.component].expose.contains(&settings.entry.port));
                prop_assert!(!settings.release.ramp.is_empty());
            }
            prop_assert_eq!(spec.components.len(), resolved.reasons.len());
            Ok(true)
        }
        Err(errors) => {
            prop_assert!(!errors.is_empty());
            for error in errors {
                prop_assert!(error.place().is_some_and(|place| place.line > 0), "{error:?}");
            }
            Ok(false)
        }
    }
}

#[test]
fn the_seed_is_a_good_file() {
    assert!(survives(SEED, &release()).expect("taken"));
}

fn options() -> ResolveOptions {
    let variables: Variables = [("A", "a b"), ("B", ""), ("C", "8080")].into_iter().collect();
    ResolveOptions { variables, ..release() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_text(text in "\\PC{0,200}|[a-z:\\- \\n\\[\\]{}\"'&*<$|>%@#!?,]{0,200}") {
        survives(&text, &options())?;
    }

    #[test]
    fn a_good_file_with_a_piece_replaced(
        from in 0..SEED.len(),
        length in 0_usize..30,
        piece in "\\PC{0,6}|\\n {0,6}[a-z]{0,6}: ?|[\\[\\]{}:,\"'&*$%-]{1,3}|\\$\\{[A-C]:?[-?+]?[a-z$]{0,3}\\}|[0-9]{1,6}",
    ) {
        let end = (from + length).min(SEED.len());
        let text = format!("{}{piece}{}", &SEED[..from], &SEED[end..]);
        survives(&text, &options())?;
    }

    #[test]
    fn a_good_file_with_lines_moved(from in 0_usize..26, to in 0_usize..26, indent in 0_usize..8) {
        let mut lines: Vec<String> = SEED.lines().map(str::to_owned).collect();
        let line = lines.remove(from.min(lines.len() - 1));
        lines.insert(to.min(lines.len()), format!("{:indent$}{}", "", line.trim_start()));
        survives(&lines.join("\n"), &options())?;
    }

    #[test]
    fn a_key_with_any_value(
        key in prop::sample::select(vec![
            "image", "command", "entrypoint", "environment", "env_file", "expose", "ports", "depends_on", "links",
            "healthcheck", "labels", "stop_grace_period", "stop_signal", "restart",
        ]),
        value in "(\\[|\\{|\")?[a-z0-9:/.%,$@ {}-]{0,16}(\\]|\\}|\")?|~|-?[0-9]{0,20}(\\.[0-9]{0,5})?(e[0-9]{1,3})?",
    ) {
        let text = format!("services:\n  web:\n    {key}: {value}\n    x-a: b\nx-haddock: {{ entry: \"web:80\" }}\n");
        survives(&text, &options())?;
    }
}
