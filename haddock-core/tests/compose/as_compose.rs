//! What Compose makes of files, key by key. Each case was compared with its own `config`.

use std::fs;

use haddock_core::environment::compose::{ComposeFile, ResolveOptions, Values, Variables, canonical, to_yaml};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{check, component, environment, resolve};

fn form(directory: &TempDir, files: &[(&str, &str)], options: &ResolveOptions) -> Value {
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("within the directory")).expect("writable");
        fs::write(path, text).expect("writable");
    }
    let named = files.iter().map(|(name, _)| directory.path().join(name));
    let paths: Vec<_> = named.filter(|path| path.to_string_lossy().contains("compose")).collect();
    let resolved = ComposeFile::read_all(&paths).and_then(|file| file.resolve(options)).expect("valid");
    canonical(&resolved.name, &resolved.spec, Values::Shown)
}

/// The component `web` of a base and what is put over it.
fn merged(base: &str, over: &str) -> Value {
    let directory = TempDir::new().expect("writable");
    let base = format!("services:\n  web:\n    image: x\n    {base}\n  b: {{ image: b }}\n");
    let over = format!("services:\n  web:\n    {over}\n");
    let form = form(&directory, &[("compose.yaml", &base), ("compose.over.yaml", &over)], &environment());
    form["services"]["web"].clone()
}

#[test]
fn what_an_override_says_again_takes_the_place_of_the_earlier() {
    for (base, over, path, is) in [
        ("ports: ['80:80']", "ports: ['0.0.0.0:80:80']", "/ports/1", Value::Null),
        ("ports: ['80:80']", "ports: [{ target: 80, published: '80' }]", "/ports/1", Value::Null),
        ("ports: ['80-82:80-82']", "ports: ['81:81']", "/ports/3", Value::Null),
        ("ports: ['80:80']", "ports: ['127.0.0.1:80:80']", "/ports/1/host_ip", json!("127.0.0.1")),
        (
            "devices: ['/dev/a:/dev/x:r']",
            "devices: [{ source: /dev/b, target: /dev/x }]",
            "/devices/0/source",
            json!("/dev/b"),
        ),
        ("devices: ['/dev/a:/dev/x:r']", "devices: [{ source: /dev/b, target: /dev/x }]", "/devices/1", Value::Null),
        ("security_opt: [a]", "security_opt: [a, b]", "/security_opt", json!(["a", "b"])),
        ("links: [b]", "links: ['b:b']", "/links", json!(["b"])),
        (
            "extra_hosts: { a: 1.1.1.1 }",
            "extra_hosts: { a: 2.2.2.2 }",
            "/extra_hosts",
            json!(["a=1.1.1.1", "a=2.2.2.2"]),
        ),
        ("tmpfs: ['/a:size=1m']", "tmpfs: ['/a:size=2m']", "/tmpfs", json!(["/a:size=2m"])),
        ("healthcheck: { test: a }", "healthcheck: { disable: true }", "/healthcheck", json!({ "disable": true })),
        ("volumes_from: [b]", "volumes_from: [b]", "/volumes_from", json!(["b"])),
        ("group_add: [44]", "group_add: ['44']", "/group_add", json!(["44"])),
    ] {
        let web = merged(base, over);
        assert_eq!(web.pointer(path).cloned().unwrap_or_default(), is, "{base} + {over}: {web:#}");
    }
}

#[test]
fn a_file_put_where_another_was_takes_its_place() {
    let directory = TempDir::new().expect("writable");
    let base = "services: { web: { image: x, configs: [{ source: a, target: /c }], secrets: [s] } }\nconfigs: { a: { file: a }, c: { file: c } }\nsecrets: { s: { file: s }, t: { file: t } }";
    let over = "services: { web: { configs: [{ source: c }], secrets: [{ source: t, target: /run/secrets/s }] } }";
    let form = form(&directory, &[("compose.yaml", base), ("compose.over.yaml", over)], &environment());
    let web = &form["services"]["web"];
    assert_eq!(web["configs"], json!([{ "source": "c" }]));
    assert_eq!(web["secrets"], json!([{ "source": "t", "target": "/run/secrets/s" }]));
}

