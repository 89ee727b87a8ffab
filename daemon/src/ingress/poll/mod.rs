//! Long-polling: a dashboard whose messages travel in HTTP answers, for networks that let no WebSocket through.
//!
//! - [`request`]: what polls and posts ask for.
//! - [`session`]: a dashboard's connection over a pipe within the daemon.
//! - [`held`]: what it holds for its reader.

mod held;
mod request;
mod session;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use opsctl_link::{Metered, Patience, Pulse, websocket_config};
use opsctl_protocol::limits::MESSAGE_DEADLINE;
use opsctl_protocol::message::{ErrorCode, ErrorPayload, Rights};
use opsctl_protocol::poll::{Cursor, IDLE, SessionId};
use tokio::io::duplex;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::hello::going_away;
use super::router::{refusal, refusal_of};
use super::serve::Guest;
use super::turn_away::sorry;
use super::upgrade::{Admitted, Kind, Refused, permit, refuse};
use super::{Context, dashboard};
use request::{Asked, Posting};
use session::{NotPosted, Posted, Posts, Session};

/// Bytes that may be under way between a session and its connection, each way: what is behind a Ctrl-C waits there.
const PIPE: usize = 16 * 1024;

/// The sessions that there are. Each holds a place of its own in the lobby, which bounds them.
#[derive(Debug, Default)]
pub struct Polls {
    sessions: Mutex<HashMap<SessionId, Arc<Session>>>,
}

