//! The demo application's image on a real engine. Without one the test says so and passes, unless
//! `HADDOCK_TEST_REQUIRE` is set.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HealthConfig, HealthStatusEnum, HostConfig, PortBinding};
use bollard::query_parameters::{RemoveContainerOptionsBuilder, StopContainerOptionsBuilder};
use haddock_examples::client::{Options, run};
use haddock_examples::image;
use tokio::sync::mpsc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_image_answers_with_its_version_and_ends_at_once() {
    let Some(docker) = engine().await else { return };
    let version = format!("test{}", std::process::id());
    let binary = image::build_binary().await.unwrap();
    let reference = image::make(&docker, &binary, &version).await.unwrap();
    let port = format!("{}/tcp", image::PORT);
    let body = ContainerCreateBody {
        image: Some(reference.clone()),
        labels: Some(HashMap::from([(image::LABEL.into(), version.clone())])),
        host_config: Some(HostConfig {
            port_bindings: Some(HashMap::from([(
                port.clone(),
                Some(vec![PortBinding { host_ip: Some("127.0.0.1".into()), host_port: None }]),
            )])),
            ..HostConfig::default()
        }),
        // The application asks itself: the image has nothing else in it.
        healthcheck: Some(HealthConfig {
            test: Some(["CMD", "/app", "check"].map(str::to_owned).to_vec()),
            interval: Some(200_000_000),
            ..HealthConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let container =
        docker.create_container(None::<bollard::query_parameters::CreateContainerOptions>, body).await.unwrap().id;
    // Whatever fails, container and image are removed before the test does.
    let outcome = try_it(&docker, &container, &port).await;
    let force = RemoveContainerOptionsBuilder::default().force(true).build();
    docker.remove_container(&container, Some(force)).await.unwrap();
    image::remove(&docker, &version).await.unwrap();
    image::remove(&docker, &version).await.expect("removing twice is fine");
    assert!(docker.inspect_image(&reference).await.is_err());
    let (begun, exit_code) = outcome.unwrap();
    assert_eq!(begun.keys().collect::<Vec<_>>(), [&version]);
    assert_eq!(exit_code, Some(0), "it minds SIGTERM although it is process 1");
}

type Outcome = (std::collections::BTreeMap<String, u64>, Option<i64>);

async fn try_it(docker: &Docker, container: &str, port: &str) -> Result<Outcome, Box<dyn std::error::Error>> {
    docker.start_container(container, None::<bollard::query_parameters::StartContainerOptions>).await?;
    let seen = docker.inspect_container(container, None::<bollard::query_parameters::InspectContainerOptions>).await?;
    let ports = seen.network_settings.and_then(|settings| settings.ports).ok_or("no ports")?;
    let binding = ports.get(port).cloned().flatten().and_then(|bindings| bindings.into_iter().next());
    let host_port: u16 = binding.and_then(|binding| binding.host_port).ok_or("no published port")?.parse()?;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], host_port));
    tokio::time::timeout(Duration::from_secs(20), answers(address)).await?;

    let (command, commands) = mpsc::unbounded_channel();
    let (reports, mut seen) = mpsc::unbounded_channel();
    let options = Options { sessions: 10, ..Options::new(address) };
    let running = tokio::spawn(run(options, commands, reports));
    tokio::time::timeout(Duration::from_secs(20), async {
        while seen.recv().await.is_some_and(|report| report.sessions < 10) {}
    })
    .await?;
    drop(command);
    let summary = running.await?;
    assert!(summary.is_clean(), "{summary:#?}");

    tokio::time::timeout(Duration::from_secs(20), healthy(docker, container)).await?;
    docker.stop_container(container, Some(StopContainerOptionsBuilder::default().t(10).build())).await?;
    let ended = docker.inspect_container(container, None::<bollard::query_parameters::InspectContainerOptions>).await?;
    Ok((summary.begun_by_version, ended.state.and_then(|state| state.exit_code)))
}

/// Waits until the engine's own check has found it healthy.
async fn healthy(docker: &Docker, container: &str) {
    loop {
        let seen =
            docker.inspect_container(container, None::<bollard::query_parameters::InspectContainerOptions>).await;
        let health = seen.ok().and_then(|seen| seen.state?.health?.status);
        if health == Some(HealthStatusEnum::HEALTHY) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Waits until the application answers: the engine's own proxy takes connections before.
async fn answers(address: std::net::SocketAddr) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    loop {
        if let Ok(mut stream) = tokio::net::TcpStream::connect(address).await {
            let _ = stream.write_all(b"GET /health HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n\r\n").await;
            let mut answer = String::new();
            if stream.read_to_string(&mut answer).await.is_ok() && answer.starts_with("HTTP/1.1 200") {
                return;
            }
        }
        tokio::task::yield_now().await;
    }
}

async fn engine() -> Option<Docker> {
    let docker = Docker::connect_with_local_defaults().ok();
    if let Some(docker) = docker
        && docker.ping().await.is_ok()
    {
        return Some(docker);
    }
    assert!(
        std::env::var_os("HADDOCK_TEST_REQUIRE").is_none(),
        "no Docker engine answers, and HADDOCK_TEST_REQUIRE is set"
    );
    eprintln!("SKIPPED: no Docker engine answers");
    None
}