#[test]
fn what_a_later_file_takes_away_is_filled_in_all_the_same() {
    let files = |base: &str, over: &str| {
        format!("services: {{ web: {{ image: x, {base} }} }}\n---\nservices: {{ web: {{ {over} }} }}\n")
    };
    for (base, over) in [
        ("command: '${NONE:?named}'", "command: a"),
        ("command: '${NONE:?named}'", "command: !reset null"),
        ("command: '${NONE'", "command: a"),
        ("environment: { A: '${NONE:?named}' }", "environment: [A=b]"),
        ("dns: ['${NONE:?named}']", "dns: !override [a]"),
        ("volumes: ['${NONE}:/a']", "volumes: !reset null"),
        ("volumes: ['${NONE}:/a']", "volumes: !override ['/b:/a']"),
        ("develop: { watch: [{ path: '${NONE:?named}', action: rebuild }] }", ""),
    ] {
        let errors = check(&files(base, over), &environment()).expect_err(base);
        assert!(errors.iter().any(|error| error.lost_in_compose().is_none()), "{base} + {over}: {errors:?}");
    }
    resolve(&files("healthcheck: { interval: a }", "healthcheck: { interval: 1s }"), &environment());
    let only = ResolveOptions { only: ["db".parse().expect("a name")].into(), ..environment() };
    let two = files("command: '${NONE:?named}'", "command: a").replace("{ web: {", "{ db: { image: d }, web: {");
    resolve(&two, &only);
}

#[test]
fn what_is_extended_is_filled_in_whole() {
    let directory = TempDir::new().expect("writable");
    let base = "services: { b: { image: y }, c: { image: '${NONE:?named}' } }";
    fs::write(directory.path().join("base.yaml"), base).expect("writable");
    let path = directory.path().join("compose.yaml");
    fs::write(&path, "services: { web: { extends: { file: base.yaml, service: b } } }").expect("writable");
    let resolved = ComposeFile::read_all(&[path]).and_then(|file| file.resolve(&environment()));
    assert!(resolved.expect_err("refused").message().contains("`NONE` is not set"));
}

#[test]
fn a_build_without_context_is_of_the_project() {
    let directory = TempDir::new().expect("writable");
    let context = |files: &[(&str, &str)]| {
        let form = form(&directory, files, &environment());
        let context = form["services"]["web"]["build"]["context"].as_str().expect("a text").to_owned();
        context.strip_prefix(&directory.path().display().to_string()).expect("within").to_owned()
    };
    let base = ("d/base.yaml", "services: { b: { build: { dockerfile: X } } }");
    let extends = "services: { web: { extends: { file: d/base.yaml, service: b } } }";
    assert_eq!(context(&[("compose.yaml", extends), base]), "");
    let includes = ("compose.yaml", "include: [d/inner.yaml]\nservices: { a: { image: x } }");
    let inner = ("d/inner.yaml", "services: { web: { extends: { file: e/base.yaml, service: b } } }");
    assert_eq!(context(&[includes, inner, ("d/e/base.yaml", base.1)]), "/d");
    let includes = ("compose.yaml", "include: [d/../f/inner.yaml]\nservices: { a: { image: x } }");
    let inner = ("f/inner.yaml", "services: { web: { build: { dockerfile: X } } }");
    assert_eq!(context(&[includes, inner]), "/f");
}

#[test]
fn the_old_form_of_external_is_merged_with_the_new() {
    let networks = |base: &str, over: &str| {
        let text = format!(
            "services: {{ web: {{ image: x, networks: [net] }} }}\nnetworks: {{ net: {{ {base} }} }}\n---\nnetworks: {{ net: {{ {over} }} }}\n"
        );
        check(&text, &environment())
            .map(|it| canonical(&it.name, &it.spec, Values::Shown)["networks"]["net"]["name"].clone())
    };
    assert_eq!(networks("external: { name: a }", "external: true").expect("valid"), "a");
    assert_eq!(networks("external: { name: a }", "external: true, name: b").expect("valid"), "b");
    assert_eq!(networks("name: a", "external: {}").expect("valid"), "a");
    assert!(networks("external: { name: a }", "external: { name: b }").is_err());
    assert!(networks("name: a", "external: { name: b }").is_err());
}

#[test]
fn all_devices_are_asked_for_in_the_words_of_compose_itself() {
    let resolved = resolve(&component("gpus: [{ count: -1 }]"), &environment());
    let web = canonical(&resolved.name, &resolved.spec, Values::Shown)["services"]["web"].clone();
    assert_eq!(web["gpus"][0]["count"], json!(-1));
}

