//! Who may open a WebSocket, in which subprotocol. Everything is checked before the upgrade.

use std::future::Future;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    AUTHORIZATION, CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role as WsRole;

use opsctl_link::{Metered, Pulse, websocket_config};
use opsctl_protocol::message::{ErrorCode, Rights, Role};
use opsctl_protocol::{SUBPROTOCOL_BINARY, SUBPROTOCOL_TEXT};

use super::Context;
use super::census::Seat;
use super::listen::Peer;
use super::router::refusal;
use super::serve::Guest;
use crate::auth;

/// An open WebSocket, on the daemon's side.
pub(super) type Socket = WebSocketStream<Metered<TokioIo<hyper::upgrade::Upgraded>>>;

/// Who a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `/ws/agent`
    Agent,
    /// `/ws/dashboard` and long-polling
    Dashboard,
}

/// What the handshake has settled.
#[derive(Debug, Clone)]
pub(super) struct Admitted {
    /// Whom the daemon takes the peer for.
    pub rights: Rights,
    /// Who it is.
    pub peer: Peer,
    /// Whether the peer takes binary frames.
    pub binary: bool,
    /// The connection's place among all others.
    pub seat: Arc<Seat>,
    /// The life on the connection, as its socket notes it.
    pub pulse: Arc<Pulse>,
}

/// Checks the request, answers it, and hands the open socket to `serve`.
pub(super) fn upgrade<F, Fut>(
    context: Context,
    mut request: Request,
    kind: Kind,
    serve: F,
) -> Response
where
    F: FnOnce(Context, Socket, Admitted) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (admitted, subprotocol) = match admit(&context, &request, kind) {
        Ok(admitted) => admitted,
        Err(refused) => return *refused,
    };
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        return refusal(
            StatusCode::BAD_REQUEST,
            ErrorCode::BadRequest,
            "this route speaks WebSocket (version 13) only",
        );
    };
    let accept = derive_accept_key(key.as_bytes());
    let upgraded = hyper::upgrade::on(&mut request);
    let group = match kind {
        Kind::Agent => &context.edges.agents,
        Kind::Dashboard => &context.edges.dashboards,
    };
    group.tasks.clone().spawn(async move {
        match upgraded.await {
            Ok(upgraded) => {
                let io = Metered::new(TokioIo::new(upgraded), Arc::clone(&admitted.pulse));
                let socket =
                    WebSocketStream::from_raw_socket(io, WsRole::Server, Some(websocket_config()))
                        .await;
                // The place is the connection's for as long as it is served.
                let seat = Arc::clone(&admitted.seat);
                serve(context, socket, admitted).await;
                drop(seat);
            }
            Err(error) => tracing::debug!(%error, "a connection ended before its upgrade"),
        }
    });
    switching(&accept, subprotocol)
}

fn switching(accept: &str, subprotocol: Option<&'static str>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    // Base64 is always a valid header value.
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(subprotocol) = subprotocol {
        headers.insert(
            SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(subprotocol),
        );
    }
    response
}

/// The answer to a request that isn't served. Boxed, since it is large and rare.
pub(super) type Refused = Box<Response>;

/// Refuses a request.
pub(super) fn refuse<T>(
    status: StatusCode,
    code: ErrorCode,
    message: impl Into<String>,
) -> Result<T, Refused> {
    Err(Box::new(refusal(status, code, message)))
}

