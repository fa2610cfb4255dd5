//! A release within a program, with nothing installed: instances are child processes, and clients come through the gateway.
//!
//! ```text
//! cargo run -p haddock-core --example embed --features process,gateway
//! ```
//!
//! The program plays the application as well: started with `serve TEXT` it answers every request with that text.
#![allow(missing_docs, clippy::print_stdout, reason = "an example says what it does")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use haddock_core::controller::Controller;
use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
use haddock_core::environment::store::SpecStore;
use haddock_core::journal::memory::MemoryJournal;
use haddock_core::locator::gateway::Gateway;
use haddock_core::runtime::process::ProcessRuntime;
use haddock_core::{JournalId, Result};

const FILE: &str = "
name: hello
services: { web: { image: 'hello:${TAG}', expose: ['8080'] } }
x-haddock:
  session: { idle: 8s }
  release: { ramp: [50%, 100%], every: 200ms, settle: 200ms }
";

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("serve") {
        serve(&arguments.next().unwrap_or_default()).expect("a loopback port");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    runtime.block_on(release())
}

async fn release() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("haddock-embed-{}", std::process::id()));
    let program = std::env::current_exe().expect("this program").display().to_string();
    let mut processes = ProcessRuntime::builder(folder.join("instances"));
    for tag in ["v1", "v2"] {
        processes = processes.image(format!("hello:{tag}"), [program.as_str(), "serve", tag]);
    }
    let gateway = Gateway::builder().state_dir(folder.join("gateway")).start().await?;
    let journal = MemoryJournal::new(JournalId::new("embed")?);
    let parts = (Arc::new(processes.build()?), gateway.locator(), Arc::new(journal));
    let controller = Controller::builder(parts.0, parts.1, parts.2, SpecStore::memory()).build();

    let first = spec("v1")?;
    let service = controller.service(first.service()?.service.clone());
    let acting = service.act().await?;
    service.release(&first, "embed", None).await?.settled().await?;
    let client = gateway.local_addr();
    let (answer, cookie) = ask(client, None);
    println!("a client comes, and is answered by {answer}");

    let second = service.release(&spec("v2")?, "embed", None).await?;
    println!("version {} has settled", second.settled().await?.0);
    println!("a new client is answered by {}", ask(client, None).0);
    println!("the first one is still answered by {}", ask(client, cookie.as_deref()).0);
    second.gone().await?;
    println!("its session has expired, and nothing but version 2 is left");

    service.retire("embed").await?;
    service.retired().await?;
    acting.stop().await?;
    gateway.shutdown(Duration::from_secs(1)).await;
    let _ = std::fs::remove_dir_all(folder);
    Ok(())
}

fn spec(tag: &str) -> Result<EnvironmentSpec> {
    let options = ResolveOptions { tag: Some(tag.into()), purpose: Purpose::Release, ..ResolveOptions::default() };
    Ok(ComposeFile::parse("compose.yaml", FILE)?.resolve(&options)?.spec)
}

/// The application: the runtime tells it its port.
fn serve(text: &str) -> std::io::Result<()> {
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8080);
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    for stream in listener.incoming() {
        let (mut stream, text) = (stream?, text.to_owned());
        std::thread::spawn(move || {
            let mut head = [0; 4096];
            while stream.read(&mut head).is_ok_and(|bytes| bytes > 0) {
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
                if stream.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        });
    }
    Ok(())
}

/// A client: the answer, and the cookie that it was given or has.
fn ask(gateway: SocketAddr, cookie: Option<&str>) -> (String, Option<String>) {
    let mut stream = TcpStream::connect(gateway).expect("the gateway listens");
    let cookies = cookie.map(|cookie| format!("cookie: {cookie}\r\n")).unwrap_or_default();
    let request = format!("GET / HTTP/1.1\r\nhost: hello\r\n{cookies}connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let given = head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    let given = given.and_then(|line| line.split(';').next()).map(str::to_owned);
    (body.to_owned(), given.or_else(|| cookie.map(str::to_owned)))
}
