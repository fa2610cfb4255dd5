//! What BuildKit asks for: whether this side is there, credentials, and secrets.

use std::collections::HashMap;

use bollard::auth::DockerCredentials;
use bollard_buildkit_proto::health::health_check_response::ServingStatus;
use bollard_buildkit_proto::health::health_server::Health;
use bollard_buildkit_proto::health::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::Secrets as SecretsService;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use bollard_buildkit_proto::moby::filesync::v1::auth_server::Auth;
use bollard_buildkit_proto::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse, GetTokenAuthorityRequest,
    GetTokenAuthorityResponse, VerifyTokenAuthorityRequest, VerifyTokenAuthorityResponse,
};
use futures_core::stream::BoxStream;
use tonic::{Request, Response, Status, async_trait};

use crate::image::{BuildSecret, SecretSource};

/// This side is there.
pub(super) struct Healthy;

#[async_trait]
impl Health for Healthy {
    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("only checks are answered"))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("only checks are answered"))
    }
}

/// What is stored for registries, by the host that BuildKit asks for.
pub(super) struct Credentials(pub(super) HashMap<String, DockerCredentials>);

#[async_trait]
impl Auth for Credentials {
    async fn credentials(&self, request: Request<CredentialsRequest>) -> Result<Response<CredentialsResponse>, Status> {
        let host = match request.into_inner().host.as_str() {
            "registry-1.docker.io" => "https://index.docker.io/v1/".to_owned(),
            host => host.to_owned(),
        };
        let stored = self.0.get(&host).cloned().unwrap_or_default();
        // BuildKit takes a secret without a user name for a token.
        Ok(Response::new(match stored.identitytoken {
            Some(secret) => CredentialsResponse { username: String::new(), secret },
            None => CredentialsResponse {
                username: stored.username.unwrap_or_default(),
                secret: stored.password.unwrap_or_default(),
            },
        }))
    }

    // Without these BuildKit gets the tokens of registries itself.

    async fn fetch_token(&self, _: Request<FetchTokenRequest>) -> Result<Response<FetchTokenResponse>, Status> {
        Err(Status::unimplemented("only credentials are given"))
    }

    async fn get_token_authority(
        &self,
        _: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("only credentials are given"))
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("only credentials are given"))
    }
}

/// The secrets of the build.
pub(super) struct Secrets(pub(super) Vec<BuildSecret>);

#[async_trait]
impl SecretsService for Secrets {
    async fn get_secret(&self, request: Request<GetSecretRequest>) -> Result<Response<GetSecretResponse>, Status> {
        let id = request.into_inner().id;
        let Some(secret) = self.0.iter().find(|secret| secret.id == id) else {
            return Err(Status::not_found(format!("the build has no secret `{id}`")));
        };
        let data = match &secret.source {
            SecretSource::File(path) => std::fs::read(path)
                .map_err(|error| Status::failed_precondition(format!("secret `{id}` cannot be read: {error}")))?,
            SecretSource::Variable(name) => std::env::var(name)
                .map_err(|_| Status::failed_precondition(format!("secret `{id}`: variable `{name}` is not set")))?
                .into_bytes(),
            SecretSource::Value(value) => value.expose().as_bytes().to_vec(),
        };
        Ok(Response::new(GetSecretResponse { data }))
    }
}