fn admit(
    context: &Context,
    request: &Request,
    kind: Kind,
) -> Result<(Admitted, Option<&'static str>), Refused> {
    let headers = request.headers();
    let is_websocket = headers
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && headers
            .get(SEC_WEBSOCKET_VERSION)
            .is_some_and(|value| value == "13");
    if !is_websocket {
        let why = "this route speaks WebSocket (version 13) only";
        return refuse(StatusCode::UPGRADE_REQUIRED, ErrorCode::BadRequest, why);
    }
    let (rights, Guest { peer, seat }) = permit(context, request, kind)?;
    let offered = offered_subprotocols(headers);
    let named: Vec<&str> = offered
        .into_iter()
        .filter(|name| !name.starts_with("bearer."))
        .collect();
    let subprotocol = [SUBPROTOCOL_BINARY, SUBPROTOCOL_TEXT]
        .into_iter()
        .find(|known| named.contains(known));
    if subprotocol.is_none() && !named.is_empty() {
        let why = format!(
            "none of the offered subprotocols is spoken here; {SUBPROTOCOL_TEXT} and {SUBPROTOCOL_BINARY} are"
        );
        return refuse(StatusCode::BAD_REQUEST, ErrorCode::UnknownSubprotocol, why);
    }
    Ok((
        Admitted {
            rights,
            peer,
            binary: subprotocol == Some(SUBPROTOCOL_BINARY),
            seat,
            pulse: Arc::new(Pulse::new(context.patience)),
        },
        subprotocol,
    ))
}

/// Who makes a request, if it may use routes of this kind.
pub(super) fn permit(
    context: &Context,
    request: &Request,
    kind: Kind,
) -> Result<(Rights, Guest), Refused> {
    let Some(guest) = request.extensions().get::<Guest>() else {
        let why = "nobody knows where this request comes from";
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, why);
    };
    let offered = offered_subprotocols(request.headers());
    let rights = rights(context, request, guest.peer, &offered)?;
    let local = matches!(guest.peer, Peer::Local { .. });
    let permitted = match kind {
        Kind::Agent => rights.role == Role::Agent || local,
        Kind::Dashboard => rights.role.may_watch(),
    };
    if !permitted {
        let why = match kind {
            Kind::Agent => format!(
                "the role {} may not connect as an agent; issue a token with --role agent",
                rights.role
            ),
            Kind::Dashboard => {
                "the role agent may not watch; issue a token with --role viewer or operator"
                    .to_owned()
            }
        };
        return refuse(StatusCode::FORBIDDEN, ErrorCode::Forbidden, why);
    }
    Ok((rights, guest.clone()))
}

fn offered_subprotocols(headers: &HeaderMap) -> Vec<&str> {
    headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect()
}

/// Whom the daemon takes the peer for: on the unix socket its user decides, elsewhere its token.
fn rights(
    context: &Context,
    request: &Request,
    peer: Peer,
    offered: &[&str],
) -> Result<Rights, Refused> {
    match peer {
        Peer::Local {
            uid,
            permitted: true,
        } => Ok(Rights {
            role: Role::Admin,
            subject: format!("uid:{uid}"),
            agent: None,
        }),
        Peer::Local {
            uid,
            permitted: false,
        } => {
            let why =
                format!("this socket is for the daemon's own user and root, not for user {uid}");
            refuse(StatusCode::FORBIDDEN, ErrorCode::Forbidden, why)
        }
        Peer::Remote(_) => {
            let Some(token) = token(request, offered) else {
                let why = "a token is needed: Authorization: Bearer, a subprotocol bearer.TOKEN, or ?token=; \
                           `opsctl token issue` makes one";
                return refuse(StatusCode::UNAUTHORIZED, ErrorCode::TokenMissing, why);
            };
            auth::verify(&context.secret, &token)
                .or_else(|error| refuse(StatusCode::UNAUTHORIZED, error.code(), error.to_string()))
        }
    }
}

/// The token from whichever place holds one: header, subprotocol, query.
fn token(request: &Request, offered: &[&str]) -> Option<String> {
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let bearer = header.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim().to_owned())
    });
    // A header in another form is a wrong token, not a missing one.
    bearer
        .or_else(|| header.map(str::to_owned))
        .or_else(|| {
            offered
                .iter()
                .find_map(|name| name.strip_prefix("bearer."))
                .map(str::to_owned)
        })
        .or_else(|| {
            let query = request.uri().query()?;
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix("token="))
                .map(str::to_owned)
        })
}
