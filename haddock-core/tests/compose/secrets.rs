//! Values of variables are in no error, no note and no `Debug`.

use haddock_core::environment::compose::{
    ComposeFile, ResolveOptions, Resolved, Values, Variables, canonical, to_yaml,
};
use haddock_core::environment::{EnvironmentSpec, differences};

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
    let mut leaks = Vec::new();
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
        "build: 'https://me:$S@git.example.com/shop.git'",
        "build: { context: 'https://me:$S@git.example.com/shop.git' }",
        "build: { context: /x, additional_contexts: { a: 'https://me:$S@git.example.com/a.git' } }",
        "build: { context: /x, cache_from: ['type=s3,secret_access_key=$S'] }",
        "build: { context: /x, cache_to: ['type=s3,secret_access_key=$S'] }",
        "build: { context: /x, dockerfile: /$S }",
        "build: { context: /x, dockerfile_inline: 'RUN a $S' }",
        "build: { context: /x, extra_hosts: ['a:$S'] }",
        "build: { context: /x, target: a$N }",
        "cgroup_parent: $S",
        "dns_opt: ['a:$S']",
        "dns_search: ['$S']",
        "dns_search: $S",
        "external_links: ['a$N:b']",
        "gpus: [{ driver: a, count: 1, options: { a: $S } }]",
        "group_add: [$S]",
        "networks: { default: { driver_opts: { a: $S } } }",
        "networks: { default: { aliases: [a$N] } }",
        "runtime: $S",
        "secrets: [{ source: s, target: /a/$S }]",
        "security_opt: ['label:$S']",
        "tmpfs: ['/a/$N']",
        "tmpfs: /a/$N",
        "volumes: [{ type: volume, source: vol, target: /a, volume: { subpath: a/$S } }]",
        "volumes: [{ type: volume, source: vol, target: /a, volume: { labels: { a: $S } } }]",
        "volumes: [{ type: volume, source: vol, target: /a/$S }]",
        "volumes: ['vol:/a/$N']",
    ] {
        let variables: Variables = [("S", SECRET), ("N", "hunter2")].into_iter().collect();
        let text = component(lines) + "volumes: { vol: {} }\nsecrets: { s: { file: /s } }\n";
        let file = ComposeFile::parse("shop/compose.yaml", &text).expect("YAML");
        let options = ResolveOptions { variables, ..ResolveOptions::default() };
        let resolved = file.resolve(&options).expect(lines);
        leaks.extend(shown_with_secret(lines, &resolved));
        let full = canonical(&resolved.name, &resolved.spec, Values::Shown).to_string();
        assert!(full.contains("hunter2"), "{lines}: the value arrives: {full}");
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

/// The networks, volumes, secrets and configs of the file.
#[test]
fn no_form_that_is_shown_has_the_value_of_a_variable_of_what_is_declared() {
    let mut leaks = Vec::new();
    for lines in [
        "networks: { n: { driver_opts: { a: $S } } }",
        "networks: { n: { labels: { a: $S } } }",
        "networks: { n: { labels: [a=$S] } }",
        "networks: { n: { name: $S } }",
        "networks: { n: { ipam: { driver: $S, options: { a: $S } } } }",
        "volumes: { vol: { driver_opts: { o: 'username=a,password=$S' } } }",
        "volumes: { vol: { driver: $S } }",
        "volumes: { vol: { labels: { a: $S } } }",
        "volumes: { vol: { name: a$N } }",
        "secrets: { s: { file: /a/$S } }",
        "configs: { c: { content: 'a $S' } }",
        "configs: { c: { content: a, name: $S } }",
    ] {
        let variables: Variables = [("S", SECRET), ("N", "hunter2")].into_iter().collect();
        let uses = [("networks", "n"), ("volumes", "vol:/a"), ("secrets", "s"), ("configs", "c")];
        let key = lines.split(':').next().unwrap_or_default();
        let of = uses.iter().find(|(section, _)| *section == key).expect("a section").1;
        let text = component(&format!("{key}: ['{of}']")) + lines + "\n";
        let file = ComposeFile::parse("shop/compose.yaml", &text).expect("YAML");
        let options = ResolveOptions { variables, ..ResolveOptions::default() };
        leaks.extend(shown_with_secret(lines, &file.resolve(&options).expect(lines)));
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

/// What shows the value: a form of the environment, or what is told of it when it changes.
fn shown_with_secret(lines: &str, resolved: &Resolved) -> Option<String> {
    let form = canonical(&resolved.name, &resolved.spec, Values::Hidden);
    let changes = differences(&EnvironmentSpec::default(), &resolved.spec);
    let shown = format!("{form} {} {resolved:?} {:?} {changes:?}", to_yaml(&form), resolved.spec);
    shown.contains("hunter2").then(|| format!("{lines}:\n{form}\n{changes:?}"))
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
