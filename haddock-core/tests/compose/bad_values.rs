//! Values that cannot be read, and parts that do not fit together.

use super::{component, environment, release, settings, table};

#[test]
fn images() {
    let image = |image: &str| format!("services:\n  web:\n    image: {image}\n    expose: [80]\n");
    let shown = table(
        &[
            ("upper case", image("Shop:1")),
            ("empty", image("\"\"")),
            ("null", image("")),
            ("a list", image("[shop]")),
            ("a scheme", image("https://registry.local/shop")),
            ("no tag set", image("registry.local:5000/shop:${TAG}")),
            ("no registry set", image("${REGISTRY}/shop:${TAG}")),
            ("a required variable", image("shop:${VERSION:?name the version}")),
            ("a bad variable", image("shop:${VERSION")),
            ("a branch as tag", image("shop:${TAG:-feature/login}")),
        ],
        &environment(),
    );
    insta::assert_snapshot!(shown);
}

#[test]
fn values_of_components() {
    let shown = table(
        &[
            ("command, an open quote", component("command: sh -c 'sleep 1")),
            ("command, two commands", component("command: migrate && serve")),
            ("command, a redirection", component("command: serve 2>/dev/null")),
            ("entrypoint, a mapping", component("entrypoint: { a: b }")),
            ("command, a list in a list", component("command: [[a]]")),
            ("environment, a text", component("environment: A=1")),
            ("environment, null", component("environment:")),
            ("environment, a mapping in it", component("environment: { A: { B: 1 } }")),
            ("environment, a mapping in a list", component("environment: [A: 1]")),
            ("environment, no name", component("environment: [\"=1\"]")),
            ("environment, a space behind the name", component("environment: ['MY VAR =1']")),
            ("env_file, missing", component("env_file: web.env")),
            ("env_file, no path", component("env_file: [{ required: false }]")),
            ("env_file, required", component("env_file: [{ path: web.env, required: sometimes }]")),
            ("env_file, format", component("env_file: [{ path: web.env, format: json }]")),
            (
                "container_name, twice",
                component("container_name: shop\n  till: { image: t, container_name: shop }")
                    .replace("      till", "  till"),
            ),
            ("volumes, a path of Windows", component("volumes: [{ type: bind, source: 'C:\\shop', target: /shop }]")),
            ("expose, a name", component("expose: [http]")),
            ("expose, a text", component("expose: 80")),
            ("expose, too large", component("expose: [65536]")),
            ("gpus, some", component("gpus: some")),
            (
                "external, a driver",
                format!(
                    "{}volumes: {{ data: {{ external: {{ name: d, driver: e }} }} }}\n",
                    component("volumes: [data:/data]")
                ),
            ),
            ("gpus, a count and ids", component("gpus: [{ count: 1, device_ids: [a] }]")),
            (
                "devices, no capabilities",
                component("deploy: { resources: { reservations: { devices: [{ count: few }] } } }"),
            ),
            ("ports, zero", component("ports: [\"0\"]")),
            ("ports, an unknown protocol", component("ports: [\"80/http\"]")),
            ("ports, no container port", component("ports: [\"80:\"]")),
            ("ports, a host's name", component("ports: [\"localhost:8080:80\"]")),
            ("ports, twice", component("ports: [\"8080:80\", \"8080:81\"]")),
            ("ports, long, no target", component("ports: [{ published: 8080 }]")),
            (
                "ports, long, values",
                component("ports: [{ target: x, published: 8080-8090, host_ip: here, protocol: udp }]"),
            ),
            ("ports, a mapping", component("ports: { a: b }")),
            ("depends_on, unknown", component("depends_on: [wbe]")),
            ("depends_on, itself", component("depends_on: [web]")),
            ("depends_on, a text", component("depends_on: db")),
            ("depends_on, twice", component("depends_on: [db, db]")),
            ("depends_on, a condition", component("depends_on: { db: { condition: healthy } }")),
            ("depends_on, null", component("depends_on: { db: }")),
            ("links, unknown", component("links: [\"orcale:db\"]")),
            ("links, a bad alias", component("links: [\"web:my db\"]")),
            ("links, no alias", component("links: [\"web:\"]")),
            ("links, an alias twice", component("links: [\"web:a\", \"db:a\"]")),
            ("health check, empty test", component("healthcheck: { test: \"\" }")),
            ("health check, no CMD", component("healthcheck: { test: [curl, -f, localhost] }")),
            ("health check, CMD alone", component("healthcheck: { test: [CMD] }")),
            ("health check, disable", component("healthcheck: { disable: maybe }")),
            ("health check, no unit", component("healthcheck: { test: a, interval: 30 }")),
            ("health check, too short", component("healthcheck: { test: a, timeout: 10us }")),
            ("health check, retries in words", component("healthcheck: { test: a, retries: three }")),
            ("expose, a range backwards", component("expose: [\"3010-3000\"]")),
            ("ports, ranges of two lengths", component("ports: [\"3000-3005:3000-3004\"]")),
            ("depends_on, no condition", component("depends_on: { db: { restart: true } }")),
            ("environment, an open brace", component("environment: { PASSWORD: \"pa$${w0rd${\" }")),
            ("volumes, nothing before the colon", component("volumes: [\":/data\"]")),
            ("volumes, a relative target", component("volumes: [\"data:x\"]")),
            ("volumes, not declared", component("volumes: [\"data:/x\"]")),
            ("volumes, no type", component("volumes: [{ target: /x }]")),
            ("volumes, a bind without source", component("volumes: [{ type: bind, target: /x }]")),
            ("volumes, a tmpfs at the same place", component("volumes: [\"/x\"]\ntmpfs: /x")),
            ("networks, not declared", component("networks: [front]")),
            ("networks, and a mode", component("networks: [default]\nnetwork_mode: host")),
            ("networks, a bad address", component("networks: { default: { ipv4_address: here } }")),
            ("network_mode", component("network_mode: \"pod:x\"")),
            ("network_mode, unknown", component("network_mode: \"service:wbe\"")),
            ("secrets, not declared", component("secrets: [password]")),
            ("secrets, no source", component("secrets: [{ target: /x }]")),
            ("configs, a bad mode", component("configs: [{ source: a, mode: rw }]")),
            ("user, a number", component("user: 1000")),
            ("cap_add, a text", component("cap_add: NET_ADMIN")),
            ("group_add, twice", component("group_add: [mail, mail]")),
            ("mem_limit", component("mem_limit: much")),
            ("cpus", component("cpus: many")),
            ("ulimits, half", component("ulimits: { nofile: { soft: 1 } }")),
            ("extra_hosts", component("extra_hosts: [db]")),
            ("devices", component("devices: [\"/a:/b:rwx\"]")),
            ("tty", component("tty: maybe")),
            ("container_name", component("container_name: \"my shop\"")),
            ("platform, not built for", component("platform: linux/arm64\nbuild: { platforms: [linux/amd64] }")),
            ("build, an undeclared secret", component("build: { context: ., secrets: [a] }")),
            ("deploy, placement", component("deploy: { placement: { nodes: 1 } }")),
            ("init, null", component("init:")),
            ("labels, ours", component("labels: { haddock.journal: mine }")),
            ("labels, ours in a list", component("labels: [haddock.spec=1]")),
            ("labels, after letters of several bytes", component("labels: { größe: 1, haddock.x: 2 }")),
            ("labels, no name", component("labels: [\"=1\"]")),
            ("labels, a text", component("labels: a=b")),
            ("stop_grace_period", component("stop_grace_period: 1 minute")),
            ("stop_signal", component("stop_signal: please")),
            ("stop_signal, zero", component("stop_signal: 0")),
            ("restart", component("restart: on-crash")),
            ("restart, times", component("restart: \"on-failure:often\"")),
        ],
        &environment(),
    );
    insta::assert_snapshot!(shown);
}

