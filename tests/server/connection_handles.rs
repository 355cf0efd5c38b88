//! Sending to one connection, and closing it, from threads that are no worker.

use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use yamabiko::server::{
    Admission, CloseCode, Closed, Config, ConnectionHandle, Context, Fragment, Handler, Message,
    NotSent, Refusal, Upgrade,
};
use yamabiko_testing::socket::{Client, TIMEOUT, TestServer, config, with_1_and_3_workers};

/// Gives the test a handle of each connection, and tells how it has closed. A text is sent back, `begin` begins a message in
/// fragments, and `wait` tells that it waits, until the test lets the worker go on.
struct HandsOut {
    handles: Sender<ConnectionHandle>,
    closed: Sender<(u16, String)>,
    waits: Sender<()>,
    go_on: std::sync::Mutex<Receiver<()>>,
}

impl Handler for HandsOut {
    type Session = ();

    fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn opened(&self, _: &mut (), context: &mut Context<'_>) {
        // An error means that the test is over.
        let _ = self.handles.send(context.handle());
    }

    fn message(&self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        match message {
            Message::Text("begin") => {
                let begun = context.send_fragment(Fragment::text(b"begun"));
                begun.expect("the first fragment");
            }
            Message::Text("wait") => {
                let go_on = self.go_on.lock().expect("no panic");
                let _ = self.waits.send(());
                let _ = go_on.recv_timeout(TIMEOUT);
            }
            message => context.send(message).expect("the client reads"),
        }
    }

    fn closed(&self, _: (), closed: &Closed<'_>, _: &mut Context<'_>) {
        let (code, reason) = (closed.ended.code(), closed.ended.reason().to_owned());
        let _ = self.closed.send((code, reason));
    }
}

struct Test {
    server: TestServer,
    handles: Receiver<ConnectionHandle>,
    closed: Receiver<(u16, String)>,
    waits: Receiver<()>,
    go_on: Sender<()>,
}

impl Test {
    fn start(config: Config) -> Test {
        let ((handles_in, handles), (closed_in, closed)) = (channel(), channel());
        let ((waits_in, waits), (go_on, go_on_out)) = (channel(), channel());
        let handler = HandsOut {
            handles: handles_in,
            closed: closed_in,
            waits: waits_in,
            go_on: go_on_out.into(),
        };
        Test {
            server: TestServer::start(config, handler),
            handles,
            closed,
            waits,
            go_on,
        }
    }

    /// A client, and the handle of its connection.
    fn open(&self) -> (Client, ConnectionHandle) {
        let client = Client::open(self.server.address);
        let handle = self.handles.recv_timeout(TIMEOUT);
        (client, handle.expect("the connection has opened"))
    }
}

#[test]
fn messages_of_a_thread_reach_the_one_client_in_their_order() {
    with_1_and_3_workers(|config| {
        let test = Test::start(config);
        let mut clients: Vec<_> = (0..4).map(|_| test.open()).collect();
        thread::scope(|scope| {
            for (number, (_, handle)) in clients.iter().enumerate() {
                scope.spawn(move || {
                    for message in 0..100 {
                        let receipt = handle.send(format!("{number}: {message}"));
                        assert_eq!(receipt.wait(), Ok(()));
                    }
                });
            }
        });
        for (number, (client, _)) in clients.iter_mut().enumerate() {
            for message in 0..100 {
                assert_eq!(client.read_text(), format!("{number}: {message}"));
            }
        }
    });
}

#[test]
fn client_that_a_thread_closes_gets_the_code_and_all_that_was_sent_before() {
    with_1_and_3_workers(|config| {
        let test = Test::start(config);
        let (mut client, handle) = test.open();
        let sent = handle.send("the last message");
        let closed = handle.close((CloseCode::GOING_AWAY, "the lesson is over"));
        assert_eq!((sent.wait(), closed.wait()), (Ok(()), Ok(())));
        let second = handle.close(CloseCode::NORMAL);
        assert_eq!(second.wait(), Err(NotSent::NotOpen));
        assert_eq!(handle.send("too late").wait(), Err(NotSent::NotOpen));
        assert_eq!(client.read_text(), "the last message");
        let (code, reason) = client.read_close();
        assert_eq!((code, reason.as_str()), (1001, "the lesson is over"));
        client.close(1001, "");
        client.expect_end();
        let closed = test.closed.recv_timeout(TIMEOUT).expect("it has closed");
        assert_eq!(closed.0, 1001);
    });
}

