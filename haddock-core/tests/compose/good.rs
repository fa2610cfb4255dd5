//! Files that are taken, and what they come to.

use std::collections::BTreeMap;
use std::time::Duration;

use haddock_core::environment::compose::{ComposeFile, Purpose, Reason, ResolveOptions, Values, Variables, canonical};
use haddock_core::environment::{
    Asks, CountSettings, EnvironmentSpec, GateSpec, GuardSettings, Hook, HookCommand, Queue, ServiceSettings, StageGate,
};
use haddock_core::image::ImageReference;
use haddock_core::routing::CookieMode;
use haddock_core::{ComponentName, ErrorKind, ServiceName, Share};
use serde_json::json;

use super::{component, environment, release, resolve, settings};

/// The whole of a specification, with the values of variables, which `Debug` hides.
fn shown(spec: &EnvironmentSpec) -> String {
    let name = ServiceName::new("any").expect("a valid name");
    let all = canonical(&name, spec, Values::Shown);
    format!("{spec:#?}\n{}\n", serde_json::to_string_pretty(&all).expect("plain data"))
}

#[test]
fn the_manual_s_example() {
    let text = r#"
name: accounting
services:
  oracle:
    image: "registry.local:5000/oracle-xe:sl"
    healthcheck: { test: ["CMD", "sqlplus", "-L"], interval: 5s, retries: 10 }
  activemq:   { image: "registry.local:5000/activemq:5" }
  accounting: { image: "registry.local:5000/accounting:${TAG}", links: [oracle, activemq] }
  proxy:
    image: "registry.local:5000/login-proxy:${TAG}"
    links: [oracle, "accounting:app", activemq]
    ports: ["8080"]
x-haddock:
  entry: proxy:8080
  ready: /health
  session: { idle: 30m, ignore: [/health] }
"#;
    let resolved = resolve(text, &release());
    insta::assert_snapshot!(shown(&resolved.spec));
    let reasons: Vec<String> = resolved.reasons.iter().map(|(name, reason)| format!("{name} is {reason}")).collect();
    insta::assert_snapshot!(reasons.join("\n"), @r"
    accounting is versioned: its image mentions `${TAG}`
    activemq is shared: its image is the same in every release, and so are those it links to
    oracle is shared: its image is the same in every release, and so are those it links to
    proxy is versioned: its image mentions `${TAG}`
    ");
    assert_eq!(resolved.notes, []);
}

#[test]
fn every_key_of_a_component() {
    let text = r#"
# Anchors, merge keys, and extensions of others.
x-base: &base
  stop_grace_period: 1m30s
  environment: &env
    COMMON: 1.10
    FLAG: true
    OCTAL: 0777
version: "3.8"
services:
  web:
    <<: *base
    image: ghcr.io/shop/web@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    command: sh -c 'echo "$$HOME" && exec web'
    entrypoint: [/tini, --, "8"]
    environment:
      <<: *env
      FROM_CALLER:
      NOT_SET:
      EMPTY: ""
      PORT: ${PORT:-80}
      PRICE: 5$$
      YES: yes
    expose: [80, "81", "82/tcp"]
    ports:
      - 80
      - "8443:443"
      - "127.0.0.1:9000:90"
      - "127.0.0.1::91"
      - "[::1]:9200:92"
      - 9300:93/tcp
      - { target: 94, published: "9400", host_ip: 127.0.0.1, protocol: tcp }
      - { target: 95 }
    depends_on:
      db: { condition: service_healthy, required: true, restart: false }
      migrate: { condition: service_completed_successfully }
      mail: { condition: service_started }
    links: [db, "db:oracle", "search:index"]
    healthcheck: { test: curl -f http://localhost, interval: 1m, timeout: 500ms, retries: 5, start_period: 0s }
    labels: { team: shop, tier: 1, empty: }
    stop_signal: SIGQUIT
    restart: unless-stopped
    x-mine: { anything: goes }
  db:
    image: postgres
    environment: [POSTGRES_PASSWORD=pa=ss, FROM_CALLER, NOT_SET]
    labels: [a=b, c]
    healthcheck: { test: [CMD-SHELL, pg_isready] }
    restart: "no"
  migrate: { image: shop/migrate, depends_on: [db], restart: on-failure:3, command: null }
  mail: { image: localhost/mail, healthcheck: { disable: true }, stop_signal: "9" }
  search: { image: "search:1", healthcheck: { test: [NONE] }, stop_grace_period: 0s }
x-haddock: { entry: "web:80" }
"#;
    let variables: Variables = [("FROM_CALLER", "given"), ("HOME", "/root")].into_iter().collect();
    let resolved = resolve(text, &ResolveOptions { variables, ..ResolveOptions::default() });
    insta::assert_snapshot!(shown(&resolved.spec));
    let notes: Vec<String> = resolved.notes.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(notes.join("\n"));
}

#[test]
fn every_setting() {
    let text = settings(
        "service: store\nentry: web:8080\nready: { http: /health, within: 1m }\nsession:\n  idle: 45m\n  by: client\n  \
         ignore: [/health, /metrics]\n  same_site: lax\n  domain: .Example.com\n  path: /app\n  partitioned: true\n  count: { http: /sessions, pointer: /active~1now, every: 5s }\n\
         shared: [web]\nrelease:\n  replicas: 3\n  ramp: [1%, 12.5%, 100%]\n  every: 5m\n  settle: 30s\n  drain: { evict_after: 8h, notify_clients: { header: X-Draining } }\n  \
         queue: supersede\n  max_versions: 6\n  unresponsive_for: 90s\n\
         guard:\n  acts: false\n  false_alarm: 0.1%\n  tolerate: 0.005\n  at_most: 2%\n  slow: { after: 1500ms, tolerate: 3% }\n  \
         failed: { status: [5xx, 429, 420-425], except: [503], paths: [/shop], except_paths: [/shop/ads], header: X-Failed }",
    );
    insta::assert_debug_snapshot!(resolve(&text, &environment()).spec.settings.expect("a service"));
}

#[test]
fn the_cookie_of_an_application() {
    let session = |text: &str| {
        let session = resolve(&settings(text), &environment()).spec.settings.expect("a service").session;
        (session.application.map(|cookie| (cookie.name, cookie.mode)), session.idle.as_secs())
    };
    let cookie = |name: &str, mode| Some((name.to_owned(), mode));
    assert_eq!(session("session: JSESSIONID"), (cookie("JSESSIONID", CookieMode::Prefix), 1800));
    assert_eq!(session("session: { cookie: JSESSIONID, idle: 45m }"), (cookie("JSESSIONID", CookieMode::Prefix), 2700));
    assert_eq!(
        session("session: { cookie: connect.sid, cookie_mode: learn }"),
        (cookie("connect.sid", CookieMode::Learn), 1800)
    );
    assert_eq!(session("session: { idle: 30m }"), (None, 1800));
    let short = resolve(&settings("session: { count: /sessions }"), &environment()).spec.settings.expect("a service");
    assert_eq!(short.release.count, Some(CountSettings::new("/sessions")));
    // The gateway's other cookie has attributes, too.
    let both = session("session: { cookie: JSESSIONID, by: client, same_site: lax }");
    assert_eq!(both, (cookie("JSESSIONID", CookieMode::Prefix), 1800));
}

#[test]
fn ramps() {
    let ramp = |release: &str| {
        let text = settings(&format!("release: {{ {release} }}"));
        let release = resolve(&text, &environment()).spec.settings.expect("a service").release;
        let stages = release.ramp.iter().map(|stage| {
            let gate = match stage.gate {
                StageGate::Open => String::new(),
                StageGate::Hold => " gate".to_owned(),
                StageGate::Asked { every } => format!(" asked {every:?}"),
            };
            format!("{} {:?} {}{gate}", stage.share, stage.every, stage.after)
        });
        (stages.collect::<Vec<_>>().join(", "), release.auto.map(|auto| auto.harm_budget))
    };
    for (release, stages, budget) in [
        ("", "10% 600s 0, 50% 600s 0, 100% 600s 0", None),
        ("every: 5m, after: 200 sessions", "10% 300s 200, 50% 300s 200, 100% 300s 0", None),
        ("ramp: [5%, 100%], after: 1 session", "5% 600s 1, 100% 600s 0", None),
        ("ramp: [100%], after: 7", "100% 600s 0", None),
        (
            "every: 5m, ramp: [1%, { share: 10%, every: 1h, gate: hold }, { share: 20%, after: 9 }, { share: 100% }], after: 3",
            "1% 300s 3, 10% 3600s 3 gate, 20% 300s 9, 100% 300s 0",
            None,
        ),
        (
            "ramp: [{ share: 1%, gate: { call: smoke } }, { share: 2%, gate: { command: [./smoke], every: 5s } }, 100%]",
            "1% 600s 0 asked 60s, 2% 600s 0 asked 5s, 100% 600s 0",
            None,
        ),
        ("ramp: auto", "1% 0ns 0, 100% 0ns 0", Some(10)),
        ("harm_budget: 3, ramp: auto", "1% 0ns 0, 100% 0ns 0", Some(3)),
    ] {
        assert_eq!(ramp(release), (stages.to_owned(), budget), "{release}");
    }
}

#[test]
fn gates() {
    let text = settings(
        "release: { ramp: [1%, { share: 5%, gate: { command: 'smoke --to=${TOKEN}', within: 7s } }, \
         { share: 10%, gate: hold }, { share: 50%, gate: { call: office.hours, every: 1h } }, 100%] }",
    );
    let variables = Variables::from_iter([("TOKEN", "s3cret")]);
    let spec = resolve(&text, &ResolveOptions { variables, ..environment() }).spec;
    let [(1, asked), (3, called)] =
        &spec.gates.iter().map(|(stage, gate)| (*stage, gate.clone())).collect::<Vec<_>>()[..]
    else {
        panic!("{:?}", spec.gates)
    };
    let Asks::Command(words) = &asked.asks else { panic!("{asked:?}") };
    let words: Vec<&str> = words.iter().map(|word| word.expose()).collect();
    assert_eq!((words[0], words[1], asked.within.as_secs()), ("/bin/sh", "-c", 7));
    assert!(words[2].starts_with("smoke --to=") && !words[2].contains('$'), "{words:?}");
    assert!(!format!("{asked:?}").contains("smoke"), "it may hold a secret: {asked:?}");
    assert_eq!(*called, GateSpec { asks: Asks::Call("office.hours".into()), within: GateSpec::DEFAULT_WITHIN });
    let written = &spec.written["x-haddock.release.ramp[1].gate.command"];
    assert_eq!(written, "smoke --to=${TOKEN}");
    assert_eq!(spec.shared().gates.len(), 0, "they are the service's");
}

#[test]
fn guards() {
    let read = |guard: &str| resolve(&settings(&format!("guard: {guard}")), &environment()).spec.settings.expect("one");
    let plain = resolve(&settings("ready: /health"), &environment()).spec.settings.expect("one");
    for guard in ["{}", "{ acts: true, false_alarm: 0.01, tolerate: 1%, at_most: 0.05, failed: { status: ['5xx'] } }"] {
        let told = read(guard);
        assert_eq!((told.release.guard, told.session), (plain.release.guard.clone(), plain.session.clone()), "{guard}");
    }
    let slow = read("{ slow: 2s }");
    assert_eq!(slow.session.slow, Some(Duration::from_secs(2)));
    assert_eq!(slow.release.guard, GuardSettings::default());
    // Settings from before there was a guard are still read, and those with its defaults are stored as before.
    let stored = serde_json::to_string(&plain).expect("plain data");
    assert!(!stored.contains("guard") && !stored.contains("failed") && !stored.contains("slow"), "{stored}");
    let set = read("{ slow: 1500ms, failed: { header: X-Failed }, tolerate: 2% }");
    let again = serde_json::to_string(&set).expect("plain data");
    assert_eq!(serde_json::from_str::<ServiceSettings>(&again).expect("as it was written"), set);
}

#[test]
fn which_tags_are_released_by_themselves() {
    let of = |follow: &str| resolve(&settings(follow), &environment()).spec.follow.expect("it says so");
    let short = of("follow: 'main-*'");
    assert_eq!((short.release.to_string(), short.image, short.every.as_secs()), ("main-*".to_owned(), None, 30));
    let long = of(
        "follow: { release: 'v[0-9]*', image: 'shop/web', every: 1m, freeze: [22:00-06:00 UTC, Fri 16:00 to Mon 8:00 UTC] }",
    );
    assert_eq!((long.image.expect("given").to_string(), long.every.as_secs()), ("shop/web:latest".to_owned(), 60));
    assert_eq!(long.freeze, ["22:00 – 06:00 UTC", "Fri 16:00 – Mon 08:00 UTC"].map(|it| it.parse().expect("a freeze")));
    // Who asks for a release is no part of what is released.
    let store = haddock_core::environment::store::SpecStore::memory();
    let digest = |follow: &str| store.put(&resolve(&settings(follow), &environment()).spec).expect("kept");
    assert_eq!(digest("follow: 'main-*'"), digest("follow: 'v*'"));
}

#[test]
fn whom_a_release_tells() {
    let text = "
services:
  web: { image: 'shop:${TAG}', expose: [80] }
  worker: { image: 'shop:${TAG}' }
  migrate: { image: 'tools:1', healthcheck: { test: [CMD, x], interval: 1s, start_interval: 2s } }
  mail: { image: mail, healthcheck: { test: [CMD, x] } }
x-haddock:
  entry: web:80
  health_interval: 20s
  release:
    before: { component: migrate, within: 5m }
    hooks:
      serving: curl localhost | cat
      draining: { component: worker, command: [stop, -a], within: 3s }
  notify: [' https://example.com/x ', logger -t release]
";
    let options = ResolveOptions { tag: Some("1".into()), purpose: Purpose::Release, ..environment() };
    let resolved = resolve(text, &options);
    assert_eq!(resolved.reasons["migrate"], Reason::Before);
    let spec = resolved.spec;
    let settings = spec.service().expect("a service");
    let before = settings.release.before.clone().expect("given");
    assert_eq!((before.component.as_str(), before.within.as_secs()), ("migrate", 300));
    let hook = |hook: Hook| {
        let HookCommand { component, command, within } = spec.hooks[&hook].clone();
        let words: Vec<String> = command.iter().map(|word| word.expose().to_owned()).collect();
        (component.map(|name| name.to_string()), words, within.as_secs())
    };
    let shell = ["/bin/sh", "-c", "curl localhost | cat"].map(str::to_owned).to_vec();
    assert_eq!(hook(Hook::Serving), (None, shell, 30));
    assert_eq!(hook(Hook::Draining), (Some("worker".into()), vec!["stop".into(), "-a".into()], 3));
    let receivers: Vec<&str> = spec.notify.iter().map(|receiver| receiver.text().expose()).collect();
    assert_eq!((receivers, settings.notify), (vec!["https://example.com/x", "logger -t release"], 2));
    let members: Vec<String> = spec.of_instance().iter().map(ToString::to_string).collect();
    assert_eq!(members, ["web", "worker"], "what runs before is part of no instance");
    // Only an environment by itself is looked at less often.
    let intervals = |options: &ResolveOptions| -> Vec<(Option<Duration>, Option<Duration>)> {
        let spec = resolve(text, options).spec;
        let checks = ["migrate", "mail"].map(|name| spec.components[name].health_check.clone().expect("given"));
        checks.map(|check| (check.interval, check.start_interval)).to_vec()
    };
    let seconds = |seconds: u64| Some(Duration::from_secs(seconds));
    assert_eq!(intervals(&options), [(seconds(1), seconds(2)), (None, None)]);
    let alone = ResolveOptions { purpose: Purpose::Environment, ..options };
    assert_eq!(intervals(&alone), [(seconds(20), seconds(20)), (seconds(30), None)]);
}

#[test]
fn defaults_are_few_and_plain() {
    let spec = resolve("services:\n  web: { image: shop, expose: [80] }\n", &environment()).spec;
    insta::assert_debug_snapshot!(spec.settings.expect("a service"));
}

#[test]
fn a_ramp_without_every_and_every_without_a_ramp() {
    let stages = |lines: &str| -> Vec<(Share, u64)> {
        let release = resolve(&settings(lines), &environment()).spec.settings.expect("a service").release;
        release.ramp.iter().map(|stage| (stage.share, stage.every.as_secs())).collect()
    };
    let percent = Share::percent;
    assert_eq!(stages("release: { ramp: [20%, 100%] }"), [(percent(20), 600), (percent(100), 600)]);
    assert_eq!(stages("release: { every: 5s }"), [(percent(10), 5), (percent(50), 5), (percent(100), 5)]);
    assert_eq!(stages("release: { ramp: [100%], every: 0s }"), [(percent(100), 0)]);
    assert_eq!(
        resolve(&settings("release: { queue: newest }"), &environment())
            .spec
            .service()
            .expect("a service")
            .release
            .queue,
        Queue::Newest
    );
}

#[test]
fn versioned_follows_links_and_images_and_the_list() {
    let text = r#"
services:
  db: { image: "db:1" }
  cache: { image: "cache:${CACHE_TAG:-1}" }
  app: { image: "app:1", links: [db] }
  middle: { image: "middle:1", links: [app] }
  front: { image: "front:1", links: ["middle:m"], ports: ["80"] }
  audit: { image: "audit:${TAG}" }
  waits: { image: "waits:1", depends_on: [db] }
x-haddock: { shared: [audit] }
"#;
    let reasons = |options: &ResolveOptions| -> Vec<String> {
        resolve(text, options).reasons.iter().map(|(name, reason)| format!("{name} is {reason}")).collect()
    };
    insta::assert_snapshot!(reasons(&ResolveOptions { tag: Some("v2".into()), ..environment() }).join("\n"));
    let image = ImageReference::parse("app:2").expect("valid");
    let images = BTreeMap::from([(ComponentName::new("app").expect("valid"), image)]);
    let release_variables = BTreeMap::from([("CACHE_TAG".to_owned(), "7".to_owned())]);
    let options = ResolveOptions { images, release_variables, purpose: Purpose::Release, ..release() };
    insta::assert_snapshot!(reasons(&options).join("\n"));
    let spec = resolve(text, &options).spec;
    assert_eq!(spec.components["app"].image.to_string(), "app:2");
    assert_eq!(spec.components["cache"].image.to_string(), "cache:7");
    assert!(spec.components["front"].versioned && !spec.components["audit"].versioned);
}

#[test]
fn a_given_image_needs_no_tag() {
    let images =
        BTreeMap::from([(ComponentName::new("web").expect("valid"), ImageReference::parse("shop:9").expect("valid"))]);
    let text = "services:\n  web: { image: \"shop:${TAG}\", ports: [\"80\"] }\n";
    let spec =
        resolve(text, &ResolveOptions { images: images.clone(), purpose: Purpose::Release, ..environment() }).spec;
    assert_eq!(spec.components["web"].image.to_string(), "shop:9");
    let text = "services:\n  web: { ports: [\"80\"] }\n";
    assert_eq!(
        resolve(text, &ResolveOptions { images, ..environment() }).spec.components["web"].image.to_string(),
        "shop:9"
    );
}

#[test]
fn an_image_for_no_component_and_a_bad_tag_are_refused() {
    let file = ComposeFile::parse("compose.yaml", &component("expose: [80]")).expect("YAML");
    let images =
        BTreeMap::from([(ComponentName::new("wep").expect("valid"), ImageReference::parse("a").expect("valid"))]);
    let error = file.resolve(&ResolveOptions { images, ..environment() }).expect_err("no such component");
    insta::assert_snapshot!(format!("{error:#}"), @r"
    an image is given for `wep`, which is no component
    hint: the components are `db` and `web`
    ");
    let error = file.resolve(&ResolveOptions { tag: Some("feature/x".into()), ..environment() }).expect_err("no tag");
    insta::assert_snapshot!(format!("{error:#}"), @r"
    `feature/x` cannot be a tag: tag `feature/x` contains `/`
    hint: use letters, digits, `_`, `.` and `-`, at most 128
    ");
}

#[test]
fn line_ends_of_windows_change_nothing() {
    let text = component("command: a b\nenvironment:\n  A: 1.10\n  B: |\n    x\n    y\nports: [80]");
    assert_eq!(resolve(&text.replace('\n', "\r\n"), &environment()).spec, resolve(&text, &environment()).spec);
    let with_mark = format!("\u{feff}{text}");
    assert_eq!(resolve(&with_mark, &environment()).spec, resolve(&text, &environment()).spec);
}

#[test]
fn in_an_environment_by_itself_fixed_ports_are_fine() {
    let text = "services:\n  web: { image: \"shop:${TAG}\", ports: [\"8080:80\"] }\n";
    let options = ResolveOptions { purpose: Purpose::Environment, ..release() };
    assert_eq!(resolve(text, &options).spec.components["web"].ports[0].host, Some(8080));
}

#[test]
fn an_environment_by_itself_need_not_take_traffic() {
    let options = ResolveOptions { purpose: Purpose::Environment, ..release() };
    for text in [
        "services:\n  db: { image: db }\n",
        "services:\n  web: { image: a, ports: [\"80\", \"443\"] }\n",
        "services:\n  web: { image: a, ports: [\"80\"] }\n  db: { image: a, ports: [\"5432\"] }\n",
    ] {
        let resolved = resolve(text, &options);
        assert_eq!((resolved.name.as_str(), &resolved.spec.settings), ("shop", &None), "{text}");
        assert_eq!(resolved.spec.service().expect_err("it is none").kind(), ErrorKind::ComposeFile);
    }
}

#[test]
fn the_service_is_named_by_setting_file_or_directory() {
    let named = |file: &str, text: &str| {
        let file = ComposeFile::parse(file, text).expect("YAML");
        file.resolve(&environment()).map(|resolved| resolved.name.to_string())
    };
    let services = "services: { web: { image: a, expose: [80] } }\n";
    let with = |line: &str| format!("{services}{line}\n");
    assert_eq!(named("a/shop/compose.yaml", services).expect("valid"), "shop");
    assert_eq!(named("a/My_Shop 2.0/compose.yaml", services).expect("valid"), "my-shop20");
    assert_eq!(named("a/shop/compose.yaml", &with("name: store")).expect("valid"), "store");
    assert_eq!(
        named("a/shop/compose.yaml", &with("name: store\nx-haddock: { service: till }")).expect("valid"),
        "till"
    );
    // A name that Compose takes and a service cannot have, overridden or not.
    assert_eq!(
        named("a/shop/compose.yaml", &with("name: my_store\nx-haddock: { service: till }")).expect("valid"),
        "till"
    );
    assert_eq!(named("a/shop/compose.yaml", &with("name: my_store")).expect("valid"), "my-store");
    assert!(named("compose.yaml", services).is_err());
    assert!(named("/ß/compose.yaml", services).is_err());
}

#[test]
fn what_is_empty_says_nothing_but_for_an_entry_point() {
    let text = "services:\n  web: { image: a, command: '${NONE:-}', entrypoint: '', restart: '' }\n";
    let spec = resolve(text, &environment()).spec;
    let web = &spec.components["web"];
    assert_eq!((&web.command, &web.entrypoint, &web.restart), (&None, &Some(Vec::new()), &None));
    let spec = resolve("services:\n  web: { image: a, command: [], entrypoint: [] }\n", &environment()).spec;
    assert_eq!((&spec.components["web"].command, &spec.components["web"].entrypoint), (&None, &Some(Vec::new())));
}

#[test]
fn devices_are_asked_of_their_drivers() {
    let text = "
services:
  all: { image: a, gpus: all }
  some: { image: a, gpus: [{ driver: nvidia, count: 2 }, { device_ids: ['0'], capabilities: [utility], options: [x=y] }] }
  reserved: { image: a, deploy: { resources: { reservations: { devices: [{ capabilities: [gpu], count: all }, { capabilities: [tpu] }] } } } }
";
    let spec = resolve(text, &environment()).spec;
    let of = |name: &str| serde_json::to_value(&spec.components[name].options).expect("plain data");
    assert_eq!(of("all"), json!({ "gpus": [{ "count": -1 }] }));
    let request = json!({ "capabilities": ["utility"], "device_ids": ["0"], "options": { "x": "y" } });
    assert_eq!(of("some"), json!({ "gpus": [{ "driver": "nvidia", "count": 2 }, request] }));
    let devices = json!([{ "capabilities": ["gpu"], "count": -1 }, { "capabilities": ["tpu"], "count": -1 }]);
    assert_eq!(of("reserved"), json!({ "resources": { "reservations": { "devices": devices } } }));
}

#[test]
fn a_port_of_the_host_that_is_zero_or_empty_is_any() {
    let text = "services:\n  web: { image: a, ports: ['0:80', '127.0.0.1:0:81', { target: 82, published: 0 }, { target: 83, published: '' }, ':84'] }\n";
    let spec = resolve(text, &environment()).spec;
    let ports = &spec.components["web"].ports;
    assert_eq!(
        ports.iter().map(|port| (port.container, port.host)).collect::<Vec<_>>(),
        [80, 81, 82, 83, 84].map(|it| (it, None))
    );
}

#[test]
fn a_block_at_the_end_of_the_file_ends_as_the_file_does() {
    for (block, end, expected) in [
        ("|", "", "one\ntwo"),
        ("|", "\n", "one\ntwo\n"),
        ("|", "\r\n", "one\ntwo\n"),
        ("|-", "", "one\ntwo"),
        ("|+", "\n\n", "one\ntwo\n\n"),
        (">", "", "one two"),
        ("|2 # >", "", "one\ntwo"),
        (">", "\n", "one two\n"),
    ] {
        let text = format!(
            "services:\n  web:\n    image: a\n    environment:\n      TEXT: {block}\n        one\n        two{end}"
        );
        let spec = resolve(&text, &environment()).spec;
        assert_eq!(spec.components["web"].environment["TEXT"].expose(), expected, "{text:?}");
    }
    let quoted = resolve("services: { web: { image: a, environment: [\"TEXT=one\\n\"] } }", &environment()).spec;
    assert_eq!(quoted.components["web"].environment["TEXT"].expose(), "one\n");
}

#[test]
fn a_thousand_components_in_a_chain_are_soon_sorted_out() {
    let link = |number: usize| format!("  c{number}: {{ image: \"a:1\", links: [c{}] }}\n", number + 1);
    let chain: String = (0..999).map(link).collect();
    let text = format!("services:\n{chain}  c999: {{ image: \"a:${{TAG}}\" }}\nx-haddock: {{ entry: \"c0:80\" }}\n");
    let resolved = resolve(&text, &release());
    assert!(resolved.reasons.values().all(Reason::is_versioned));
    let circle = text.replace("a:${TAG}\"", "a:1\", links: [c0]");
    let errors = super::check(&circle, &environment()).expect_err("a circle");
    assert!(errors[0].message().starts_with("components wait for each other: `c0` → `c1` → `c2`"));
}
