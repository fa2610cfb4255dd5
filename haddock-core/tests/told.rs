//! The component that runs before a version, hooks, and notifications: through a controller whose runtime is simulated,
//! with real receivers.
#![allow(missing_docs)]

mod site;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use haddock_core::ErrorKind;
use haddock_core::container::{Container, ExecSpec, Executed};
use haddock_core::controller::Service;
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions, Variables};
use haddock_core::release::Event;
use haddock_core::runtime::sim::{SimImage, SimRuntime};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const FILE: &str = r#"
name: shop
services:
  shop: { image: "shop:${TAG}", expose: ["8080"] }
  migrate: { image: "migrate:${TAG}" }
x-haddock:
  entry: "shop:8080"
  release:
    ramp: [100%]
    settle: 0s
    before: migrate
    hooks:
      serving: "consume --token=${TOKEN}"
      draining: { component: shop, command: [stop-consuming], within: 5s }
  notify: ["http://${RECEIVER}/hooks/${TOKEN}", "cat >> ${FOLDER}/told; exit 0"]
"#;

struct Site {
    service: Service,
    runtime: SimRuntime,
    ran: Arc<Mutex<Vec<(String, ExecSpec)>>>,
    code: Arc<Mutex<i64>>,
}

impl Site {
    fn new() -> Self {
        let site::Site { service, runtime, .. } = site::Site::of(SimImage::good(Duration::ZERO));
        let (ran, code) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let (noted, answer) = (Arc::clone(&ran), Arc::clone(&code));
        runtime.run_commands(move |container: &Container, exec: &ExecSpec| {
            noted.lock().expect("no panic").push((container.name.clone(), exec.clone()));
            let exit_code = *answer.lock().expect("no panic");
            Executed { exit_code, stdout: b"one\n".to_vec(), stderr: b"two".to_vec() }
        });
        Self { service, runtime, ran, code }
    }

    async fn release(&self, tag: &str, receiver: &str, folder: &Path) -> haddock_core::Result<()> {
        let variables = [("RECEIVER", receiver), ("TOKEN", "s3cret"), ("FOLDER", &folder.display().to_string())]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let options = ResolveOptions {
            tag: Some(tag.to_owned()),
            variables: Variables::from_iter(variables),
            purpose: Purpose::Release,
            ..ResolveOptions::default()
        };
        let spec = ComposeFile::parse("compose.yaml", FILE).expect("YAML").resolve(&options)?.spec;
        self.service.release(&spec, "me", None).await?.settled().await.map(drop)
    }

    async fn history(&self) -> Vec<Event> {
        let mut events = self.service.events(0);
        let mut all = Vec::new();
        loop {
            let page = events.next_within(Duration::from_millis(300)).await.expect("a history");
            if page.is_empty() {
                return all;
            }
            all.extend(page.into_iter().map(|recorded| recorded.event));
        }
    }

    fn commands(&self) -> Vec<(String, ExecSpec)> {
        self.ran.lock().expect("no panic").clone()
    }
}

/// A server that takes one request after the other and answers each with this status; and the bodies that it got.
async fn receiver(statuses: &'static [u16]) -> (String, Arc<Mutex<Vec<(String, Value)>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    tokio::spawn(async move {
        let mut at = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = Vec::new();
            let body = loop {
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).await.expect("a request");
                text.extend_from_slice(&buffer[..read]);
                let Some(end) = text.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
                let head = String::from_utf8_lossy(&text[..end]).to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
                if text.len() >= end + 4 + length.parse::<usize>().expect("a number") {
                    break (head, serde_json::from_slice(&text[end + 4..]).expect("JSON"));
                }
            };
            let status = *statuses.get(at).or(statuses.last()).expect("at least one");
            at += 1;
            heard.lock().expect("no panic").push(body);
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("it listens");
        }
    });
    (address, told)
}