#[test]
fn a_subnet_said_again_is_completed_and_another_takes_its_place() {
    let network = |config: &str| {
        let config = format!(
            "[{{ subnet: 10.1.0.0/24, gateway: 10.1.0.1 }}]\n---\nnetworks: {{ n: {{ ipam: {{ config: [{config}] }} }} }}\n"
        );
        let text = format!(
            "services: {{ web: {{ image: x, networks: [n] }} }}\nnetworks:\n  n:\n    ipam:\n      config: {config}"
        );
        let resolved = resolve(&text, &environment());
        canonical(&resolved.name, &resolved.spec, Values::Shown)["networks"]["n"]["ipam"]["config"].clone()
    };
    let completed = network("{ subnet: 10.1.0.0/24, ip_range: 10.1.0.128/25 }");
    assert_eq!(completed, json!([{ "subnet": "10.1.0.0/24", "gateway": "10.1.0.1", "ip_range": "10.1.0.128/25" }]));
    assert_eq!(network("{ subnet: 10.2.0.0/24 }"), json!([{ "subnet": "10.2.0.0/24" }]));
}

#[test]
fn values_have_their_other_spellings() {
    for (lines, path, is) in [
        ("privileged: yes", "/privileged", json!(true)),
        ("tty: \"on\"", "/tty", json!(true)),
        ("init: n", "/init", json!(false)),
        ("cpu_shares: 0x10", "/cpu_shares", json!(16)),
        ("pids_limit: 1_000", "/pids_limit", json!(1000)),
        ("scale: 2.0", "/deploy/replicas", json!(2)),
        ("mem_limit: \"1 GB\"", "/mem_limit", json!("1073741824")),
        ("stop_grace_period: 1d", "/stop_grace_period", json!("24h0m0s")),
        ("stop_grace_period: 1.5h", "/stop_grace_period", json!("1h30m0s")),
        ("ports: [':443:443']", "/ports/0", json!({ "target": 443, "published": "443", "protocol": "tcp" })),
        ("ports: ['53:53/UDP']", "/ports/0/protocol", json!("udp")),
        ("volumes: ['/a:/b:roz']", "/volumes/0/read_only", Value::Null),
        ("healthcheck: { test: [CMD-SHELL, a, b] }", "/healthcheck/test", json!(["CMD-SHELL", "a", "b"])),
        ("healthcheck: { test: a, retries: 0, interval: 0s }", "/healthcheck/interval", json!("0s")),
        ("volumes_from: ['db:ro']", "/depends_on/db", json!({ "condition": "service_started", "required": true })),
        ("environment: { A: yes, B: 022 }", "/environment", json!({ "A": "yes", "B": "022" })),
    ] {
        let resolved = resolve(&component(lines), &environment());
        let form = canonical(&resolved.name, &resolved.spec, Values::Shown);
        let web = &form["services"]["web"];
        assert_eq!(web.pointer(path).cloned().unwrap_or_default(), is, "{lines}: {web:#}");
    }
}

#[test]
fn what_has_no_effect_is_a_note() {
    for (lines, said) in [
        ("volumes: ['/a:/b:roz']", "`roz` is not an option of a mount and has no effect; `ro,z` was probably meant"),
        ("healthcheck: { test: [CMD-SHELL, a, b] }", "the third word has no effect"),
        ("healthcheck: { test: [NONE, b] }", "behind `NONE` have no effect"),
    ] {
        let notes = resolve(&component(lines), &environment()).notes;
        assert!(notes.iter().any(|note| note.message.contains(said)), "{lines}: {notes:?}");
    }
}

#[test]
fn a_device_is_completed_only_if_it_is_bound() {
    let device = |options: &str| {
        let text = format!("{}volumes: {{ data: {{ driver_opts: {options} }} }}\n", component("volumes: ['data:/d']"));
        let resolved = resolve(&text, &environment());
        resolved.spec.volumes["data"].driver_opts["device"].clone()
    };
    assert_eq!(device("{ type: nfs, o: addr=10.0.0.1, device: ':/export' }"), ":/export");
    assert_eq!(device("{ type: tmpfs, device: tmpfs }"), "tmpfs");
    assert!(device("{ type: none, o: 'rw,bind', device: ./x }").ends_with("shop/x"));
}

