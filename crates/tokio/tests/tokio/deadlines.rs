//! Keep-alive and the other deadlines, by a clock that stands still while a task can run.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;
use yamabiko::websocket::deadlines::Overdue;
use yamabiko::websocket::{CloseCode, Connection, Limits};
use yamabiko_tokio::{Error, Options, WebSocket};

use crate::pipe::{connected, drop_after};

/// A server, and its client as bytes.
fn server() -> (DuplexStream, WebSocket<DuplexStream>) {
    server_with(Options::default())
}

fn server_with(options: Options) -> (DuplexStream, WebSocket<DuplexStream>) {
    let (peer, server) = tokio::io::duplex(1 << 16);
    let connection = Connection::server(Limits::default());
    (peer, WebSocket::server(server, connection, options))
}

async fn bytes(peer: &mut DuplexStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    peer.read_exact(&mut bytes).await.expect("so many bytes");
    bytes
}

#[tokio::test(start_paused = true)]
async fn silent_peer_gets_a_ping_and_without_a_pong_it_is_given_up() {
    let start = Instant::now();
    let (mut peer, mut server) = server();
    let watching = async {
        assert_eq!(bytes(&mut peer, 2).await, b"\x89\x00"); // a ping
        assert_eq!(start.elapsed().as_secs(), 25);
        assert_eq!(bytes(&mut peer, 4).await[2..], [0x03, 0xf0]); // Close 1008
        assert_eq!(start.elapsed().as_secs(), 45);
    };
    let (read, ()) = tokio::join!(server.read(), watching);
    assert!(
        matches!(read, Err(Error::TimedOut(Overdue::Pong))),
        "{read:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn pong_begins_the_silence_anew() {
    let start = Instant::now();
    let (mut peer, mut server) = server();
    let watching = async {
        for seconds in [25, 51, 77] {
            assert_eq!(bytes(&mut peer, 2).await, b"\x89\x00");
            assert_eq!(start.elapsed().as_secs(), seconds);
            tokio::time::sleep(Duration::from_secs(1)).await;
            peer.write_all(b"\x8a\x80\0\0\0\0").await.expect("room");
        }
        peer.write_all(b"\x81\x81\0\0\0\0x").await.expect("room");
    };
    let (read, ()) = tokio::join!(server.read(), watching);
    assert_eq!(read.expect("no error"), Some("x".into()));
}

#[tokio::test(start_paused = true)]
async fn message_begins_the_silence_anew_for_the_task_that_reads_now() {
    let start = Instant::now();
    let (mut peer, mut server) = server();
    // Another task waits first, and the timer wakes that one.
    let reading = tokio::spawn(async move {
        assert!(drop_after(1, server.read()).await.is_none());
        server
    });
    let mut server = reading.await.expect("no panic");
    let watching = async {
        for seconds in [10, 20, 44] {
            tokio::time::sleep_until(start + Duration::from_secs(seconds)).await;
            peer.write_all(b"\x81\x81\0\0\0\0x").await.expect("room");
        }
        assert_eq!(bytes(&mut peer, 2).await, b"\x89\x00"); // a ping
        assert_eq!(start.elapsed().as_secs(), 44 + 25);
        drop(peer);
    };
    let reading = async {
        for _ in 0..3 {
            assert_eq!(server.read().await.expect("no error"), Some("x".into()));
        }
        server.read().await
    };
    let (read, ()) = tokio::join!(reading, watching);
    assert!(matches!(read, Err(Error::Lost(_))), "{read:?}");
}

#[tokio::test(start_paused = true)]
async fn idle_connections_keep_each_other_for_an_hour() {
    let (mut client, mut server) = connected(1000);
    let waiting = async {
        tokio::time::sleep(Duration::from_secs(3600)).await;
    };
    tokio::select! {
        read = client.read() => panic!("{read:?}"),
        read = server.read() => panic!("{read:?}"),
        () = waiting => {}
    }
    assert!(client.is_open() && server.is_open());
}

#[tokio::test(start_paused = true)]
async fn unanswered_close_ends_after_the_close_timeout() {
    let start = Instant::now();
    let (peer, mut server) = server();
    let ended = server.close(CloseCode::NORMAL).await.expect("no reason");
    assert!(!ended.clean);
    assert_eq!(start.elapsed().as_secs(), 5);
    let read = server.read().await;
    assert!(
        matches!(read, Err(Error::TimedOut(Overdue::Close))),
        "{read:?}"
    );
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn close_of_the_writer_brings_the_deadline_of_a_reader_that_waits_forward() {
    let start = Instant::now();
    let (peer, server) = server();
    let (mut reader, mut writer) = server.split();
    let closing = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        writer.close(CloseCode::NORMAL).await.expect("no reason");
    };
    let (read, ()) = tokio::join!(reader.read(), closing);
    assert!(
        matches!(read, Err(Error::TimedOut(Overdue::Close))),
        "{read:?}"
    );
    assert_eq!(start.elapsed().as_secs(), 6);
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn message_that_makes_no_progress_is_given_up() {
    let start = Instant::now();
    let (mut peer, mut server) = server();
    let watching = async {
        // A text in two fragments; pings between them do not help.
        peer.write_all(b"\x01\x81\0\0\0\0x").await.expect("room");
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(7)).await;
            _ = peer.write_all(b"\x89\x80\0\0\0\0").await;
        }
    };
    let (read, ()) = tokio::join!(
        async {
            let read = server.read().await;
            assert_eq!(start.elapsed().as_secs(), 30);
            read
        },
        watching
    );
    assert!(
        matches!(read, Err(Error::TimedOut(Overdue::Message))),
        "{read:?}"
    );
}

