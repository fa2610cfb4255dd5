//! What this program serves as when it is started by itself: the gateway, or hyper with nothing in between.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;

use haddock_core::locator::gateway::{Gateway, Limits};
use haddock_core::routing::{ApplicationCookie, Route, RoutingTable, SessionPolicy};
use haddock_core::{FencingToken, InstanceId, ServiceName, Share};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use crate::load::COOKIE;
use crate::{Failure, Options};

/// The gateway, with one worker.
pub(crate) async fn gateway(options: &Options) -> Result<(), Failure> {
    let state = tempfile::tempdir()?;
    let mut builder = Gateway::builder().state_dir(state.path()).worker_threads(1).limits(Limits::default());
    if let Some(folder) = &options.certificate {
        builder = builder.tls(folder.join("cert.pem"), folder.join("key.pem"));
    }
    let gateway = builder.start().await?;
    let routes = options.gateway.iter().enumerate().map(|(n, address)| {
        let id = InstanceId::new(format!("shop-{n}-benchmrk")).expect("valid");
        (id, Route::new(*address, Share::percent(50)))
    });
    let table = RoutingTable {
        service: ServiceName::new("shop")?,
        number: FencingToken { epoch: 1, revision: 1 },
        session: SessionPolicy {
            application: options.application.then(|| ApplicationCookie::new(COOKIE)),
            ..SessionPolicy::default()
        },
        routes: routes.collect(),
        watermark: None,
    };
    gateway.locator().apply(&table).await?;
    say(gateway.local_addr())?;
    until_left_alone().await
}

/// hyper's server and hyper's client with its pool.
pub(crate) async fn bare(instances: &[SocketAddr]) -> Result<(), Failure> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(listener.local_addr()?)?;
    let instances = instances.to_vec();
    tokio::task::spawn_local(async move {
        for turn in 0.. {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            let (client, instance) = (client.clone(), instances[turn % instances.len()]);
            let service = service_fn(move |request| pass_on(client.clone(), instance, request));
            let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::task::spawn_local(served);
        }
    });
    until_left_alone().await
}

async fn pass_on(
    client: Client<HttpConnector, Incoming>,
    instance: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, hyper::Error>>, Infallible> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if let Ok(uri) = format!("http://{instance}{path}").parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    // What the client says of its connection is not for the instance's.
    request.headers_mut().remove(http::header::CONNECTION);
    Ok(match client.request(request).await {
        Ok(response) => response.map(BodyExt::boxed),
        Err(_) => {
            let mut failed = Response::new(Empty::new().map_err(|never| match never {}).boxed());
            *failed.status_mut() = StatusCode::BAD_GATEWAY;
            failed
        }
    })
}

fn say(address: SocketAddr) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    writeln!(out, "{address}")?;
    Ok(out.flush()?)
}

/// Until whoever started us goes away.
async fn until_left_alone() -> Result<(), Failure> {
    let mut stdin = String::new();
    tokio::task::spawn_blocking(move || std::io::stdin().read_line(&mut stdin)).await??;
    Ok(())
}