#[test]
fn an_include_is_completed_by_the_file_that_includes_it() {
    let directory = TempDir::new().expect("writable");
    let main =
        "include: [db/db.yaml]\nservices:\n  db: { environment: { B: b }, ports: !reset null }\n  web: { image: x }\n";
    let included =
        "services:\n  db: { image: db, environment: { A: a }, ports: ['5432:5432'], volumes: ['./data:/d'] }\n";
    let form = form(&directory, &[("compose.yaml", main), ("db/db.yaml", included)], &environment());
    let db = &form["services"]["db"];
    assert_eq!(db["environment"], json!({ "A": "a", "B": "b" }));
    assert_eq!(db["ports"], Value::Null);
    assert!(db["volumes"][0]["source"].as_str().is_some_and(|source| source.ends_with("/db/data")), "{db:#}");
}

#[test]
fn a_component_may_extend_one_that_is_included() {
    let directory = TempDir::new().expect("writable");
    let main = "include: [web.yaml]\nservices:\n  web: { environment: { B: b } }\n  worker: { extends: web, environment: { C: c } }\n";
    let included = "services: { web: { image: x, environment: { A: a } } }\n";
    let form = form(&directory, &[("compose.yaml", main), ("web.yaml", included)], &environment());
    assert_eq!(form["services"]["worker"]["environment"], json!({ "A": "a", "B": "b", "C": "c" }));
}

#[test]
fn a_component_that_is_not_active_is_refused_only_for_what_compose_refuses() {
    let file = |lines: &str| format!("services:\n  web: {{ image: x }}\n  off: {{ profiles: [p], {lines} }}\n");
    for taken in [
        "image: 'x:${NONE}'",
        "image: X",
        "tty: true",
        "image: x, env_file: none.env",
        "image: x, volumes: [relative]",
        // Whether keys fit together is looked at only when it is to run.
        "image: x, scale: 2, deploy: { replicas: 3 }",
        "image: x, container_name: abc, scale: 2",
        "image: x, network_mode: host, networks: [default]",
        "build: { dockerfile: a, dockerfile_inline: FROM a }",
        "image: x, healthcheck: { test: [a] }",
        "image: x, platform: a/b, build: { context: ., platforms: [c/d] }",
        "image: x, mem_limit: 1g, deploy: { resources: { limits: { memory: 2g } } }",
        "image: x, volumes: ['/a:/x', { type: bind, source: /b, target: /x/ }]",
    ] {
        let resolved = resolve(&file(taken), &environment());
        assert_eq!(resolved.spec.components.len(), 1, "{taken}");
    }
    for refused in ["image: x, foo: bar", "image: x, volumes: [':/x']", "image: '${NONE:?named}'", "image: x, cpus: a"]
    {
        assert!(check(&file(refused), &environment()).is_err(), "{refused}");
    }
}

#[test]
fn two_includes_that_differ_are_refused() {
    let directory = TempDir::new().expect("writable");
    for (name, text) in [
        ("compose.yaml", "include: [a.yaml, b.yaml]\n"),
        ("a.yaml", "services: { db: { image: 'db:1' } }\n"),
        ("b.yaml", "services: { db: { image: 'db:2' } }\n"),
    ] {
        fs::write(directory.path().join(name), text).expect("writable");
    }
    let file = ComposeFile::read(&directory.path().join("compose.yaml")).expect("YAML");
    let error = file.resolve(&environment()).expect_err("two differ");
    assert_eq!(error.message(), "two included files declare `db` differently");
}

#[test]
fn many_aliases_of_few_anchors_are_usual() {
    let components: String = (0..150).map(|index| format!("  c{index}: {{ <<: *base, image: x }}\n")).collect();
    let resolved = resolve(&format!("x-base: &base {{ tty: true }}\nservices:\n{components}"), &environment());
    assert_eq!(resolved.spec.components.len(), 150);
    assert!(resolved.spec.components["c149"].options.tty);
}

#[test]
fn documents_are_merged_in_order() {
    let resolved = resolve(
        "services: { web: { image: x, command: a } }\n---\nservices: { web: { command: b } }\n---\nservices: { web: { tty: true } }\n",
        &environment(),
    );
    let web = &resolved.spec.components["web"];
    assert_eq!((web.command.as_deref(), web.options.tty), (Some(&["b".to_owned()][..]), true));
}