impl Polls {
    /// The session that a cursor names, for whoever opened it.
    fn find(&self, cursor: Cursor, rights: &Rights) -> Result<Arc<Session>, Refused> {
        let Some(session) = self.sessions().get(&cursor.session).cloned() else {
            let why = "there is no such session, or none any more; open another with GET /poll without a cursor";
            return refuse(StatusCode::NOT_FOUND, ErrorCode::UnknownSession, why);
        };
        if session.owner != owner(rights) {
            let why = "this session was opened with somebody else's token";
            return refuse(StatusCode::FORBIDDEN, ErrorCode::Forbidden, why);
        }
        Ok(session)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Session>>> {
        // Entries come and go whole.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// To whom a session belongs. What the token of a later request may do less, this one may not use.
fn owner(rights: &Rights) -> String {
    format!("{} {}", rights.role, rights.subject)
}

/// `GET /poll`
pub(super) async fn poll(State(context): State<Context>, request: Request) -> Response {
    let asked = permit(&context, &request, Kind::Dashboard)
        .and_then(|(rights, guest)| Ok((rights, guest, Asked::read(request.uri())?)));
    drop(request);
    let (asked, session) = match asked {
        Ok((rights, guest, asked)) => {
            let session = match asked.cursor {
                Some(cursor) => go_on(&context, cursor, &rights),
                None => open(&context, rights, guest, &asked).await,
            };
            match session {
                Ok(session) => (asked, session),
                Err(refused) => return *refused,
            }
        }
        Err(refused) => return *refused,
    };
    tokio::select! {
        biased;
        () = session.news(asked.wait) => {}
        () = context.edges.doors.stop.cancelled() => {
            let goodbye = going_away(context.edges.lobby.len());
            session.close(opsctl_protocol::poll::Closed {
                code: goodbye.code.number(),
                reason: goodbye.reason,
            });
        }
    }
    json(session.answer())
}

fn go_on(context: &Context, cursor: Cursor, rights: &Rights) -> Result<Arc<Session>, Refused> {
    let session = context.polls.find(cursor, rights)?;
    match session.acknowledge(cursor.number) {
        Ok(()) => Ok(session),
        Err(error) => refuse(
            StatusCode::BAD_REQUEST,
            ErrorCode::BadRequest,
            error.to_string(),
        ),
    }
}

/// Opens a session, which is served like any dashboard.
async fn open(
    context: &Context,
    rights: Rights,
    guest: Guest,
    asked: &Asked,
) -> Result<Arc<Session>, Refused> {
    let peer = guest.peer;
    // Its own, since a connection may open many sessions and may end long before them.
    let seat = context
        .edges
        .lobby
        .enter(peer.origin(), format!("{peer} (long-polling)"))
        .map_err(|crowded| {
            let (status, error) = sorry(crowded);
            Box::new(refusal_of(status, &error))
        })?;
    let seat = Arc::new(seat);
    let (session, posts) = Session::new(unguessable()?, owner(&rights));
    let patience = Patience {
        // Its reader takes as long as polls may be apart, and what is full answers no ping meanwhile.
        heartbeat: IDLE,
        stall: IDLE,
        ..context.patience
    };
    let pulse = Arc::new(Pulse::new(patience));
    let (near, far) = duplex(PIPE);
    let near = Metered::new(near, Arc::clone(&pulse));
    let config = Some(websocket_config());
    let near = WebSocketStream::from_raw_socket(near, Role::Server, config).await;
    let far = WebSocketStream::from_raw_socket(far, Role::Client, config).await;
    let admitted = Admitted {
        rights,
        peer,
        binary: false,
        seat: Arc::clone(&seat),
        pulse,
    };
    let group = &context.edges.dashboards;
    group
        .tasks
        .spawn(dashboard::serve(context.clone(), near, admitted));
    context
        .polls
        .sessions()
        .insert(session.id, Arc::clone(&session));
    let served = serve(context.clone(), Arc::clone(&session), far, posts);
    group.tasks.spawn(async move {
        served.await;
        drop(seat);
    });
    if let Some(messages) = asked.first_messages() {
        let posted = Posted {
            number: None,
            messages,
            close: None,
        };
        // It has just begun, and has room; were it to end, the poll would say so.
        let _ = session.post(posted).await;
    }
    Ok(session)
}

/// A session's life among the others.
async fn serve(
    context: Context,
    session: Arc<Session>,
    pipe: WebSocketStream<tokio::io::DuplexStream>,
    posts: Posts,
) {
    let id = session.id;
    let stop = context.edges.dashboards.stop.clone();
    session.run(pipe, posts, stop).await;
    context.polls.sessions().remove(&id);
}

fn unguessable() -> Result<SessionId, Refused> {
    let mut bytes = [0; 16];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(SessionId(u128::from_ne_bytes(bytes))),
        Err(error) => {
            tracing::error!(%error, "the system gives no random numbers");
            let why = "the daemon's system gives no random numbers";
            refuse(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, why)
        }
    }
}

/// `POST /messages`
pub(super) async fn messages(State(context): State<Context>, request: Request) -> Response {
    let asked = permit(&context, &request, Kind::Dashboard).and_then(|(rights, _)| {
        let posting = Posting::read(request.uri())?;
        Ok((context.polls.find(posting.cursor, &rights)?, posting))
    });
    let (session, posting) = match asked {
        Ok(asked) => asked,
        Err(refused) => return *refused,
    };
    let messages = match timeout(MESSAGE_DEADLINE, request::body(request.into_body())).await {
        Ok(Ok(messages)) => messages,
        Ok(Err(refused)) => return *refused,
        Err(_) => {
            let why = format!("the body must be there within {MESSAGE_DEADLINE:?}");
            return refusal(StatusCode::REQUEST_TIMEOUT, ErrorCode::BadRequest, why);
        }
    };
    let posted = session.post(Posted {
        number: posting.number,
        messages,
        close: posting.close,
    });
    match timeout(MESSAGE_DEADLINE, posted).await {
        Ok(Ok(())) => {
            if posting.close.is_some() {
                session.leave();
                context.polls.sessions().remove(&session.id);
            }
            json("{}".to_owned())
        }
        Ok(Err(error @ NotPosted::Hole { .. })) => refusal(
            StatusCode::CONFLICT,
            ErrorCode::BadRequest,
            error.to_string(),
        ),
        Ok(Err(error @ NotPosted::Ended)) => refusal(
            StatusCode::NOT_FOUND,
            ErrorCode::UnknownSession,
            error.to_string(),
        ),
        Err(_) => {
            let why = "what was posted before is not taken yet; post this again with its number";
            let error = ErrorPayload {
                retry_after_ms: Some(1000),
                ..ErrorPayload::new(ErrorCode::RateLimited, why)
            };
            refusal_of(StatusCode::SERVICE_UNAVAILABLE, &error)
        }
    }
}

/// An answer that no cache on the way may keep.
fn json(body: String) -> Response {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, body).into_response()
}