/// 20,000 bytes of a message of 40,000 wait in the read buffer, a shorter beginning in the connection.
#[tokio::test(start_paused = true)]
async fn beginning_of_a_long_message_has_its_time_too() {
    for (first, ends) in [
        (20_000, true),
        (20_000, false),
        (2_000, true),
        (2_000, false),
    ] {
        let start = Instant::now();
        let (mut peer, mut server) = server();
        let mut message = b"\x82\xfe\x9c\x40\0\0\0\0".to_vec();
        message.resize(8 + 40_000, b'x');
        let sending = async {
            let (beginning, rest) = message.split_at(first);
            peer.write_all(beginning).await.expect("room");
            tokio::time::sleep(Duration::from_secs(29)).await;
            if ends {
                peer.write_all(rest).await.expect("room");
            }
        };
        let (read, ()) = tokio::join!(server.read(), sending);
        match ends {
            true => {
                let read = read.expect("no error").expect("a message");
                assert_eq!(read.as_bytes(), &message[8..]);
                assert_eq!(start.elapsed().as_secs(), 29);
            }
            false => {
                assert!(
                    matches!(read, Err(Error::TimedOut(Overdue::Message))),
                    "{read:?}"
                );
                assert!((30..60).contains(&start.elapsed().as_secs()));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_timeouts_of_an_open_connection_only_its_close_has_one() {
    let mut options = Options::default();
    (options.timeouts.ping, options.timeouts.message) = (None, None);
    let (mut peer, mut server) = server_with(options);
    let start = Instant::now();
    let sending = async {
        peer.write_all(b"\x01\x81\0\0\0\0x").await.expect("room");
        tokio::time::sleep(Duration::from_secs(3600)).await;
        peer.write_all(b"\x80\x81\0\0\0\0y").await.expect("room");
    };
    let (read, ()) = tokio::join!(server.read(), sending);
    assert_eq!(read.expect("no error"), Some("xy".into()));
    assert_eq!(start.elapsed().as_secs(), 3600);
    let ended = server.close(CloseCode::NORMAL).await.expect("no reason");
    assert!(!ended.clean);
    assert_eq!(start.elapsed().as_secs(), 3605);
    // Nothing else was sent, as a ping.
    drop(server);
    let mut sent = Vec::new();
    peer.read_to_end(&mut sent).await.expect("the end");
    assert_eq!(sent, b"\x88\x02\x03\xe8");
}

#[tokio::test(start_paused = true)]
async fn peer_that_takes_bytes_slowly_is_alive() {
    let (mut peer, server) = tokio::io::duplex(10);
    let connection = Connection::server(Limits::default());
    let server = WebSocket::server(server, connection, Options::default());
    let (mut reader, mut writer) = server.split();
    let sending = async { writer.send([0; 100]).await };
    let taking = async {
        for _ in 0..12 {
            tokio::time::sleep(Duration::from_secs(15)).await;
            bytes(&mut peer, 8).await;
        }
    };
    tokio::select! {
        read = reader.read() => panic!("{read:?}"),
        ((), sent) = async { tokio::join!(taking, sending) } => sent.expect("it is open"),
    }
}
