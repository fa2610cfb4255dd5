//! The time of a release on Docker, beside the floor: the same container created, started and probed by raw calls.
//!
//! ```text
//! cargo run --release --example bench_release -- [--rounds 7] [--json]
//! ```
//!
//! A round is one release and one floor, in turn. A release is counted from its request until the whole share of the
//! new sessions is in force on the gateway, with `ramp: [100%]`: pull, network, create, start, probe, list, give, and a
//! commit of the journal to the disk for each. The floor is what an engine takes for create, start and the first
//! probe that succeeds; once on the engine's default bridge, once on a network made for it, as an instance has it.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig, NetworkCreateRequest};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use clap::Parser;
use haddock_core::controller::{Controller, ReleaseOptions, Service};
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
use haddock_core::environment::launch::teardown;
use haddock_core::environment::probe::Probe;
use haddock_core::environment::store::SpecStore;
use haddock_core::journal::Journal as _;
use haddock_core::journal::sqlite::SqliteJournal;
use haddock_core::locator::gateway::Gateway;
use haddock_core::release::Event;
use haddock_core::runtime::docker::DockerRuntime;
use haddock_examples::image;
use haddock_examples::show::told;

const COMPOSE: &str = r#"
name: bench
services:
  web:
    image: "haddock-demo:${TAG}"
    environment: { VERSION: "${TAG}" }
    expose: ["8080"]
    stop_grace_period: 1s
x-haddock:
  entry: web:8080
  ready: { http: /health, within: 30s }
  session: { idle: 1s }
  release: { ramp: [100%], every: 1ms, settle: 1ms }
"#;

#[derive(Debug, Parser)]
struct Options {
    /// Releases, and floors.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// One line of JSON at the end.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    let docker = Docker::connect_with_defaults().map_err(io::Error::other)?;
    let binary = image::build_binary().await?;
    let image = image::make(&docker, &binary, "bench").await?;
    let measured = measure(&docker, &image, options.rounds).await;
    image::remove(&docker, "bench").await?;
    let [bridge, network, release] = measured?;
    let over = |floor: f64| release / floor;
    let mut out = io::stdout().lock();
    writeln!(out, "medians of {} rounds:", options.rounds)?;
    writeln!(out, "  floor, default bridge     {bridge:7.1} ms")?;
    writeln!(out, "  floor, network of its own {network:7.1} ms")?;
    writeln!(out, "  release, share in force   {release:7.1} ms")?;
    writeln!(out, "  release over the floors   {:.2} and {:.2}", over(bridge), over(network))?;
    if options.json {
        let line = serde_json::json!({
            "floor_bridge_ms": bridge, "floor_network_ms": network, "release_ms": release,
            "ratio_bridge": over(bridge), "ratio_network": over(network),
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

async fn measure(docker: &Docker, image: &str, rounds: usize) -> io::Result<[f64; 3]> {
    let folder = tempfile::tempdir()?;
    let runtime = Arc::new(DockerRuntime::connect(None).await.map_err(told)?);
    let journal = Arc::new(SqliteJournal::open(folder.path().join("journal.db")).map_err(told)?);
    let specs = SpecStore::directory(folder.path().join("specs")).map_err(told)?;
    let gateway = Gateway::builder().state_dir(folder.path().join("gateway")).start().await.map_err(told)?;
    let controller = Controller::builder(runtime.clone(), gateway.locator(), journal.clone(), specs).build();
    let options = ResolveOptions { tag: Some("bench".into()), purpose: Purpose::Release, ..ResolveOptions::default() };
    let spec = ComposeFile::parse("bench.yaml", COMPOSE).and_then(|file| file.resolve(&options)).map_err(told)?.spec;
    let service = controller.service(spec.service().map_err(told)?.service.clone());
    let acting = service.act().await.map_err(told)?;

    let mut figures = [const { Vec::new() }; 3];
    for round in 0..=rounds {
        let bridge = floor(docker, image, None).await?;
        let network = floor(docker, image, Some("haddock-bench-floor")).await?;
        let release = release(&service, &spec).await?;
        // The first round warms caches up.
        if round > 0 {
            for (all, figure) in figures.iter_mut().zip([bridge, network, release]) {
                all.push(figure.as_secs_f64() * 1000.0);
            }
        }
    }
    acting.stop().await.map_err(told)?;
    let state = service.status().await.map_err(told)?.map(|status| status.state);
    for instance in state.iter().flat_map(|state| state.instances.keys()) {
        teardown(&*runtime, journal.id(), instance).await.map_err(told)?;
    }
    Ok(figures.map(median))
}

/// From the request until the share is in force; afterwards the version before is waited for to be gone.
async fn release(service: &Service, spec: &haddock_core::environment::EnvironmentSpec) -> io::Result<Duration> {
    let begun = Instant::now();
    let mut events = service.events_from_now().await.map_err(told)?;
    // The same image each time: without force there would be nothing to do.
    let options = ReleaseOptions { force: true, ..ReleaseOptions::default() };
    let release = service.release_with(spec, "bench", options).await.map_err(told)?;
    let took = 'served: loop {
        for recorded in events.next().await.map_err(told)? {
            if matches!(recorded.event, Event::InstanceServing { .. }) {
                break 'served begun.elapsed();
            }
        }
    };
    release.gone().await.map_err(told)?;
    Ok(took)
}

/// Create, start and probe by raw calls.
async fn floor(docker: &Docker, image: &str, network: Option<&str>) -> io::Result<Duration> {
    let begun = Instant::now();
    if let Some(network) = network {
        let request = NetworkCreateRequest { name: network.into(), ..NetworkCreateRequest::default() };
        docker.create_network(request).await.map_err(io::Error::other)?;
    }
    let body = ContainerCreateBody {
        image: Some(image.into()),
        host_config: Some(HostConfig { network_mode: network.map(str::to_owned), ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    };
    let name = CreateContainerOptionsBuilder::default().name("haddock-bench-floor").build();
    let id = docker.create_container(Some(name), body).await.map_err(io::Error::other)?.id;
    docker.start_container(&id, None).await.map_err(io::Error::other)?;
    let inspected = docker.inspect_container(&id, None).await.map_err(io::Error::other)?;
    let networks = inspected.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let ip = networks.into_values().find_map(|endpoint| endpoint.ip_address?.parse().ok());
    let ip = ip.ok_or_else(|| io::Error::other("the container has no address"))?;
    let probe = Probe { http: Some("/health".into()), ..Probe::tcp(SocketAddr::new(ip, image::PORT)) };
    while probe.once(Duration::from_secs(1)).await.is_err() {
        tokio::task::yield_now().await;
    }
    let took = begun.elapsed();
    let force = RemoveContainerOptionsBuilder::default().force(true).build();
    docker.remove_container(&id, Some(force)).await.map_err(io::Error::other)?;
    if let Some(network) = network {
        docker.remove_network(network).await.map_err(io::Error::other)?;
    }
    Ok(took)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
