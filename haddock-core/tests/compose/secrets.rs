//! Values of variables are in no error, no note and no `Debug`.

use haddock_core::environment::compose::{ComposeFile, ResolveOptions, Values, Variables, canonical, to_yaml};

use super::component;

const SECRET: &str = "hunter2!";

#[test]
fn no_error_shows_the_value_of_a_variable() {
    let variables: Variables = [("S", SECRET)].into_iter().collect();
    let options = ResolveOptions { variables, ..ResolveOptions::default() };
    assert!(!format!("{options:?}").contains(SECRET));
    let mut refused = 0;
    for lines in [
        "command: \"'$S\"",
        "environment: [\"$S =1\"]",
        "environment: [\"=$S\"]",
        "env_file: ./$S",
        "env_file: [{ path: ./$S }]",
        "expose: [$S]",
        "ports: [$S]",
        "ports: [\"${S}:80\"]",
        "ports: [{ target: $S, published: $S, host_ip: $S, protocol: $S }]",
        "depends_on: [$S]",
        "depends_on: { web: { condition: $S, required: $S } }",
        "links: [$S]",
        "links: [\"$S:db\"]",
        "healthcheck: { test: [$S] }",
        "healthcheck: { test: x, interval: $S, retries: $S, disable: $S }",
        "labels: [\"haddock.$S=1\"]",
        "stop_grace_period: $S",
        "stop_signal: $S",
        "restart: $S",
    ] {
        refused += shown_without_secret(&component(lines), &options);
    }
    for text in [
        "services: { web: { image: \"Shop:$S\", expose: [80] } }",
        "services: { web: { image: a } }\nx-haddock: { service: $S, entry: $S, ready: $S, shared: [$S] }",
        "services: { web: { image: a } }\nx-haddock: { entry: \"$S:80\", ready: { http: $S, within: $S } }",
        "services: { web: { image: a } }\nx-haddock: { entry: \"web:80\", session: { idle: $S, ignore: [$S] } }",
        "services: { web: { image: a } }\nx-haddock: { entry: \"web:80\", release: { replicas: $S, ramp: [$S], every: $S, settle: $S, queue: $S } }",
    ] {
        refused += shown_without_secret(text, &options);
    }
    assert!(refused > 35, "only {refused} errors were looked at");
}

fn shown_without_secret(text: &str, options: &ResolveOptions) -> usize {
    let file = ComposeFile::parse("shop/compose.yaml", text).expect("YAML");
    let errors = file.check(options).expect_err(text);
    let shown = format!("{errors:?} {errors:#?} {}", serde_json::to_string(&errors).expect("plain data"));
    assert!(!shown.contains(SECRET), "{text}:\n{shown}");
    errors.len()
}

#[test]
fn no_debug_shows_the_value_of_a_variable() {
    let text = component("environment: { PASSWORD: hunter2!, OTHER: \"$S\" }");
    let variables: Variables = [("S", SECRET)].into_iter().collect();
    let file = ComposeFile::parse("shop/compose.yaml", &text).expect("YAML");
    let resolved = file.resolve(&ResolveOptions { variables, ..ResolveOptions::default() }).expect("valid");
    assert_eq!(resolved.spec.components["web"].environment["OTHER"].expose(), SECRET);
    assert_eq!(resolved.spec.components["web"].environment["PASSWORD"].expose(), SECRET);
    assert!(!format!("{resolved:?} {file:?}").contains(SECRET));
}

/// Each place of a component in which people put passwords.
#[test]
fn no_form_that_is_shown_has_the_value_of_a_variable() {
    for lines in [
        "command: [a, $S]",
        "command: a $S",
        "entrypoint: a $S",
        "container_name: c${N}",
        "devices: ['/dev/$S:/dev/a']",
        "domainname: $S",
        "environment: { A: $S }",
        "extra_hosts: ['a:$S']",
        "healthcheck: { test: a $S }",
        "hostname: $S",
        "labels: { a: $S }",
        "labels: [a=$S]",
        "logging: { driver: syslog, options: { a: $S } }",
        "annotations: { a: $S }",
        "storage_opt: { a: $S }",
        "sysctls: { a: $S }",
        "build: { context: /x, args: { A: $S } }",
        "build: { context: /x, labels: { a: $S } }",
        "user: $S",
        "volumes: ['/data/$S:/a']",
        "volumes: ['/b:/a', '/data/${S}:/a/:ro']",
        "volumes: [{ type: bind, source: /data/$S, target: /a }]",
        "working_dir: /$S",
    ] {
        let variables: Variables = [("S", SECRET), ("N", "hunter2")].into_iter().collect();
        let file = ComposeFile::parse("shop/compose.yaml", &component(lines)).expect("YAML");
        let options = ResolveOptions { variables, ..ResolveOptions::default() };
        let resolved = file.resolve(&options).expect(lines);
        let form = canonical(&resolved.name, &resolved.spec, Values::Hidden);
        let shown = format!("{form} {} {resolved:?} {:?}", to_yaml(&form), resolved.spec);
        assert!(!shown.contains("hunter2"), "{lines}:\n{form:#}");
        let full = canonical(&resolved.name, &resolved.spec, Values::Shown).to_string();
        assert!(full.contains("hunter2"), "{lines}: the value arrives: {full}");
    }
}

#[test]
fn whom_a_release_tells_is_not_shown() {
    let text = "name: shop
services: { web: { image: 'shop:${TAG}', expose: ['80'] } }
x-haddock:
  entry: web:80
  release: { hooks: { serving: 'curl -u $S localhost' } }
  notify: ['https://chat.example.com/$S', 'mail -s $S ops']
";
    let variables: Variables = [("S", SECRET), ("TAG", "1")].into_iter().collect();
    let file = ComposeFile::parse("shop/compose.yaml", text).expect("YAML");
    let resolved = file.resolve(&ResolveOptions { variables, ..ResolveOptions::default() }).expect("valid");
    assert_eq!(resolved.spec.notify[0].text().expose(), format!("https://chat.example.com/{SECRET}"));
    let shown: Vec<String> = resolved.spec.notify.iter().map(ToString::to_string).collect();
    let settings = serde_json::to_string(resolved.spec.service().expect("a service")).expect("plain data");
    assert!(!format!("{resolved:?} {file:?} {shown:?} {settings}").contains(SECRET));
}

#[test]
fn yaml_errors_do_not_quote_values() {
    for text in [
        "a: hunter2!: x\n",
        "a: 'hunter2!' hunter2!\n",
        "a: \"hunter2!\n",
        "a: [hunter2!\n",
        "a: @hunter2!\n",
        "a: *hunter2!\n",
    ] {
        let error = ComposeFile::parse("compose.yaml", text).expect_err(text);
        assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
    }
}