#[test]
fn handle_of_a_connection_that_has_ended_reaches_no_other_connection() {
    with_1_and_3_workers(|config| {
        let test = Test::start(config);
        let (client, old) = test.open();
        client.reset();
        test.closed.recv_timeout(TIMEOUT).expect("it has ended");
        // One of them has the socket's slot on the worker of the old one.
        let mut others: Vec<_> = (0..6).map(|_| test.open()).collect();
        assert_eq!(old.send("for nobody").wait(), Err(NotSent::NotOpen));
        assert_eq!(old.close(CloseCode::NORMAL).wait(), Err(NotSent::NotOpen));
        for (client, _) in &mut others {
            client.text("still here");
            assert_eq!(client.read_text(), "still here");
        }
    });
}

#[test]
fn handle_is_found_by_the_name_of_the_connection() {
    with_1_and_3_workers(|config| {
        let test = Test::start(config);
        let (mut client, handle) = test.open();
        let by_name = test.server.publisher.connection(handle.id());
        assert_eq!(by_name.send([1, 2, 3]).wait(), Ok(()));
        assert_eq!(client.read_frame().payload, [1, 2, 3]);
    });
}

#[test]
fn message_from_a_thread_is_refused_while_a_message_in_fragments_is_under_way() {
    let test = Test::start(config(1));
    let (client, handle) = test.open();
    let mut client = client.expecting_fragments();
    client.text("begin");
    assert_eq!(client.read_frame().payload, b"begun");
    assert_eq!(handle.send("whole").wait(), Err(NotSent::MessageUnderWay));
}

#[test]
fn message_from_a_thread_is_refused_when_the_clients_queue_is_full() {
    let test = Test::start(Config {
        backlog_bytes_max: 1 << 20,
        ..config(1)
    });
    let _silent = Client::open_narrow(test.server.address);
    let handle = test.handles.recv_timeout(TIMEOUT).expect("it has opened");
    let block = vec![7; 100 << 10];
    let results: Vec<_> = (0..200).map(|_| handle.send(&block).wait()).collect();
    let taken = results.iter().take_while(|sent| sent.is_ok()).count();
    assert!((1..200).contains(&taken), "{taken} blocks were taken");
    assert_eq!(results.last(), Some(&Err(NotSent::BacklogFull)));
}

#[test]
fn message_is_refused_when_the_mailbox_of_the_worker_is_full_and_not_before() {
    let test = Test::start(Config {
        mailbox_capacity: 2,
        ..config(1)
    });
    let (mut client, handle) = test.open();
    client.text("wait");
    test.waits.recv_timeout(TIMEOUT).expect("the handler waits");
    let receipts: Vec<_> = (0..6)
        .map(|number| handle.send(number.to_string()))
        .collect();
    test.go_on.send(()).expect("the handler waits");
    let results: Vec<_> = receipts.into_iter().map(|receipt| receipt.wait()).collect();
    let behind = Err(NotSent::WorkerBehind);
    assert_eq!(results, [Ok(()), Ok(()), behind, behind, behind, behind]);
    for number in ["0", "1"] {
        assert_eq!(client.read_text(), number);
    }
}

#[test]
fn receipt_of_a_server_that_has_stopped_tells_that_nothing_was_sent() {
    with_1_and_3_workers(|config| {
        let mut test = Test::start(config);
        let (mut client, handle) = test.open();
        let publisher = test.server.publisher.clone();
        test.server.shutdown();
        client.read_close();
        client.close(1001, "");
        drop(client);
        test.server.join().expect("no fault").expect("no failure");
        assert_eq!(handle.send("too late").wait(), Err(NotSent::NotOpen));
        let receipt = publisher.publish_counted("hall", "too late");
        assert_eq!(receipt.expect("no worker is behind").wait(), 0);
    });
}

#[test]
fn compression_that_was_agreed_on_holds_for_messages_of_threads() {
    let test = Test::start(Config {
        deflate: Some(Default::default()),
        workers: NonZeroUsize::MIN,
        ..config(1)
    });
    let client = Client::connect(test.server.address);
    let mut client = client.offering("permessage-deflate");
    let handle = test.handles.recv_timeout(TIMEOUT).expect("it has opened");
    assert_eq!(handle.send("echo ".repeat(1000)).wait(), Ok(()));
    let frame = client.read_frame();
    assert!(frame.compressed && frame.payload.len() < 100, "{frame:?}");
}
