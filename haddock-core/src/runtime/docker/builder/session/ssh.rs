//! The keys of this user's agent: steps may list them and sign with them, and no more.

use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::Ssh;
use bollard_buildkit_proto::moby::sshforward::v1::{BytesMessage, CheckAgentRequest, CheckAgentResponse};
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tonic::{Request, Response, Status, Streaming, async_trait};

/// Requests of the agent's protocol (draft-miller-ssh-agent, section 5.1).
const REQUEST_IDENTITIES: u8 = 11;
const SIGN_REQUEST: u8 = 13;
/// The answer to a request that is refused: a message of one byte, `SSH_AGENT_FAILURE`.
const FAILURE: [u8; 5] = [0, 0, 0, 1, 5];
/// OpenSSH's own limit for a message.
const MAX_MESSAGE: usize = 256 * 1024;

/// The agent that `SSH_AUTH_SOCK` names.
pub(super) struct Agent;

fn socket() -> Result<String, Status> {
    std::env::var("SSH_AUTH_SOCK")
        .map_err(|_| Status::failed_precondition("no agent has this user's keys: SSH_AUTH_SOCK is not set"))
}

#[async_trait]
impl Ssh for Agent {
    async fn check_agent(&self, request: Request<CheckAgentRequest>) -> Result<Response<CheckAgentResponse>, Status> {
        match request.into_inner().id.as_str() {
            "" | "default" => socket().map(|_| Response::new(CheckAgentResponse {})),
            id => Err(Status::not_found(format!("the build has no keys `{id}`, only `default`"))),
        }
    }

    type ForwardAgentStream = BoxStream<'static, Result<BytesMessage, Status>>;

    async fn forward_agent(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::ForwardAgentStream>, Status> {
        let agent = UnixStream::connect(socket()?).await?;
        let answers = futures_util::stream::try_unfold(
            (request.into_inner(), agent, Vec::new()),
            |(mut asked, mut agent, mut bytes)| async move {
                loop {
                    if let Some(message) = whole(&mut bytes)? {
                        let data = answer(&mut agent, &message).await?;
                        return Ok(Some((BytesMessage { data }, (asked, agent, bytes))));
                    }
                    match asked.message().await? {
                        Some(more) => bytes.extend(more.data),
                        None => return Ok(None),
                    }
                }
            },
        );
        Ok(Response::new(answers.boxed()))
    }
}

/// Takes the first message, if all of it is there.
fn whole(bytes: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Status> {
    let Some(length) = bytes.first_chunk::<4>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if length > MAX_MESSAGE {
        return Err(Status::invalid_argument("a message to the agent is too long"));
    }
    Ok((bytes.len() >= length + 4).then(|| bytes.drain(..length + 4).collect()))
}

async fn answer(agent: &mut UnixStream, message: &[u8]) -> Result<Vec<u8>, Status> {
    if !matches!(message.get(4), Some(&REQUEST_IDENTITIES | &SIGN_REQUEST)) {
        return Ok(FAILURE.to_vec());
    }
    agent.write_all(message).await?;
    let length = agent.read_u32().await?;
    let size = usize::try_from(length).ok().filter(|size| *size <= MAX_MESSAGE);
    let size = size.ok_or_else(|| Status::internal("the agent's answer is too long"))?;
    let mut answer = length.to_be_bytes().to_vec();
    answer.resize(size + 4, 0);
    agent.read_exact(&mut answer[4..]).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keys_are_used_and_not_changed() {
        let (mut agent, mut theirs) = UnixStream::pair().expect("a pair");
        let mut bytes = vec![0, 0, 0, 1, REQUEST_IDENTITIES, 0, 0];
        let message = whole(&mut bytes).expect("short").expect("whole");
        assert_eq!((bytes.as_slice(), whole(&mut bytes.clone()).expect("short")), ([0, 0].as_slice(), None));
        theirs.write_all(&[0, 0, 0, 2, 12, 7]).await.expect("written");
        assert_eq!(answer(&mut agent, &message).await.expect("answered"), [0, 0, 0, 2, 12, 7]);
        // 18 removes a key, and 17 adds one.
        for kind in [17, 18, 19, 27] {
            assert_eq!(answer(&mut agent, &[0, 0, 0, 1, kind]).await.expect("answered"), FAILURE);
        }
        assert!(whole(&mut vec![255, 255, 255, 255]).is_err());
    }
}