#[test]
fn values_of_settings() {
    let shown = table(
        &[
            ("x-haddock, null", "services:\n  web: { image: a, expose: [80] }\nx-haddock:\n".into()),
            ("service", settings("service: My Shop")),
            ("service, too long", settings(&format!("service: {}", "a".repeat(41)))),
            ("entry, no port", settings("entry: web")),
            ("entry, a bad port", settings("entry: web:http")),
            ("entry, no component", settings("entry: wep:80")),
            ("ready, no slash", settings("ready: health")),
            ("ready, a query", settings("ready: /health?deep=1")),
            ("ready, a list", settings("ready: [/health]")),
            ("ready, within", settings("ready: { http: /health, within: soon }")),
            ("ready, within zero", settings("ready: { http: /health, within: 0s }")),
            ("production, no component", settings("production: { links: { db: \"tcp://db:5432\" }, without: [wb] }")),
            ("production, the entry", settings("entry: web:80\nproduction: { without: [web] }")),
            ("production, no target", settings("production: { links: { web: db.internal } }")),
            ("production, a password", settings("production: { links: { web: \"tcp://me:hunter2@db:5432\" } }")),
            ("production, itself", settings("production: { links: { web: \"tcp://localhost:5432\" } }")),
            ("production, variables", settings("production: { variables: { web: [A=b] } }")),
            ("session, idle", settings("session: { idle: 30 }")),
            ("session, idle zero", settings("session: { idle: 0s }")),
            ("session, idle too fine", settings("session: { idle: 1500us }")),
            ("session, ignore", settings("session: { ignore: [health, /ok] }")),
            ("session, ignore a text", settings("session: { ignore: /health }")),
            ("session, same_site", settings("session: { same_site: Lax }")),
            ("session, domain with a port", settings("session: { domain: 'example.com:8443' }")),
            ("session, domain empty", settings("session: { domain: . }")),
            ("session, path", settings("session: { path: app }")),
            ("session, path with a semicolon", settings("session: { path: /app;x }")),
            ("session, partitioned", settings("session: { partitioned: sometimes }")),
            ("shared, unknown", settings("shared: [orcale]")),
            ("shared, a text", settings("shared: web")),
            ("replicas", settings("release: { replicas: 0 }")),
            ("replicas, a part", settings("release: { replicas: 1.5 }")),
            ("ramp, a number", settings("release: { ramp: [10, 50, 100] }")),
            ("ramp, no end", settings("release: { ramp: [10%, 50%] }")),
            ("ramp, empty", settings("release: { ramp: [] }")),
            ("ramp, shrinking", settings("release: { ramp: [10%, 5%, 100%] }")),
            ("ramp, standing", settings("release: { ramp: [10%, 10%, 100%] }")),
            ("ramp, zero", settings("release: { ramp: [0%, 100%] }")),
            ("ramp, too much", settings("release: { ramp: [50%, 150%] }")),
            ("ramp, a stage without a share", settings("release: { ramp: [{ every: 1m }, 100%] }")),
            ("ramp, a stage of other keys", settings("release: { ramp: [{ share: 10%, for: 1m }, 100%] }")),
            (
                "ramp, the last stage waits",
                settings("release: { ramp: [10%, { share: 100%, every: 1m, gate: hold }] }"),
            ),
            ("ramp, a gate", settings("release: { ramp: [{ share: 10%, gate: closed, after: few }, 100%] }")),
            ("ramp, a list in a list", settings("release: { ramp: [[10%], 100%] }")),
            ("ramp, auto and time", settings("release: { ramp: auto, every: 10m, after: 200 sessions }")),
            ("ramp, automatic", settings("release: { ramp: automatic }")),
            ("harm_budget, zero", settings("release: { ramp: auto, harm_budget: 0 }")),
            ("harm_budget, with stages", settings("release: { ramp: [10%, 100%], harm_budget: 5 }")),
            ("harm_budget, alone", settings("release: { harm_budget: 5 }")),
            ("after, none", settings("release: { after: 0 sessions }")),
            ("after, a part", settings("release: { after: 1.5 }")),
            ("after, a time", settings("release: { after: 10m }")),
            ("guard, off", settings("guard: off")),
            ("guard, a key of release", settings("guard: { tolerance: 1% }")),
            ("guard, acts", settings("guard: { acts: later }")),
            ("guard, false_alarm zero", settings("guard: { false_alarm: 0 }")),
            ("guard, false_alarm certain", settings("guard: { false_alarm: 100% }")),
            ("guard, tolerate without a unit", settings("guard: { tolerate: 1 }")),
            ("guard, tolerate all", settings("guard: { tolerate: 100% }")),
            ("guard, at_most", settings("guard: { at_most: few }")),
            ("failed, a class", settings("guard: { failed: { status: [6xx], except: [50] } }")),
            ("failed, a range backwards", settings("guard: { failed: { status: [504-500] } }")),
            ("failed, one status", settings("guard: { failed: { status: 500 } }")),
            ("failed, paths", settings("guard: { failed: { paths: [shop, '/a?b'], except_paths: [x] } }")),
            ("failed, a header with a value", settings("guard: { failed: { header: 'X-Failed: 1' } }")),
            ("failed, an empty header", settings("guard: { failed: { header: '' } }")),
            ("failed, a key", settings("guard: { failed: { code: [500] } }")),
            ("slow, no unit", settings("guard: { slow: 2 }")),
            ("slow, zero", settings("guard: { slow: 0s }")),
            ("slow, tolerance alone", settings("guard: { slow: { tolerate: 5% } }")),
            ("ramp, one text", settings("release: { ramp: 10% }")),
            ("every", settings("release: { ramp: [100%], every: often }")),
            ("settle", settings("release: { settle: 10 }")),
            ("drain", settings("release: { drain: 1h }")),
            ("evict_after", settings("release: { drain: { evict_after: never } }")),
            ("evict_after, zero", settings("release: { drain: { evict_after: 0s } }")),
            ("queue", settings("release: { queue: oldest }")),
            ("max_versions", settings("release: { max_versions: 1 }")),
            ("unresponsive_for", settings("release: { unresponsive_for: 5 }")),
            ("before, no component", settings("release: { before: migrat }")),
            ("before, the entry", settings("entry: web:80\nrelease: { before: web }")),
            ("before, without one", settings("release: { before: { within: 1h } }")),
            ("before, zero", settings("release: { before: { component: web, within: 0s } }")),
            ("hooks, unknown", settings("release: { hooks: { started: \"true\" } }")),
            ("hooks, a text", settings("release: { hooks: drain.sh }")),
            ("hooks, no command", settings("release: { hooks: { serving: { within: 5s } } }")),
            ("hooks, an empty command", settings("release: { hooks: { serving: \"\" } }")),
            ("hooks, a number", settings("release: { hooks: { draining: 5 } }")),
            ("hooks, no component", settings("release: { hooks: { draining: { component: wep, command: stop } } }")),
            ("notify, a text", settings("notify: \"https://example.com\"")),
            ("notify, empty", settings("notify: [\"\"]")),
            ("health_interval", settings("health_interval: 30")),
        ],
        &environment(),
    );
    insta::assert_snapshot!(shown);
}

