//! Tells a connection that there is no place for it, at next to no cost.

use std::time::Duration;

use axum::http::StatusCode;
use opsctl_protocol::message::{ErrorCode, ErrorPayload};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::census::Crowded;

/// How long telling may take.
const MOMENT: Duration = Duration::from_secs(1);

/// When to try again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Bytes of the request that are read; more than any honest one has.
const MAX_HEAD: usize = 8 * 1024;

/// Answers whatever is asked with a refusal, and hangs up.
pub(super) async fn turn_away<S>(mut stream: S, crowded: Crowded)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // A peer that doesn't wait for its answer has left, which is as well.
    let _ = timeout(MOMENT, async {
        // The answer would be lost if the socket were closed with the request unread.
        read_head(&mut stream).await?;
        stream.write_all(refusal(crowded).as_bytes()).await?;
        stream.shutdown().await
    })
    .await;
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<()> {
    let mut head = Vec::with_capacity(1024);
    while head.len() < MAX_HEAD && !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// What to say, and how: also to who has a connection and may not have another.
pub(super) fn sorry(crowded: Crowded) -> (StatusCode, ErrorPayload) {
    let status = match crowded {
        Crowded::Total => StatusCode::SERVICE_UNAVAILABLE,
        Crowded::Address => StatusCode::TOO_MANY_REQUESTS,
    };
    let error = ErrorPayload {
        retry_after_ms: Some(RETRY_AFTER.as_millis() as u64),
        ..ErrorPayload::new(ErrorCode::TooManyConnections, crowded.to_string())
    };
    (status, error)
}

/// The whole HTTP answer.
fn refusal(crowded: Crowded) -> String {
    let (status, error) = sorry(crowded);
    let body = serde_json::json!({ "error": error }).to_string();
    let (length, seconds) = (body.len(), RETRY_AFTER.as_secs());
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         retry-after: {seconds}\r\nconnection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn whoever_asks_is_told_why_and_when_to_come_back() {
        for (crowded, status) in [(Crowded::Total, "503 "), (Crowded::Address, "429 ")] {
            let (near, mut far) = duplex(4096);
            let turning = tokio::spawn(turn_away(near, crowded));
            far.write_all(b"GET /ws/agent HTTP/1.1\r\nHost: x\r\n\r\n")
                .await
                .unwrap();
            let mut answer = String::new();
            far.read_to_string(&mut answer).await.unwrap();
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{answer}"
            );
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("retry-after: 5"), "{head}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["error"]["code"], "too_many_connections");
            assert_eq!(body["error"]["retryAfterMs"], 5000);
            turning.await.unwrap();
        }
    }

    #[tokio::test]
    async fn whoever_never_asks_is_not_waited_for() {
        let (near, mut far) = duplex(4096);
        let turning = tokio::spawn(turn_away(near, Crowded::Total));
        far.write_all(b"GET /").await.unwrap();
        turning.await.unwrap();
    }
}
