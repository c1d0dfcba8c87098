//! The layer around a service that tells who calls, refuses what the caller may not do, and ends what a revoked login began.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower::{Layer, Service};

use crate::access::{Access, Refusal};
use crate::caller::Role;
use crate::peer::Peer;

/// The role that a call of this path needs; `None` = it needs no login.
type Needs = Arc<dyn Fn(&str) -> Option<Role> + Send + Sync>;

/// How a protocol tells that a call is refused.
#[derive(Debug)]
pub struct Protocol<B> {
    /// The answer to a call that is refused.
    pub refuse: fn(&Refusal) -> Response<B>,
    /// What ends the answer to a call whose login was revoked meanwhile.
    pub end: fn(&Refusal) -> HeaderMap,
    /// Is told each refusal.
    pub refused: fn(&Refusal, &Peer),
}

impl<B> Clone for Protocol<B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Protocol<B> {}

/// Puts the [`Caller`](crate::Caller) into the extensions of each request, and refuses what the caller may not do.
pub struct AccessLayer<B> {
    access: Access,
    needs: Needs,
    protocol: Protocol<B>,
}

/// A service behind an [`AccessLayer`].
pub struct AccessService<S, B> {
    inner: S,
    layer: AccessLayer<B>,
}

impl<B> AccessLayer<B> {
    /// Judges callers by `access`. `needs` gives the role that a call of a path needs.
    pub fn new(
        access: Access,
        needs: impl Fn(&str) -> Option<Role> + Send + Sync + 'static,
        protocol: Protocol<B>,
    ) -> Self {
        Self { access, needs: Arc::new(needs), protocol }
    }
}

impl<B> Clone for AccessLayer<B> {
    fn clone(&self) -> Self {
        Self { access: self.access.clone(), needs: Arc::clone(&self.needs), protocol: self.protocol }
    }
}

impl<B> fmt::Debug for AccessLayer<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AccessLayer").field("access", &self.access).finish_non_exhaustive()
    }
}

impl<S: Clone, B> Clone for AccessService<S, B> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S, B> fmt::Debug for AccessService<S, B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AccessService").field("layer", &self.layer).finish_non_exhaustive()
    }
}

impl<S, B> Layer<S> for AccessLayer<B> {
    type Service = AccessService<S, B>;

    fn layer(&self, inner: S) -> Self::Service {
        AccessService { inner, layer: self.clone() }
    }
}

impl<S, R, B> Service<Request<R>> for AccessService<S, B>
where
    S: Service<Request<R>, Response = Response<B>>,
{
    type Response = Response<CallBody<B>>;
    type Error = S::Error;
    type Future = CallFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<R>) -> Self::Future {
        let AccessLayer { access, needs, protocol } = &self.layer;
        // A server that does not tell the peer is not one of this crate's listeners: nobody is let in.
        let Some(peer) = request.extensions().get::<Arc<Peer>>().map(Arc::clone) else {
            return CallFuture::refused((protocol.refuse)(&Refusal::NoLogin));
        };
        let judged = access.identify(&peer, request.headers()).and_then(|(caller, revoked)| {
            caller.may(needs(request.uri().path()))?;
            Ok((caller, revoked))
        });
        match judged {
            Ok((caller, revoked)) => {
                request.extensions_mut().insert(caller);
                let login = revoked.map_or(Login::Lasting, |revoked| Login::until(revoked, protocol.end));
                let call = Some(Call::begin(peer));
                CallFuture::Running { inner: self.inner.call(request), call, login, protocol: *protocol }
            }
            Err(refusal) => {
                (protocol.refused)(&refusal, &peer);
                CallFuture::refused((protocol.refuse)(&refusal))
            }
        }
    }
}

/// A call under way. Its connection is not idle while it is the server's turn: while the call waits for an answer, or for the
/// next part of one. A client that does not take what is there does not keep its connection.
#[derive(Debug)]
struct Call {
    peer: Arc<Peer>,
    counts: bool,
}

impl Call {
    fn begin(peer: Arc<Peer>) -> Self {
        peer.call_began();
        Self { peer, counts: true }
    }

    /// It is the client's turn.
    fn pause(&mut self) {
        if std::mem::take(&mut self.counts) {
            self.peer.call_ended();
        }
    }

    /// It is the server's turn again.
    fn resume(&mut self) {
        if !std::mem::replace(&mut self.counts, true) {
            self.peer.call_began();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.pause();
    }
}

pin_project! {
    /// The answer to a call, as soon as there is one.
    #[project = CallFutureProjection]
    pub enum CallFuture<F, B> {
        /// The service answers.
        Running {
            #[pin]
            inner: F,
            call: Option<Call>,
            login: Login,
            protocol: Protocol<B>,
        },
        /// The call is refused.
        Refused {
            response: Option<Response<B>>,
        },
    }
}

impl<F, B> CallFuture<F, B> {
    fn refused(response: Response<B>) -> Self {
        Self::Refused { response: Some(response) }
    }
}

impl<F, B> fmt::Debug for CallFuture<F, B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CallFuture")
    }
}

impl<F, B, E> Future for CallFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<CallBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            CallFutureProjection::Running { inner, call, login, protocol } => {
                // A message may arrive long after the headers with the login.
                if let Login::UntilRevoked(revoked, _) = login
                    && revoked.as_mut().poll(cx).is_ready()
                {
                    let refusal = Refusal::UnknownToken;
                    if let Some(call) = call.take() {
                        (protocol.refused)(&refusal, &call.peer);
                    }
                    return Poll::Ready(Ok((protocol.refuse)(&refusal).map(CallBody::of_refusal)));
                }
                let response = ready!(inner.poll(cx))?;
                let mut call = call.take();
                // The answer is there: it is for the client to take it.
                call.iter_mut().for_each(Call::pause);
                let login = std::mem::replace(login, Login::Lasting);
                Poll::Ready(Ok(response.map(|inner| CallBody { inner, call, login })))
            }
            CallFutureProjection::Refused { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response.map(CallBody::of_refusal))),
                None => Poll::Pending,
            },
        }
    }
}

