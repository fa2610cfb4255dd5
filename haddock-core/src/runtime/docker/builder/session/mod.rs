//! A session: the connection on which BuildKit asks for what only this side has.
//!
//! `POST /session` is upgraded, and then the roles change: the engine asks by gRPC, and this side answers. A session ends
//! when it is dropped, and with it the build.

use std::collections::HashMap;
use std::io;

use bollard::auth::DockerCredentials;
use bollard_buildkit_proto::health::health_server::HealthServer;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::SecretsServer;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::AuthServer;
use bollard_buildkit_proto::moby::filesync::v1::file_sync_server::FileSyncServer;
use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::SshServer;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tonic::service::Routes;

use crate::runtime::BuildRequest;

mod answers;
mod files;
mod ssh;

pub(super) use files::{Broken, DOCKERFILE, Files};

/// The methods that this side has.
const METHODS: [&str; 4] = [
    "/grpc.health.v1.Health/Check",
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/moby.sshforward.v1.SSH/CheckAgent",
];
const DIFF_COPY: &str = "/moby.filesync.v1.FileSync/DiffCopy";
const FORWARD_AGENT: &str = "/moby.sshforward.v1.SSH/ForwardAgent";

/// Whether sessions can be had at this address, if it is one without TLS.
pub(super) fn can_be_had(host: &str) -> bool {
    ["unix://", "http://", "tcp://"].iter().any(|scheme| host.starts_with(scheme))
}

/// A random name of a session.
pub(super) fn new_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// An open session.
pub(super) struct Session {
    connection: Upgraded,
    routes: Routes,
}

impl Session {
    /// Opens it.
    pub(super) async fn open(
        host: &str,
        id: &str,
        request: &BuildRequest,
        credentials: HashMap<String, DockerCredentials>,
        files: Option<Files>,
    ) -> io::Result<Self> {
        let connection = match host.split_once("://") {
            Some(("unix", path)) => upgraded(UnixStream::connect(path).await?, id).await?,
            Some((_, address)) => upgraded(TcpStream::connect(address.trim_end_matches('/')).await?, id).await?,
            None => return Err(io::Error::other("no address that sessions can be had at")),
        };
        let mut routes = Routes::new(HealthServer::new(answers::Healthy))
            .add_service(AuthServer::new(answers::Credentials(credentials)))
            .add_service(SecretsServer::new(answers::Secrets(request.secrets.clone())));
        if request.ssh {
            routes = routes.add_service(SshServer::new(ssh::Agent));
        }
        if let Some(files) = files {
            routes = routes.add_service(FileSyncServer::new(files));
        }
        Ok(Self { connection, routes: routes.prepare() })
    }

    /// Answers until the engine closes the session.
    pub(super) async fn serve(self) -> hyper::Result<()> {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(self.connection, TowerToHyperService::new(self.routes))
            .await
    }
}

async fn upgraded(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, id: &str) -> io::Result<Upgraded> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with the upgrade, or when the sender is dropped.
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::post("/session")
        .header(header::HOST, "docker")
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "h2c")
        .header("X-Docker-Expose-Session-Uuid", id)
        .header("X-Docker-Expose-Session-Name", "haddock")
        // BuildKit takes a file of an earlier session with the same key for this one's if size and time are the same.
        .header("X-Docker-Expose-Session-Sharedkey", id)
        .header("X-Docker-Expose-Session-Grpc-Method", FORWARD_AGENT)
        .header("X-Docker-Expose-Session-Grpc-Method", DIFF_COPY);
    for method in METHODS {
        request = request.header("X-Docker-Expose-Session-Grpc-Method", method);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(io::Error::other(format!("it answered a session with {}", response.status())));
    }
    hyper::upgrade::on(response).await.map_err(io::Error::other)
}