#[test]
fn an_empty_profile_is_active_and_named_ones_take_the_place_of_the_variable_s() {
    let text = "services:\n  a: { image: a, profiles: ['${NONE}'] }\n  b: { image: b, profiles: [b] }\n  c: { image: c, profiles: [c] }\n";
    let there = |options: &ResolveOptions| -> Vec<String> {
        resolve(text, options).spec.components.keys().map(ToString::to_string).collect()
    };
    let variables: Variables = [("COMPOSE_PROFILES", "b")].into_iter().collect();
    let mut options = ResolveOptions { variables, ..environment() };
    assert_eq!(there(&options), ["a", "b"]);
    options.profiles = ["c".to_owned()].into();
    assert_eq!(there(&options), ["a", "c"]);
}

#[test]
fn a_name_is_made_small() {
    for (name, service) in [("My_App", "my-app"), ("My App!", "myapp"), ("\"\"", "shop")] {
        let resolved = resolve(&format!("name: {name}\nservices: {{ web: {{ image: x }} }}\n"), &environment());
        assert_eq!(resolved.name.as_str(), service, "{name}");
    }
}

#[test]
fn what_is_wrong_with_a_component_that_is_not_to_run_is_a_note() {
    let text = "services:\n  web: { image: x, depends_on: [db] }\n  db: { image: db }\n  odd: { image: x, volumes: [workspace] }\n  needs: { image: y, links: [odd] }\n";
    let file = ComposeFile::parse("shop/compose.yaml", text).expect("YAML");
    let name = |name: &str| haddock_core::ComponentName::new(name).expect("valid");
    let mut options = ResolveOptions { only: [name("web")].into(), ..environment() };
    let resolved = file.resolve(&options).expect("`odd` is not to run");
    let there: Vec<String> = resolved.spec.components.keys().map(ToString::to_string).collect();
    assert_eq!(there, ["db", "web"]);
    assert!(resolved.notes.iter().any(|note| note.message.starts_with("`odd` is left out: ")), "{:?}", resolved.notes);
    for wanted in ["odd", "needs"] {
        options.only = [name(wanted)].into();
        let error = file.resolve(&options).expect_err("`odd` is to run");
        assert_eq!(error.message(), "`workspace` is not an absolute path");
    }
    options.only.clear();
    assert!(file.resolve(&options).is_err(), "all are to run");
}

#[test]
fn the_volumes_of_another_are_mounted_too() {
    let text = "services:\n  web: { image: x, volumes: ['/own:/own'], volumes_from: ['db:ro'] }\n  db: { image: db, volumes: ['data:/d', '/other:/own', '/anonymous'], volumes_from: [more] }\n  more: { image: y, volumes: ['/m:/m'] }\nvolumes: { data: }\n";
    let spec = resolve(text, &environment()).spec;
    let mounts = spec.mounts(&spec.components["web"]);
    let shown: Vec<_> = mounts
        .iter()
        .map(|it| format!("{}:{}:{}", it.source.as_deref().unwrap_or(""), it.target, it.read_only))
        .collect();
    assert_eq!(shown, ["/own:/own:false", "data:/d:true", "/m:/m:true"]);
}

#[test]
fn texts_with_the_value_of_a_variable_are_shown_as_they_are_written() {
    let text = "name: shop
services:
  web:
    image: 'x:${TAG}'
    command: serve --password ${PW}
    entrypoint: [run, '--pw=${PW}', plain]
    labels: ['auth=${PW}', 'plain=1']
    annotations: { auth: '${PW}' }
    healthcheck: { test: ['CMD', 'check', '${PW}'] }
    build: { context: ., args: [PW, 'OTHER=${PW}'] }
    logging: { driver: syslog, options: { token: 'a-${PW}' } }
    ports: ['${PORT}:80']
    volumes: ['share:/s']
volumes:
  share: { driver_opts: { type: cifs, o: 'username=me,password=${PW}' } }
";
    let variables: Variables = [("PW", "hunter2!"), ("TAG", "1"), ("PORT", "8080")].into_iter().collect();
    let options = ResolveOptions { variables, ..environment() };
    let resolved = resolve(text, &options);
    let hidden = canonical(&resolved.name, &resolved.spec, Values::Hidden);
    assert!(!hidden.to_string().contains("hunter2"), "{hidden:#}");
    let web = &hidden["services"]["web"];
    assert_eq!(web["command"], json!("serve --password ${PW}"));
    assert_eq!(web["entrypoint"], json!(["run", "--pw=${PW}", "plain"]));
    assert_eq!(web["labels"], json!({ "auth": "${PW}", "plain": "1" }));
    assert_eq!(web["healthcheck"]["test"], json!(["CMD", "check", "${PW}"]));
    assert_eq!(web["build"]["args"], json!({ "PW": "${PW}", "OTHER": "${PW}" }));
    assert_eq!(web["logging"]["options"]["token"], json!("a-${PW}"));
    assert_eq!(hidden["volumes"]["share"]["driver_opts"]["o"], json!("username=me,password=${PW}"));
    // What is no secret by its kind is shown.
    assert_eq!((&web["image"], &web["ports"][0]["published"]), (&json!("x:1"), &json!("8080")));
    let shown = canonical(&resolved.name, &resolved.spec, Values::Shown);
    assert_eq!(shown["services"]["web"]["command"], json!(["serve", "--password", "hunter2!"]));
    assert!(to_yaml(&hidden).contains("command: serve --password ${PW}"), "{}", to_yaml(&hidden));
}