pin_project! {
    /// The body of an answer. It ends when the login of the call is revoked.
    #[derive(Debug)]
    pub struct CallBody<B> {
        #[pin]
        inner: B,
        call: Option<Call>,
        login: Login,
    }
}

impl<B> CallBody<B> {
    fn of_refusal(inner: B) -> Self {
        Self { inner, call: None, login: Login::Lasting }
    }
}

/// The login of a call.
enum Login {
    /// It stays valid.
    Lasting,
    /// It is valid until it is revoked; then these trailers end the answer.
    UntilRevoked(Pin<Box<WaitForCancellationFutureOwned>>, fn(&Refusal) -> HeaderMap),
    /// It was revoked, and the answer has ended.
    Revoked,
}

impl Login {
    fn until(revoked: CancellationToken, end: fn(&Refusal) -> HeaderMap) -> Self {
        Self::UntilRevoked(Box::pin(revoked.cancelled_owned()), end)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Lasting => "Lasting",
            Self::UntilRevoked(..) => "UntilRevoked",
            Self::Revoked => "Revoked",
        })
    }
}

impl<B: Body> Body for CallBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        match this.login {
            Login::Lasting => {}
            Login::UntilRevoked(revoked, end) => {
                if revoked.as_mut().poll(cx).is_ready() {
                    let trailers = end(&Refusal::UnknownToken);
                    (*this.login, *this.call) = (Login::Revoked, None);
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
            }
            Login::Revoked => return Poll::Ready(None),
        }
        let frame = this.inner.poll_frame(cx);
        if let Some(call) = this.call {
            if frame.is_pending() { call.resume() } else { call.pause() }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.login, Login::Revoked) || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// How gRPC tells that a call is refused. `refused` is told each refusal.
#[must_use]
pub fn grpc(refused: fn(&Refusal, &Peer)) -> Protocol<tonic::body::Body> {
    Protocol { refuse: |refusal| status(refusal).into_http(), end: trailers, refused }
}

fn status(refusal: &Refusal) -> tonic::Status {
    match refusal {
        Refusal::UnknownToken | Refusal::NoLogin => tonic::Status::unauthenticated(refusal.to_string()),
        Refusal::NotAllowed { .. } => tonic::Status::permission_denied(refusal.to_string()),
    }
}

fn trailers(refusal: &Refusal) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // It fails only for texts that no header can hold, and ours are plain.
    let _ = status(refusal).add_header(&mut trailers);
    trailers
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::Cell;
    use std::collections::VecDeque;
    use std::task::Waker;

    use super::*;
    use crate::peer::PeerAddress;

    /// A body with these parts: `None` = the next one is not there yet.
    struct Parts(VecDeque<Option<&'static [u8]>>);

    impl Body for Parts {
        type Data = &'static [u8];
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
            match self.0.pop_front() {
                Some(Some(part)) => Poll::Ready(Some(Ok(Frame::data(part)))),
                Some(None) => Poll::Pending,
                None => Poll::Ready(None),
            }
        }
    }

    fn peer() -> Arc<Peer> {
        Arc::new(Peer::new(PeerAddress::Unix { pid: None, uid: 0, gid: 0 }, None))
    }

    #[test]
    fn refuses_a_call_whose_login_is_revoked_before_the_service_runs() {
        let revoked = CancellationToken::new();
        let protocol = grpc(|_, _| {});
        let (arrived, message) = tokio::sync::oneshot::channel::<()>();
        let ran = Cell::new(false);
        let inner = async {
            message.await.unwrap();
            ran.set(true);
            Ok::<_, std::convert::Infallible>(Response::new(tonic::body::Body::empty()))
        };
        let login = Login::until(revoked.clone(), protocol.end);
        let mut call = Box::pin(CallFuture::Running { inner, call: Some(Call::begin(peer())), login, protocol });
        let mut answer = || call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(answer().is_pending(), "the message is not complete");
        revoked.cancel();
        arrived.send(()).unwrap();
        let Poll::Ready(Ok(response)) = answer() else { panic!("the call is not answered") };
        assert_eq!(tonic::Status::from_header_map(response.headers()).unwrap().code(), tonic::Code::Unauthenticated);
        assert!(!ran.get(), "the service ran for a login that is no longer valid");
    }

    #[test]
    fn a_connection_is_idle_while_a_part_of_an_answer_is_not_taken() {
        let peer = peer();
        let mut call = Call::begin(Arc::clone(&peer));
        assert_eq!(peer.idle_since(), None, "the server has to answer");
        call.pause();
        assert!(peer.idle_since().is_some(), "the answer is not taken");
        let parts = [None, Some(&b"first"[..]), None].into();
        let mut body = Box::pin(CallBody { inner: Parts(parts), call: Some(call), login: Login::Lasting });
        let mut take = || body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()));
        assert!(take().is_pending());
        assert_eq!(peer.idle_since(), None, "the client waits for the first part");
        assert!(take().is_ready());
        assert!(peer.idle_since().is_some(), "the next part is not asked for");
        assert!(take().is_pending());
        assert_eq!(peer.idle_since(), None, "the client waits for the next part");
        drop(body);
        assert!(peer.idle_since().is_some(), "the call has ended");
    }
}
