//! A request's body on its way from the client to an instance.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use super::client::Watch;

/// How long a client that asked first (`Expect: 100-continue`) waits for an instance that does not say whether it wants
/// the body: as long as curl waits.
const WAIT_FOR_CONTINUE: Duration = Duration::from_secs(1);

/// The body, if there is one.
pub(super) struct ClientBody(Option<Streaming>);

struct Streaming {
    incoming: Incoming,
    watch: Arc<Watch>,
    /// Ends when the instance wants the body. Until then the client is not told to send it.
    wanted: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl ClientBody {
    pub(super) fn new(incoming: Incoming, watch: &Arc<Watch>) -> Self {
        let is_over = incoming.is_end_stream();
        Self((!is_over).then(|| Streaming { incoming, watch: Arc::clone(watch), wanted: None }))
    }

    pub(super) fn empty() -> Self {
        Self(None)
    }
}

/// Lets the body of this request wait until the instance asks for it (RFC 9110, 10.1.1).
pub(super) fn wait_for_continue(request: &mut Request<ClientBody>) {
    let Some(streaming) = &mut request.body_mut().0 else { return };
    let asked = CancellationToken::new();
    let wanted = asked.clone().cancelled_owned();
    streaming.wanted = Some(Box::pin(async move {
        // An instance that ignores the question gets the body.
        let _ = tokio::time::timeout(WAIT_FOR_CONTINUE, wanted).await;
    }));
    hyper::ext::on_informational(request, move |response| {
        if response.status() == StatusCode::CONTINUE {
            asked.cancel();
        }
    });
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(Streaming { incoming, watch, wanted }) = &mut self.0 else { return Poll::Ready(None) };
        if let Some(wait) = wanted {
            ready!(wait.as_mut().poll(cx));
            *wanted = None;
        }
        let polled = Pin::new(&mut *incoming).poll_frame(cx);
        match &polled {
            Poll::Pending => watch.wait_for_body(),
            Poll::Ready(frame) => watch.read_body(!matches!(frame, Some(Ok(_))) || incoming.is_end_stream()),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|streaming| streaming.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |streaming| streaming.incoming.size_hint())
    }
}

impl fmt::Debug for ClientBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBody").field("is_over", &self.is_end_stream()).finish_non_exhaustive()
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        if let Some(streaming) = &self.0 {
            streaming.watch.stop_waiting_for_body();
        }
    }
}
