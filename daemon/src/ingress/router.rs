//! Which route does what; the same on the unix socket and on TCP.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use opsctl_protocol::message::{ErrorCode, ErrorPayload};

use super::upgrade::{Kind, upgrade};
use super::{Context, agent, dashboard, poll};

/// All routes.
pub fn router(context: Context) -> Router {
    Router::new()
        .route("/ws/agent", get(open_agent))
        .route("/ws/dashboard", get(open_dashboard))
        .route("/poll", get(poll::poll))
        .route("/messages", post(poll::messages))
        .route("/healthz", get(healthz))
        .fallback(nothing_here)
        .with_state(context)
}

async fn open_agent(State(context): State<Context>, request: Request) -> Response {
    upgrade(context, request, Kind::Agent, agent::serve)
}

async fn open_dashboard(State(context): State<Context>, request: Request) -> Response {
    upgrade(context, request, Kind::Dashboard, dashboard::serve)
}

async fn healthz(State(context): State<Context>) -> Response {
    if context.events.is_closed() {
        return refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Internal,
            "the hub has stopped",
        );
    }
    Json(serde_json::json!({ "status": "ok", "version": context.version })).into_response()
}

async fn nothing_here(request: Request) -> Response {
    let why = format!(
        "there is no {} here; see /ws/agent, /ws/dashboard, /poll, /messages, /healthz",
        request.uri().path()
    );
    refusal(StatusCode::NOT_FOUND, ErrorCode::BadRequest, why)
}

/// An HTTP error with the contract's body.
pub(super) fn refusal(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Response {
    refusal_of(status, &ErrorPayload::new(code, message))
}

/// The same with everything that such a body may hold.
pub(super) fn refusal_of(status: StatusCode, error: &ErrorPayload) -> Response {
    (status, Json(serde_json::json!({ "error": error }))).into_response()
}