#[test]
fn components_that_do_not_fit_together() {
    let shown = table(
        &[
            ("no port", "services:\n  web: { image: a }\n".into()),
            ("two ports", "services:\n  web: { image: a, ports: [\"80\", \"443\"] }\n".into()),
            ("two components with ports", "services:\n  web: { image: a, ports: [\"80\"] }\n  db: { image: a, ports: [\"5432\"] }\n".into()),
            ("two components with expose", "services:\n  web: { image: a, expose: [80] }\n  db: { image: a, expose: [5432] }\n".into()),
            ("before, shared", "services:\n  web: { image: \"a:${TAG}\", ports: [\"80\"] }\n  m: { image: a }\nx-haddock: { shared: [m], release: { before: m } }\n".into()),
            ("before, needs the version", "services:\n  web: { image: \"a:${TAG}\", ports: [\"80\"] }\n  m: { image: a, depends_on: [web] }\nx-haddock: { release: { before: m } }\n".into()),
            ("a hook in what is shared", "services:\n  web: { image: \"a:${TAG}\", ports: [\"80\"] }\n  db: { image: a }\nx-haddock: { release: { hooks: { serving: { component: db, command: x } } } }\n".into()),
            ("a cycle", "services:\n  a: { image: x, expose: [80], depends_on: [b] }\n  b: { image: x, links: [c] }\n  c: { image: x, depends_on: [a] }\n  d: { image: x, depends_on: [a] }\n".into()),
        ],
        &release()
    );
    insta::assert_snapshot!(shown);
}

#[test]
fn what_a_release_cannot_do() {
    let shown = table(
        &[
            ("a fixed port", "services:\n  web:\n    image: shop:${TAG}\n    ports: [\"8080:80\"]\n".into()),
            ("a shared entry", "services:\n  web:\n    image: shop:1\n    ports: [\"80\"]\n".into()),
            (
                "a shared component that needs a versioned one",
                "services:\n  web: { image: \"shop:${TAG}\", ports: [\"80\"] }\n  db:\n    image: db\n    depends_on: [web]\n".into(),
            ),
            (
                "a listed component that links to a versioned one",
                "services:\n  web: { image: \"shop:${TAG}\", ports: [\"80\"] }\n  mail:\n    image: mail\n    links: [web]\nx-haddock:\n  shared: [mail]\n".into(),
            ),
        ],
        &release()
    );
    insta::assert_snapshot!(shown);
}
