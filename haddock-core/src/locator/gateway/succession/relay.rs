//! Passes a request on to the gateway that has taken over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode, request};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use ppp::v2;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

use crate::locator::gateway::body::{ClientBody, wait_for_continue};
use crate::locator::gateway::connection::{Connection, Counted};
use crate::locator::gateway::headers::Refusal;
use crate::locator::gateway::passage::ResponseBody;
use crate::locator::gateway::reach::Reach;
use crate::locator::gateway::tunnel;

const NOT_REACHED: Refusal = Refusal(StatusCode::BAD_GATEWAY, "the gateway that has taken over cannot be reached");

/// Passes a request on of which nothing has been used up. `asks_first`: the client waits before it sends the body.
pub(in crate::locator::gateway) async fn pass_on(
    connection: &Arc<Connection>,
    mut parts: request::Parts,
    incoming: Incoming,
    asks_first: bool,
    to: &Path,
) -> Result<Response<ResponseBody>, Refusal> {
    let client_side = parts.extensions.remove::<OnUpgrade>();
    let mut request = Request::from_parts(parts, ClientBody::new(incoming, &connection.watch));
    if asks_first {
        request.headers_mut().insert(header::EXPECT, HeaderValue::from_static("100-continue"));
        wait_for_continue(&mut request);
    }
    let answered = async {
        let reach = Reach::of(to).map_err(|error| error.to_string())?;
        let mut stream = UnixStream::connect(reach.path()).await.map_err(|error| error.to_string())?;
        let (address, https) = connection.client();
        let introduction = introduction(address, https).map_err(|error| error.to_string())?;
        stream.write_all(&introduction).await.map_err(|error| error.to_string())?;
        let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        tokio::spawn(driver.with_upgrades());
        sender.send_request(request).await.map_err(|error| error.to_string())
    };
    let response = answered.await.map_err(|error| {
        tracing::warn!(%error, "a request could not be passed on to the gateway that has taken over");
        NOT_REACHED
    })?;
    let (mut parts, incoming) = response.into_parts();
    if parts.status == StatusCode::SWITCHING_PROTOCOLS
        && let Some(client_side) = client_side
    {
        let other_side = parts.extensions.remove::<OnUpgrade>();
        connection.watch.upgrade();
        let shared = Arc::clone(&connection.worker.shared);
        let counted = Counted::new(&shared);
        tokio::spawn(async move {
            shared.cut.run_until_cancelled(tunnel::carry_on(client_side, other_side)).await;
            drop(counted);
        });
        return Ok(Response::from_parts(parts, ResponseBody::Text(None)));
    }
    for name in [header::CONNECTION, header::TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    Ok(Response::from_parts(parts, ResponseBody::Relayed(incoming, Arc::clone(connection))))
}

/// The header of the PROXY protocol that says who the client is, and whether it came by https.
fn introduction(client: IpAddr, https: bool) -> std::io::Result<Vec<u8>> {
    // Nobody looks at the ports, nor at where it wanted to go.
    let nowhere: IpAddr = if client.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let addresses = (SocketAddr::new(client, 0), SocketAddr::new(nowhere, 0));
    let mut builder =
        v2::Builder::with_addresses(v2::Version::Two | v2::Command::Proxy, v2::Protocol::Stream, addresses);
    if https {
        // It came over TLS; whether it has shown a certificate was not looked at (PROXY protocol, 2.2.6).
        builder = builder.write_tlv(v2::Type::SSL, &[1, 0, 0, 0, 0])?;
    }
    builder.build()
}
