//! Web servers that do harm to the program that sends them webhooks: what they can make it hold, read, and connect to.

use std::io::{self, ErrorKind, Write};
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver};

use yamabiko_pusher::{Webhook, WebhookKind};
use yamabiko_testing::waiting::{TIMEOUT, eventually};

use crate::harness::{Service, app};
use crate::web_server::{Received, field, next_event, web_server_that};

/// A service whose webhook tells of occupied channels.
fn service(url: &str) -> Service {
    let webhook = Webhook::new(url).expect("a URL");
    Service::with(
        1,
        [app().webhook(webhook.kinds([WebhookKind::ChannelOccupied]))],
    )
}

/// A web server whose first answer is this, written until it is not taken any more, and whose others are `ok`. Tells how many bytes of
/// the first one were taken.
fn web_server_that_first(
    answers: impl Fn(&mut dyn Write) -> io::Result<usize> + Send + 'static,
) -> (String, Receiver<Received>, Receiver<usize>) {
    let (taken, bytes) = mpsc::channel();
    let mut is_first = true;
    let (url, requests) = web_server_that(move |stream: &mut dyn Write| {
        if std::mem::take(&mut is_first) {
            let count = answers(stream)?;
            // The test may have ended.
            let _ = taken.send(count);
            return Err(ErrorKind::ConnectionAborted.into());
        }
        stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\nok")
    });
    (url, requests, bytes)
}

/// The first answer to the event of the channel `a` counts as a failure, and the same request comes again, which is taken.
fn fails_once_and_comes_again(service: &Service, requests: &Receiver<Received>) {
    for _ in 0..2 {
        assert_eq!(next_event(requests)["channel"], "a");
    }
    eventually("it is taken", TIMEOUT, || {
        service.counts().webhook_events_sent == 1
    });
    assert_eq!(service.counts().webhook_requests_failed, 1);
}

/// Writes this again and again until the other end has gone. Returns how many bytes it took.
fn endlessly(stream: &mut dyn Write, bytes: &[u8]) -> usize {
    let mut count = 0;
    while stream.write_all(bytes).is_ok() {
        count += bytes.len();
    }
    count
}

#[test]
fn redirection_to_another_host_is_not_followed() {
    let internal = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = internal.local_addr().expect("an address");
    let (url, requests, _) = web_server_that_first(move |stream| {
        let fields = format!("Location: http://{address}/admin\r\nContent-Length: 0");
        stream.write_all(format!("HTTP/1.1 307 X\r\n{fields}\r\n\r\n").as_bytes())?;
        Ok(0)
    });
    let service = service(&url);
    let _client = service.subscribed_to(&["a"]);
    fails_once_and_comes_again(&service, &requests);
    internal.set_nonblocking(true).expect("a setting");
    let connected = internal.accept().expect_err("nobody has connected");
    assert_eq!(connected.kind(), ErrorKind::WouldBlock);
}

/// Also one that would be longer still if it were decompressed.
#[test]
fn body_without_end_is_not_read_to_its_end() {
    let (url, requests, taken) = web_server_that_first(|stream| {
        stream.write_all(b"HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08")?;
        Ok(endlessly(stream, &[0; 4096]))
    });
    let service = service(&url);
    let _client = service.subscribed_to(&["a", "b"]);
    let first = requests.recv_timeout(TIMEOUT).expect("a request");
    assert_eq!(field(&first.head, "Accept-Encoding"), None);
    // What the kernel holds for both ends is a part of it.
    let taken = taken.recv_timeout(TIMEOUT).expect("the connection ends");
    assert!(taken < 32 << 20, "{taken}");
    // The status had come: it was taken.
    assert_eq!(next_event(&requests)["channel"], "b");
    eventually("both are taken", TIMEOUT, || {
        service.counts().webhook_events_sent == 2
    });
    assert_eq!(service.counts().webhook_requests_failed, 0);
}

#[test]
fn head_without_end_is_a_failure_and_the_event_is_sent_again() {
    let (url, requests, taken) = web_server_that_first(|stream| {
        stream.write_all(b"HTTP/1.1 200 X\r\n")?;
        Ok(endlessly(
            stream,
            &b"X-Field: 0123456789012345678901234567890123456789\r\n".repeat(80),
        ))
    });
    let service = service(&url);
    let _client = service.subscribed_to(&["a"]);
    fails_once_and_comes_again(&service, &requests);
    let taken = taken.recv_timeout(TIMEOUT).expect("the connection ends");
    assert!(taken < 32 << 20, "{taken}");
}

#[test]
fn interim_responses_without_end_are_a_failure_and_the_event_is_sent_again() {
    let (url, requests, _) = web_server_that_first(|stream| {
        Ok(endlessly(
            stream,
            &b"HTTP/1.1 103 X\r\nLink: </a>\r\n\r\n".repeat(100),
        ))
    });
    let service = service(&url);
    let _client = service.subscribed_to(&["a"]);
    fails_once_and_comes_again(&service, &requests);
}