#[test]
fn what_the_engine_can_do_is_handed_on() {
    for (said, path, is) in [
        ("pull_policy: daily", "/pull_policy", json!("daily")),
        ("pull_policy: every_1d12h", "/pull_policy", json!("every_1d12h")),
        ("network_mode: proxy-net", "/network_mode", json!("proxy-net")),
        ("network_mode: default", "/network_mode", json!("default")),
        ("volumes_from: ['container:old:ro']", "/volumes_from", json!(["container:old:ro"])),
        ("use_api_socket: true", "/use_api_socket", json!(true)),
        ("stop_signal: sigterm", "/stop_signal", json!("sigterm")),
        ("group_add: [mail, 999]", "/group_add", json!(["mail", "999"])),
        ("environment: ['a b=c']", "/environment/a b", json!("c")),
        ("build: { context: /x, provenance: true, sbom: no, ssh: [default] }", "/build/ssh", json!(["default"])),
        ("build: { context: /x, additional_contexts: ['a=/y'] }", "/build/additional_contexts/a", json!("/y")),
        ("labels: { 'a.$$b': c }", "/labels/a.$$$$b", json!("c")),
        ("logging: { driver: syslog, options: { tag: } }", "/logging/options/tag", json!("")),
        (
            "blkio_config: { weight: 300, device_read_bps: [{ path: /dev/a, rate: 1k }] }",
            "/blkio_config/device_read_bps/0/Rate",
            json!("1024"),
        ),
        (
            "volumes: [{ type: bind, source: /a, target: /b, bind: { recursive: disabled } }]",
            "/volumes/0/bind/recursive",
            json!("disabled"),
        ),
        (
            "tmpfs: /t\nvolumes: [{ type: image, source: a, target: /b, image: { subpath: c } }]",
            "/volumes/0/image/subpath",
            json!("c"),
        ),
    ] {
        let resolved = resolve(&component(said), &environment());
        let form = canonical(&resolved.name, &resolved.spec, Values::Shown);
        let web = &form["services"]["web"];
        assert_eq!(web.pointer(path).cloned().unwrap_or_default(), is, "{said}: {web:#}");
    }
    let volume = "volumes: [{ type: volume, source: data, target: /b, volume: { subpath: c, labels: [d=e] } }]";
    let resolved = resolve(&format!("{}volumes: {{ data: }}\n", component(volume)), &environment());
    let form = canonical(&resolved.name, &resolved.spec, Values::Shown);
    assert_eq!(form["services"]["web"]["volumes"][0]["volume"], json!({ "subpath": "c", "labels": { "d": "e" } }));
}

#[test]
fn a_later_file_counts_where_both_name_the_same() {
    for (base, over, path, is) in [
        (
            "depends_on: { b: { condition: service_started, required: false } }",
            "depends_on: [b]",
            "/depends_on/b/required",
            json!(true),
        ),
        ("environment: { A: b }", "environment: [A]", "/environment", Value::Null),
        ("labels: { a: b }", "labels: [a]", "/labels/a", json!("")),
    ] {
        let web = merged(base, over);
        assert_eq!(web.pointer(path).cloned().unwrap_or_default(), is, "{base} + {over}: {web:#}");
    }
    // Each file of variables is read where it was named first.
    let directory = TempDir::new().expect("writable");
    let file = |of: &str| format!("services:\n  web:\n    image: x\n    env_file: {of}\n");
    let (base, over) = (file("[e.env, f.env]"), file("[{ path: e.env, required: false }]"));
    let files = [("compose.yaml", base.as_str()), ("compose.over.yaml", &over), ("e.env", "A=e"), ("f.env", "A=f")];
    assert_eq!(form(&directory, &files, &environment())["services"]["web"]["environment"]["A"], "f");
}

