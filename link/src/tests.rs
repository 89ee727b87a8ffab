//! Both halves of a connection against a peer that does as the test says.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use bytes::Bytes;

use super::*;

/// What fits into the pipe between the two.
const ROOM: usize = 4096;

/// In the tests' own time, which goes on when nobody has anything to do.
const MOMENT: Duration = Duration::from_millis(300);

const PATIENCE: Patience = Patience {
    heartbeat: MOMENT,
    stall: MOMENT,
    message: MOMENT,
};

/// The daemon's end of a connection, and the bare stream at its other end.
async fn connection(patience: Patience) -> (Reader<Metered<DuplexStream>>, Sender, DuplexStream) {
    let (near, far) = duplex(ROOM);
    let pulse = Arc::new(Pulse::new(patience));
    let stream = Metered::new(near, Arc::clone(&pulse));
    let websocket =
        WebSocketStream::from_raw_socket(stream, Role::Server, Some(websocket_config())).await;
    let (reader, sender) = split_with(websocket, pulse, BULK_LANE);
    (reader, sender, far)
}

/// A peer that speaks WebSocket.
async fn client(far: DuplexStream) -> WebSocketStream<DuplexStream> {
    WebSocketStream::from_raw_socket(far, Role::Client, None).await
}

/// Patience without an end.
fn endless() -> Patience {
    let long = Duration::from_hours(1);
    Patience {
        heartbeat: long,
        stall: long,
        message: long,
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_loses_its_connection() {
    let patience = Patience {
        stall: MOMENT,
        ..endless()
    };
    let (mut reader, sender, _far) = connection(patience).await;
    sender.bulk(vec![0; 4 * ROOM].into()).await.unwrap();
    assert!(matches!(reader.next().await, Err(LinkError::Stalled)));
    sender.closed().await;
    assert_eq!(sender.control(String::new()), Err(SendError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_control_lane_that_overflows_closes_with_4008() {
    let (mut reader, sender, far) = connection(endless()).await;
    while sender.control("x".repeat(64)).is_ok() {}
    let mut client = client(far).await;
    let close = loop {
        match client.next().await {
            Some(Ok(Message::Close(frame))) => break frame.unwrap(),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(u16::from(close.code), 4008);
    // The peer's own goodbye may be read first.
    let ended = reader.next().await;
    assert!(
        matches!(
            ended,
            Err(LinkError::Left { code: 4008, .. } | LinkError::Closed { .. })
        ),
        "{ended:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_gone_and_one_that_only_pongs_is_not() {
    let patience = Patience {
        heartbeat: MOMENT,
        ..endless()
    };
    let (mut reader, _sender, far) = connection(patience).await;
    let mut polite = client(far).await;
    // It answers three pings, and so lives longer than a silent one would; then nothing more.
    let answering = tokio::spawn(async move {
        let mut pings = 0;
        while pings < 3 {
            if let Some(Ok(Message::Ping(_))) = polite.next().await {
                polite.flush().await.unwrap();
                pings += 1;
            }
        }
        polite
    });
    for _ in 0..3 {
        assert!(matches!(reader.next().await, Ok(Frame::Pong(_))));
    }
    let _silent = answering.await.unwrap();
    assert!(matches!(reader.next().await, Err(LinkError::Silent { .. })));
}

/// A text frame of ten bytes from a client, without its end.
const HALF: [u8; 9] = [0x81, 0x8a, 0, 0, 0, 0, b'a', b'b', b'c'];

#[tokio::test(start_paused = true)]
async fn a_message_that_never_ends_does() {
    let patience = Patience {
        message: MOMENT,
        ..endless()
    };
    let (mut reader, _sender, mut far) = connection(patience).await;
    far.write_all(&HALF).await.unwrap();
    let ended = reader.next().await;
    assert!(
        matches!(ended, Err(LinkError::Unfinished { .. })),
        "{ended:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn pings_within_a_message_do_not_keep_it_alive() {
    let patience = Patience {
        message: MOMENT,
        ..endless()
    };
    let (mut reader, sender, mut far) = connection(patience).await;
    // A fragment without the end of its message, then pings for ever.
    far.write_all(&[0x01, 0x81, 0, 0, 0, 0, b'a'])
        .await
        .unwrap();
    let pinging = tokio::spawn(async move {
        let mut nothing = [0; 64];
        while far.write_all(&[0x89, 0x80, 0, 0, 0, 0]).await.is_ok()
            && far.read(&mut nothing).await.is_ok_and(|read| read > 0)
        {
            tokio::time::sleep(MOMENT / 10).await;
        }
    });
    let ended = reader.next().await;
    assert!(
        matches!(ended, Err(LinkError::Unfinished { .. })),
        "{ended:?}"
    );
    drop((reader, sender));
    pinging.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whole_messages_take_as_long_as_they_like() {
    let patience = Patience {
        message: MOMENT,
        ..endless()
    };
    let (mut reader, _sender, far) = connection(patience).await;
    let mut client = client(far).await;
    client.send(Message::text("one")).await.unwrap();
    assert!(matches!(reader.next().await, Ok(Frame::Text(_))));
    let later = tokio::spawn(async move {
        tokio::time::sleep(MOMENT * 3).await;
        client.send(Message::Ping(Bytes::new())).await.unwrap();
        client.send(Message::text("two")).await.unwrap();
        client
    });
    assert!(matches!(reader.next().await, Ok(Frame::Text(_))));
    later.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn time_without_a_listener_is_not_held_against_a_peer() {
    let patience = Patience {
        message: MOMENT,
        ..endless()
    };
    let (mut reader, _sender, mut far) = connection(patience).await;
    far.write_all(&HALF).await.unwrap();
    // Somebody looks for a moment, so that the message is known to have begun, and then has other things to do.
    for _ in 0..2 {
        let looked = tokio::time::timeout(MOMENT / 10, reader.next()).await;
        assert!(looked.is_err(), "{looked:?}");
        tokio::time::sleep(MOMENT * 2).await;
    }
    far.write_all(b"defghij").await.unwrap();
    assert!(matches!(reader.next().await, Ok(Frame::Text(text)) if text == "abcdefghij"));
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_that_was_announced_counts() {
    let (mut reader, sender, mut far) = connection(endless()).await;
    sender.set_heartbeat(PATIENCE.heartbeat);
    let mut ping = [0; 2];
    far.read_exact(&mut ping).await.unwrap();
    assert_eq!(
        ping[0], 0x89,
        "a ping, though the first heartbeat was an hour"
    );
    assert!(matches!(reader.next().await, Err(LinkError::Silent { .. })));
}