async fn until(what: &str, happened: impl Fn() -> bool) {
    for _ in 0..300 {
        if happened() {
            return;
        }
        let _ = tokio::time::timeout(Duration::from_millis(50), std::future::pending::<()>()).await;
    }
    panic!("{what}: not within 15 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_runs_once_hooks_know_whom_they_tell_and_receivers_hear_of_it() {
    let site = Site::new();
    let folder = tempfile::tempdir().expect("a folder");
    for tag in ["migrate:1", "migrate:2"] {
        site.runtime.add_image(tag, SimImage::ending(Duration::ZERO, Duration::from_millis(300), 0));
    }
    // The first answer is a refusal: it is told again, with the same key.
    let (address, told) = receiver(&[503, 204]).await;
    let acting = site.service.act().await.expect("nobody else acts");
    site.release("1", &address, folder.path()).await.expect("it settles");
    site.release("2", &address, folder.path()).await.expect("it settles");
    until("the old instance is gone", || site.commands().len() == 3).await;
    let settled =
        |(_, told): &(String, Value)| told["event"]["event"] == "release_settled" && told["event"]["version"] == 2;
    until("the last news", || told.lock().expect("no panic").iter().any(settled)).await;
    let history = site.history().await;
    let ended = history.iter().filter(|event| matches!(event, Event::BeforeEnded { .. })).count();
    assert_eq!(ended, 2, "{history:#?}");
    let output = history.iter().find_map(|event| match event {
        Event::HookRan { output, .. } => Some(output.clone()),
        _ => None,
    });
    assert_eq!(output, Some(vec!["one".to_owned(), "two".to_owned()]));
    // The component that ran before is gone, and nothing else was made.
    let left = site.runtime.with(|engine, now| engine.containers(now).filter(|it| it.name.contains("migrate")).count());
    assert_eq!(left, 0);

    let variable = |exec: &ExecSpec, name: &str| exec.environment[name].expose().to_owned();
    let mut commands = site.commands();
    // At the switch, the hooks of both instances run at once.
    commands.sort_by_key(|(_, exec)| (variable(exec, "HADDOCK_HOOK") == "draining", variable(exec, "HADDOCK_VERSION")));
    let [(first, serving), (_, second), (drained, draining)] = &commands[..] else { panic!("{commands:?}") };
    assert_eq!(first, drained);
    let words: Vec<&str> = serving.command.iter().map(String::as_str).collect();
    assert_eq!(words, ["/bin/sh", "-c", "consume --token=s3cret"]);
    assert_eq!((draining.command.join(" "), draining.within), ("stop-consuming".to_owned(), Duration::from_secs(5)));
    assert_eq!(
        (variable(serving, "HADDOCK_HOOK"), variable(serving, "HADDOCK_VERSION")),
        ("serving".into(), "1".into())
    );
    let keys: BTreeMap<String, ()> = [serving, second, draining].map(|it| (variable(it, "HADDOCK_KEY"), ())).into();
    assert_eq!(keys.len(), 3, "a key for each");

    let told = told.lock().expect("no panic").clone();
    let (head, refused) = &told[0];
    assert!(head.starts_with("post /hooks/s3cret http/1.1"), "{head}");
    assert_eq!(told[1].1["key"], refused["key"], "again, after a refusal");
    assert!(told[1].0.contains(&format!("idempotency-key: {}", refused["key"].as_str().expect("text"))));
    let texts: Vec<&str> = told[1..].iter().filter_map(|(_, it)| it["text"].as_str()).collect();
    assert_eq!(
        texts,
        [
            "shop: the release of version 1 begins (shop: shop:1)",
            "shop: version 1 has settled",
            "shop: the release of version 2 begins (shop: shop:2)",
            "shop: version 2 has settled",
        ]
    );
    // The command got the same, on its standard input.
    let heard = || std::fs::read_to_string(folder.path().join("told")).unwrap_or_default();
    until("the command", || heard().matches("\"key\"").count() == 4).await;
    let kept = serde_json::to_string(&history).expect("plain data");
    let state = site.service.status().await.expect("a journal").expect("released").state;
    let state = serde_json::to_string(&state).expect("plain data");
    assert!(!kept.contains("s3cret") && !state.contains("s3cret"), "what is secret stays out of the journal");
    acting.stop().await.expect("it acted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_ends_the_release_with_its_exit_code() {
    let site = Site::new();
    let folder = tempfile::tempdir().expect("a folder");
    site.runtime.add_image("migrate:1", SimImage::ending(Duration::ZERO, Duration::from_millis(50), 3));
    let (address, _) = receiver(&[204]).await;
    let acting = site.service.act().await.expect("nobody else acts");
    let error = site.release("1", &address, folder.path()).await.expect_err("the migration fails");
    assert_eq!(error.kind(), ErrorKind::ContainerExited);
    assert!(error.message().contains("`migrate`") && error.message().contains('3'), "{error}");
    let left = || site.runtime.with(|engine, now| engine.containers(now).count());
    until("nothing is left", || left() == 0).await;
    acting.stop().await.expect("it acted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_cannot_begin_to_serve_is_not_released() {
    let site = Site::new();
    let folder = tempfile::tempdir().expect("a folder");
    site.runtime.add_image("migrate:1", SimImage::ending(Duration::ZERO, Duration::ZERO, 0));
    *site.code.lock().expect("no panic") = 9;
    // Nobody listens there. The release goes on although its notifications do not arrive.
    let acting = site.service.act().await.expect("nobody else acts");
    let error = site.release("1", "127.0.0.1:9", folder.path()).await.expect_err("the hook fails");
    assert_eq!((error.kind(), error.log_tail()), (ErrorKind::HookFailed, &["one".to_owned(), "two".to_owned()][..]));
    assert_eq!(
        site.commands().iter().filter(|(_, it)| it.environment["HADDOCK_HOOK"].expose() == "serving").count(),
        3
    );
    acting.stop().await.expect("it acted");
}

#[tokio::test]
async fn hooks_are_refused_where_nothing_runs_them() {
    let site::Site { service, .. } = site::Site::new();
    let file = ComposeFile::parse("compose.yaml", FILE).expect("YAML");
    let options = ResolveOptions { tag: Some("1".into()), ..ResolveOptions::default() };
    let spec = file.resolve(&options).expect("good").spec;
    let error = service.release(&spec, "me", None).await.err().expect("it cannot");
    assert_eq!(error.kind(), ErrorKind::NotSupported);
    assert!(error.message().contains("`x-haddock.release.hooks`"), "{error}");
}