#[test]
fn what_compose_refuses_is_refused() {
    for said in [
        "depends_on: { nope: { condition: service_started, required: false } }",
        "develop: { watch: [{ action: sync }] }",
        "develop: { watch: [{ path: ., action: dance }] }",
        "devices: [{ source: /dev/a }]",
        "env_file: { path: .env }",
        "environment: ['A = b']",
        "oom_score_adj: 2000",
        "volumes: [{ type: tmpfs, target: /a, tmpfs: { size: -1 } }]",
        "volumes_from: [web, web]",
        "build: { context: ., additional_contexts: { a: 'service:web2' } }",
        "build: { dockerfile: a, dockerfile_inline: FROM a }",
        "secrets: [s] | secrets: { s: { content: a } }",
        "volumes: ['data:/a'] | volumes: { data: { external: true, driver: local } }",
        "command: a | name: '${NO_NAME}'",
        "command: a | x-other: { a: ['${NONE:?needed}'] }",
        "x-other: '${NONE'",
        "command: [\"${NONE:-a\\nb}\"]",
        "volumes: ['/a:/x', { type: bind, source: /b, target: /x/ }]",
        "group_add: [1, 1]",
        "container_name: abc\nscale: 2",
        "mem_limit: 1g\ndeploy: { resources: { limits: { memory: 2g } } }",
        "mem_limit: 1g\ndeploy: { resources: { limits: { cpus: '1' } } }",
        "mem_reservation: 1g\ndeploy: { resources: { reservations: { memory: 2g } } }",
        "cpus: 1\ndeploy: { resources: { limits: { cpus: '2' } } }",
        "pids_limit: 1\ndeploy: { resources: { limits: { pids: 2 } } }",
    ] {
        let (of_web, of_file) = said.split_once(" | ").unwrap_or((said, ""));
        let errors = check(&format!("{}{of_file}\n", component(of_web)), &environment()).expect_err(said);
        assert!(errors.iter().any(|error| error.lost_in_compose().is_none()), "{said}: {errors:?}");
    }
}

#[test]
fn a_stricter_refusal_says_what_is_lost() {
    for (said, lost) in [
        ("command: a && b", "the rest of the command"),
        ("restart: sometimes", "the engine refuses it"),
        ("stop_signal: x", "the engine refuses it"),
        ("healthcheck: { test: '' }", "the check"),
        ("volumes: ['./a:b']", "the engine refuses it"),
        ("volumes: [':']", "the engine refuses it"),
        ("container_name: _web", "the engine refuses it"),
        ("provider: { type: x }", "what it asks for"),
    ] {
        let errors = check(&component(said), &environment()).expect_err(said);
        assert!(errors[0].lost_in_compose().is_some_and(|it| it.starts_with(lost)), "{said}: {errors:?}");
    }
}

#[test]
fn an_include_may_name_no_file_of_variables() {
    let directory = TempDir::new().expect("writable");
    let text = "include: [{ path: inc/inner.yaml, env_file: /dev/null, project_directory: nowhere }]\nservices: { web: { image: x } }";
    let files = [("compose.yaml", text), ("inc/inner.yaml", "services: { db: { image: d, volumes: ['./a:/b'] } }")];
    let source = form(&directory, &files, &environment())["services"]["db"]["volumes"][0]["source"].clone();
    assert_eq!(source, json!(directory.path().join("a").display().to_string()));
}

#[test]
fn names_may_begin_with_any_of_their_characters() {
    let text = "services: { _base: { image: a }, -x: { image: b, depends_on: [_base] } }\nnetworks: { x-a: }\nvolumes: { x-b: }";
    assert_eq!(resolve(text, &environment()).spec.components.len(), 2);
}

#[test]
fn a_variable_in_a_key_is_told_and_kept_as_it_is() {
    let resolved = resolve(&component("labels: { 'router.${NAME}.rule': a }"), &environment());
    assert_eq!(resolved.spec.components["web"].labels["router.${NAME}.rule"], "a");
    assert!(resolved.notes.iter().any(|note| note.message.starts_with("in a key no variable")), "{:?}", resolved.notes);
}
