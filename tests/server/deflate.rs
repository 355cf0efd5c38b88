//! permessage-deflate in the server (RFC 7692): rooms with compressed subscribers,
//! without them, and with both.

use std::collections::{BTreeMap, HashMap};
use std::thread;
use yamabiko::server::{
    Config, DeflateConfig, LagAction, LagPolicy, Limits, Message, Metrics, RoomLag, WindowBits,
};
use yamabiko::websocket::deflate::{DeflateParameters, DeflatePool};
use yamabiko::websocket::frame::Opcode;
use yamabiko::websocket::{self, Connection};
use yamabiko_testing::inflate::inflate_message;
use yamabiko_testing::socket::{
    self, Client, Deadline, Frame, LOOP_TIMEOUT, Running, TIMEOUT, eventually, frame,
    with_1_and_3_workers,
};

/// The offer of browsers.
const BROWSER: &str = "permessage-deflate; client_max_window_bits";

fn compressing(config: Config) -> Config {
    Config {
        deflate: Some(DeflateConfig::default()),
        ..config
    }
}

fn with_window(bits: u8) -> String {
    format!("permessage-deflate; server_max_window_bits={bits}")
}

fn offering(server: &Running, extension: &str) -> Client {
    Client::connect(server.address).offering(extension)
}

fn subscriber(server: &Running, room: &str, extension: &str) -> Client {
    let mut subscriber = offering(server, extension);
    subscriber.join(room);
    subscriber
}

/// A subscriber with compression on each worker.
fn subscriber_of_each_worker(server: &Running, workers: usize, room: &str) -> Vec<Client> {
    let mut subscribers = BTreeMap::new();
    for _ in 0..1000 {
        let mut client = offering(server, BROWSER);
        subscribers.entry(client.worker()).or_insert(client);
        if subscribers.len() == workers {
            break;
        }
    }
    assert_eq!(
        subscribers.len(),
        workers,
        "a worker gets no client from the kernel"
    );
    let mut subscribers: Vec<Client> = subscribers.into_values().collect();
    subscribers
        .iter_mut()
        .for_each(|subscriber| subscriber.join(room));
    subscribers
}

/// Compressible text of this length, different for each seed.
fn prose(seed: usize, bytes: usize) -> String {
    let mut text = String::new();
    for number in 0.. {
        if text.len() >= bytes {
            break;
        }
        text.push_str(&format!("{{\"sensor\":{seed},\"value\":{}}},", number * 37));
    }
    text.truncate(bytes);
    text
}

/// Bytes that look random.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// Letters of four bits of information each: the text cannot be compressed to less than
/// half of its length.
fn hexadecimal(seed: u64, bytes: usize) -> String {
    let digit = |byte: u8| char::from(b"0123456789abcdef"[usize::from(byte >> 4)]);
    noise(seed, bytes).into_iter().map(digit).collect()
}

/// Reads a text, compressed or not, for which a window of `window_bytes` suffices.
fn text_of(frame: &Frame, window_bytes: usize) -> String {
    assert_eq!(frame.opcode, Opcode::Text, "{frame:?}");
    let payload = if frame.compressed {
        let inflated = inflate_message(&[], &frame.payload);
        assert!(inflated.distance_max <= window_bytes, "{frame:?}");
        assert!(inflated.bytes.len() > frame.payload.len());
        inflated.bytes
    } else {
        frame.payload.clone()
    };
    String::from_utf8(payload).expect("a text is UTF-8")
}

fn metrics_when(server: &Running, what: &str, wanted: impl Fn(&Metrics) -> bool) -> Metrics {
    let mut metrics = Metrics::default();
    eventually(what, TIMEOUT, || {
        metrics = server.handle.metrics();
        wanted(&metrics)
    });
    metrics
}

/// The metrics when the server has compressed this many frames, or more.
fn when_compressed(server: &Running, frames: u64) -> Metrics {
    let what = format!("{frames} frames are compressed");
    metrics_when(server, &what, |metrics| metrics.compressed >= frames)
}

#[test]
fn server_agrees_to_compression_only_if_it_is_offered_and_configured() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config.clone());
        assert_eq!(offering(&server, BROWSER).extension, None);
        let server = Running::start(compressing(config));
        assert_eq!(Client::open(server.address).extension, None);
        assert_eq!(offering(&server, "x-unknown").extension, None);
        assert!(offering(&server, BROWSER).extension.is_some());
    });
}

#[test]
fn server_never_refers_to_earlier_messages_and_always_negotiates_that() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            deflate: Some(DeflateConfig {
                server_no_context_takeover: false,
                client_no_context_takeover: false,
                ..DeflateConfig::default()
            }),
            ..config
        });
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
        //= type=test
        //# A server MAY include the "server_no_context_takeover" extension
        //# parameter in an extension negotiation response even if the extension
        //# negotiation offer being accepted by the extension negotiation
        //# response didn't include the "server_no_context_takeover" extension
        //# parameter.
        let mut client = offering(&server, "permessage-deflate");
        let response = "permessage-deflate; server_no_context_takeover";
        assert_eq!(client.extension.as_deref(), Some(response));
        // With context takeover, the second frame of the same text would be shorter.
        let text = prose(1, 300);
        client.text(&text);
        client.text(&text);
        let (first, second) = (client.read_frame(), client.read_frame());
        assert!(first.compressed);
        assert_eq!(first, second);
        assert_eq!(text_of(&first, 1 << 15), text);
    });
}

/// Every kind of subscriber that a room can have: its offer, and its window.
fn kinds_of_subscribers() -> Vec<(String, usize)> {
    let mut kinds: Vec<_> = (8..=15)
        .map(|bits| (with_window(bits), 1 << bits))
        .collect();
    kinds.push((BROWSER.to_owned(), 1 << 15));
    kinds.push(("permessage-deflate".to_owned(), 1 << 15));
    kinds.push(("x-unknown".to_owned(), 0)); // plain
    kinds
}

/// Lengths near each limit: the threshold, the windows, the minimum of a shared record.
const LENGTHS: [usize; 12] = [
    20, 63, 64, 256, 257, 512, 513, 1_000, 5_000, 30_000, 70_000, 150_000,
];

#[test]
fn subscribers_of_every_encoding_receive_one_sequence() {
    with_1_and_3_workers(|config| {
        let workers = config.workers.get();
        let server = Running::start(compressing(config));
        let mut subscribers = Vec::new();
        for (extension, window_bytes) in kinds_of_subscribers() {
            subscribers.push((subscriber(&server, "hall", &extension), window_bytes));
        }
        for on_a_worker in subscriber_of_each_worker(&server, workers, "hall") {
            subscribers.push((on_a_worker, 1 << 15));
        }
        let publishers = 4;
        thread::scope(|scope| {
            for publisher in 0..publishers {
                let mut client = Client::open(server.address);
                scope.spawn(move || {
                    for (number, bytes) in LENGTHS.into_iter().enumerate() {
                        let text = prose(publisher * 100 + number, bytes);
                        client.text(&format!("/publish hall {publisher} {number} {text}"));
                    }
                });
            }
            let count = publishers * LENGTHS.len();
            let frames = subscribers
                .iter_mut()
                .map(|(subscriber, _)| (0..count).map(|_| subscriber.read_frame()).collect());
            let frames: Vec<Vec<Frame>> = frames.collect();
            expect_one_order(&subscribers, &frames);
            expect_each_publishers_order(&frames[0], publishers);
        });
    });
}

fn expect_one_order(subscribers: &[(Client, usize)], frames: &[Vec<Frame>]) {
    // The inflater is slow: it inflates each frame once for each window.
    let mut known: HashMap<(Vec<u8>, usize), String> = HashMap::new();
    let mut first: Option<Vec<String>> = None;
    for ((subscriber, window_bytes), frames) in subscribers.iter().zip(frames) {
        let mut texts = Vec::new();
        for frame in frames {
            let key = (frame.payload.clone(), *window_bytes);
            let text = known.entry(key);
            texts.push(
                text.or_insert_with(|| text_of(frame, *window_bytes))
                    .clone(),
            );
            // Seven bytes are for the numbers in front.
            let is_long = frames.iter().any(|frame| frame.compressed);
            assert_eq!(is_long, *window_bytes > 256, "{:?}", subscriber.extension);
        }
        let first = first.get_or_insert_with(|| texts.clone());
        assert!(*first == texts, "{:?} disagrees", subscriber.extension);
    }
}

fn expect_each_publishers_order(frames: &[Frame], publishers: usize) {
    let mut next = vec![0; publishers];
    for frame in frames {
        let text = text_of(frame, 1 << 15);
        let mut numbers = text.split(' ').map(str::parse);
        let (Some(Ok(publisher)), Some(Ok(number))) = (numbers.next(), numbers.next()) else {
            panic!("{text}");
        };
        let publisher: usize = publisher;
        assert_eq!(next[publisher], number, "publisher {publisher}");
        next[publisher] += 1;
    }
    assert_eq!(next, vec![LENGTHS.len(); publishers]);
}

#[test]
fn message_is_compressed_once_for_all_subscribers_on_all_workers() {
    with_1_and_3_workers(|config| {
        let workers = config.workers.get();
        let server = Running::start(compressing(config));
        let mut subscribers = subscriber_of_each_worker(&server, workers, "hall");
        subscribers.extend((0..6).map(|_| subscriber(&server, "hall", BROWSER)));
        subscribers.push(subscriber(&server, "hall", &with_window(15)));
        let mut publisher = Client::open(server.address);
        let (mut from, mut to) = (0, 0);
        for number in 0..50 {
            let text = prose(number, 100 + 1000 * number);
            publisher.text(&format!("/publish hall {text}"));
            let frames: Vec<Frame> = subscribers.iter_mut().map(Client::read_frame).collect();
            assert!(frames.iter().all(|frame| *frame == frames[0]));
            assert!(frames[0].compressed);
            let header_bytes = if frames[0].payload.len() < 126 { 2 } else { 4 };
            from += text.len() as u64;
            to += (frames[0].payload.len() + header_bytes) as u64;
        }
        // Each worker publishes its metrics at the end of its turn.
        let deliveries = 50 * subscribers.len() as u64;
        let metrics = metrics_when(&server, "all deliveries are counted", |metrics| {
            metrics.deliveries >= deliveries && metrics.compressed >= 50
        });
        assert_eq!((metrics.deliveries, metrics.compressed), (deliveries, 50));
        assert_eq!(metrics.compressed_from_bytes, from);
        assert_eq!(metrics.compressed_to_bytes, to);
    });
}

#[test]
fn narrow_windows_share_a_second_frame_for_messages_above_512_bytes() {
    with_1_and_3_workers(|config| {
        let server = Running::start(compressing(config));
        let mut subscribers = vec![subscriber(&server, "hall", BROWSER)];
        subscribers.extend((9..15).map(|bits| subscriber(&server, "hall", &with_window(bits))));
        let mut publisher = Client::open(server.address);
        let mut publish = |text: &str| -> Vec<Frame> {
            publisher.text(&format!("/publish hall {text}"));
            subscribers.iter_mut().map(Client::read_frame).collect()
        };
        let short = publish(&prose(1, 512));
        assert!(short.iter().all(|frame| *frame == short[0]));
        assert_eq!(when_compressed(&server, 1).compressed, 1);
        let long = publish(&prose(2, 513));
        assert!(long[1..].iter().all(|frame| *frame == long[1]));
        assert_eq!(text_of(&long[1], 1 << 9), text_of(&long[0], 1 << 15));
        assert_eq!(when_compressed(&server, 3).compressed, 3);
    });
}

#[test]
fn message_is_not_compressed_if_no_subscriber_takes_compression() {
    with_1_and_3_workers(|config| {
        let server = Running::start(compressing(config));
        let mut plain = server.subscribers(3, "hall");
        plain.push(subscriber(&server, "hall", &with_window(8)));
        let text = prose(1, 1000);
        plain[0].text(&format!("/publish hall {text}"));
        for subscriber in &mut plain {
            assert_eq!(subscriber.read_text(), text);
        }
        let metrics = metrics_when(&server, "all four deliveries are counted", |metrics| {
            metrics.deliveries >= 4
        });
        assert_eq!(metrics.compressed, 0);
    });
}

#[test]
fn message_that_is_too_short_or_does_not_shrink_is_sent_uncompressed() {
    with_1_and_3_workers(|config| {
        let threshold_bytes = 200;
        let server = Running::start(Config {
            deflate: Some(DeflateConfig {
                threshold_bytes,
                ..DeflateConfig::default()
            }),
            ..config
        });
        let mut listener = subscriber(&server, "hall", BROWSER);
        let long = "a".repeat(threshold_bytes);
        let short = &long[1..];
        // To a room, by a publisher, and to one client alone.
        listener.text(&format!("/publish hall {short}"));
        assert_eq!(listener.read_frame(), Frame::text(short));
        let published = server.publisher.publish("hall", Message::Text(short));
        assert_eq!(published, Ok(()));
        assert_eq!(listener.read_frame(), Frame::text(short));
        listener.text(short);
        assert_eq!(listener.read_frame(), Frame::text(short));

        listener.text(&format!("/publish hall {long}"));
        let compressed = listener.read_frame();
        assert!(compressed.compressed);
        assert_eq!(text_of(&compressed, 1 << 15), long);
        let published = server.publisher.publish("hall", Message::Text(&long));
        assert_eq!(published, Ok(()));
        assert_eq!(listener.read_frame(), compressed);
        listener.text(&long);
        assert_eq!(listener.read_frame(), compressed);

        let noise = noise(7, 100_000);
        let published = server.publisher.publish("hall", Message::Binary(&noise));
        assert_eq!(published, Ok(()));
        let plain = Frame::new(Opcode::Binary, noise.clone());
        assert!(listener.read_frame() == plain);
        listener.send(frame(Opcode::Binary, &noise));
        assert!(listener.read_frame() == plain);
        let metrics = when_compressed(&server, 3);
        assert_eq!(metrics.compressed, 3);
    });
}

#[test]
fn direct_message_is_compressed_for_the_window_that_was_agreed_on() {
    with_1_and_3_workers(|config| {
        let server = Running::start(compressing(config));
        for bits in 8..=15 {
            let mut client = offering(&server, &with_window(bits));
            for bytes in [64, 256, 257, 600, 40_000] {
                let text = prose(bytes, bytes);
                client.text(&text);
                let echo = client.read_frame();
                assert_eq!(text_of(&echo, 1 << bits), text);
                assert_eq!(echo.compressed, bits > 8 || bytes <= 256, "{bits} {bytes}");
            }
        }
        let mut plain = Client::open(server.address);
        plain.text(&prose(1, 600));
        assert_eq!(plain.read_text(), prose(1, 600));
    });
}

#[test]
fn long_message_that_is_compressed_in_steps_comes_before_the_close_of_its_subscriber() {
    let server = Running::start(compressing(socket::config(1)));
    let mut subscribers = [BROWSER, &with_window(9), "x-unknown"]
        .map(|extension| subscriber(&server, "hall", extension));
    let text = prose(1, 400_000);
    let published = server.publisher.publish("hall", &text);
    published.expect("the server takes messages");
    server.shutdown();
    for subscriber in &mut subscribers {
        let frame = subscriber.read_frame();
        assert_eq!(text_of(&frame, 1 << 15), text);
        assert_eq!(subscriber.read_close().0, 1001);
    }
}

#[test]
fn excepted_subscriber_receives_nothing_and_all_others_do_in_every_encoding() {
    with_1_and_3_workers(|config| {
        let server = Running::start(compressing(config));
        let mut subscribers = vec![
            subscriber(&server, "hall", "x-unknown"),
            subscriber(&server, "hall", "x-unknown"),
            subscriber(&server, "hall", BROWSER),
            subscriber(&server, "hall", BROWSER),
            subscriber(&server, "hall", &with_window(10)),
            subscriber(&server, "hall", &with_window(11)),
        ];
        // Long enough to be shared by reference between workers, too.
        for bytes in [300, 1000, 100_000] {
            for sender in 0..subscribers.len() {
                let text = hexadecimal(sender as u64, bytes);
                subscribers[sender].text(&format!("/publish-except hall {text}"));
                for (other, subscriber) in subscribers.iter_mut().enumerate() {
                    if other != sender {
                        assert_eq!(text_of(&subscriber.read_frame(), 1 << 15), text);
                    }
                }
            }
        }
        // No other message was sent to any of them.
        subscribers[0].text("/publish hall the end");
        for subscriber in &mut subscribers {
            assert_eq!(subscriber.read_text(), "the end");
        }
    });
}

#[test]
fn room_exists_while_any_encoding_has_a_subscriber() {
    // With several workers, a new subscriber may also receive messages in flight.
    let server = Running::start(compressing(socket::config(1)));
    let mut plain = Client::open(server.address);
    let mut compressed = offering(&server, BROWSER);
    let mut publisher = Client::open(server.address);
    let text = prose(1, 400);
    for _ in 0..3 {
        plain.join("hall");
        compressed.join("hall");
        publisher.text(&format!("/publish hall {text}"));
        assert_eq!(plain.read_text(), text);
        assert_eq!(text_of(&compressed.read_frame(), 1 << 15), text);
        plain.text("/leave hall");
        assert_eq!(plain.read_text(), "left");
        publisher.text(&format!("/publish hall {text}"));
        assert!(compressed.read_frame().compressed);
        plain.join("hall");
        compressed.text("/leave hall");
        assert_eq!(compressed.read_frame(), Frame::text("left"));
        publisher.text(&format!("/publish hall {text}"));
        assert_eq!(plain.read_text(), text);
        // To join twice has no effect.
        plain.join("hall");
        publisher.text("/publish hall once");
        assert_eq!(plain.read_text(), "once");
        plain.text("/leave hall");
        assert_eq!(plain.read_text(), "left");
    }
}

/// A subscriber with compression whose kernel buffers are small.
fn slow_subscriber(server: &Running, room: &str, extension: &str) -> Client {
    let mut slow = Client::connect_narrow(server.address).offering(extension);
    slow.join(room);
    slow
}

/// Publishes at the speed of a reader until the server has acted on a slow subscriber. Returns the
/// frames.
fn publish_until(
    server: &Running,
    room: &str,
    reader: &mut Client,
    acted: impl Fn(&Metrics) -> bool,
) -> Vec<Frame> {
    let mut publisher = Client::open(server.address);
    let mut frames = Vec::new();
    eventually(
        "the server acts on the slow subscriber",
        LOOP_TIMEOUT,
        || {
            let text = hexadecimal(frames.len() as u64, 300_000);
            publisher.text(&format!("/publish {room} {text}"));
            let frame = reader.read_frame();
            assert!(frame.compressed && frame.payload.len() > 100_000);
            frames.push(frame);
            acted(&server.handle.metrics())
        },
    );
    frames
}

fn number_missed(frame: &Frame) -> Option<u64> {
    let text = std::str::from_utf8(&frame.payload).ok()?;
    let rest = text.strip_prefix("missed ")?;
    rest.split(' ').next()?.parse().ok()
}

/// Reads the frames of a slow subscriber until their number and that of the missed ones is the number of
/// published frames; all are whole and in their order.
fn read_account(slow: &mut Client, published: &[Frame]) -> (usize, u64) {
    let (mut whole, mut missed, mut next) = (0, 0, 0);
    while whole as u64 + missed < published.len() as u64 {
        let frame = slow.read_frame();
        if let Some(number) = number_missed(&frame) {
            missed += number;
            continue;
        }
        let later = published[next..].iter().position(|other| *other == frame);
        next += later.expect("a frame as it was published, in its order") + 1;
        whole += 1;
    }
    (whole, missed)
}

#[test]
fn skip_action_skips_compressed_messages() {
    with_1_and_3_workers(|config| {
        let server = Running::start(compressing(config));
        let mut slow = slow_subscriber(&server, "skip", BROWSER);
        let mut reader = subscriber(&server, "skip", BROWSER);
        let acted = |metrics: &Metrics| metrics.skipped > 0;
        let published = publish_until(&server, "skip", &mut reader, acted);
        let (_, missed) = read_account(&mut slow, &published);
        assert!(missed > 0);
        reader.text("/publish skip and it goes on");
        assert_eq!(slow.read_text(), "and it goes on");
        let metrics = metrics_when(&server, "all missed messages are counted", |metrics| {
            metrics.skipped >= missed
        });
        assert_eq!(metrics.skipped, missed);
    });
}

#[test]
fn latest_action_keeps_only_the_newest_compressed_message() {
    with_1_and_3_workers(|config| {
        let server = Running::start(compressing(config));
        let mut slow = slow_subscriber(&server, "latest", BROWSER);
        let mut reader = subscriber(&server, "latest", BROWSER);
        let acted = |metrics: &Metrics| metrics.skipped > 0;
        let published = publish_until(&server, "latest", &mut reader, acted);
        let (_, missed) = read_account(&mut slow, &published);
        assert!(missed > 0);
        reader.text(&format!("/publish latest {}", prose(1, 500)));
        assert_eq!(text_of(&slow.read_frame(), 1 << 15), prose(1, 500));
    });
}

#[test]
fn lag_limit_counts_the_bytes_of_the_subscribers_own_encoding() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            // Less than two uncompressed messages, more than two compressed ones.
            lag_policy: LagPolicy {
                bytes_max: 400_000,
                age_max: None,
                action: LagAction::Disconnect,
                ..LagPolicy::default()
            },
            ..compressing(config)
        });
        let mut slow = slow_subscriber(&server, "hall", BROWSER);
        let mut reader = subscriber(&server, "hall", BROWSER);
        let acted = |metrics: &Metrics| metrics.disconnected > 0;
        let published = publish_until(&server, "hall", &mut reader, acted);
        let mut whole = 0;
        let close = loop {
            let frame = slow.read_frame();
            if frame.opcode == Opcode::Close {
                break frame;
            }
            assert!(frame == published[whole]);
            whole += 1;
        };
        assert_eq!(close.payload[..2], 1013u16.to_be_bytes());
        let reason = String::from_utf8_lossy(&close.payload[2..]);
        let behind = reason.split(' ').find_map(|word| word.parse().ok());
        // One message over the limit, in its compressed length.
        let on_the_wire = published[0].payload.len() as u64 * 11 / 10;
        let behind: u64 = behind.expect("how far it was behind");
        assert!(
            (400_001..=400_000 + on_the_wire).contains(&behind),
            "{reason}"
        );
    });
}

#[test]
fn lags_has_one_entry_for_a_room_with_several_encodings() {
    let server = Running::start(Config {
        lag_policy: LagPolicy {
            bytes_max: u64::MAX,
            age_max: None,
            ..LagPolicy::default()
        },
        ..compressing(socket::config(1))
    });
    let mut slow_plain = Client::open_narrow(server.address);
    slow_plain.join("hall");
    let mut slow = slow_subscriber(&server, "hall", BROWSER);
    let mut reader = subscriber(&server, "hall", BROWSER);
    let mut narrow = subscriber(&server, "hall", &with_window(10));
    let mut publisher = Client::open(server.address);
    let mut texts = 0;
    // An answer may come in the turn that has written to the readers, before its end. The second one comes in a later turn.
    let turn = |client: &mut Client| {
        for _ in 0..2 {
            client.text("metrics are published at the end of a turn");
            client.read_text();
        }
    };
    let deadline = Deadline::after(LOOP_TIMEOUT);
    let lag = loop {
        deadline.check("both slow subscribers are behind");
        publisher.text(&format!("/publish hall {}", hexadecimal(texts, 200_000)));
        texts += 1;
        reader.read_frame();
        narrow.read_frame();
        turn(&mut publisher);
        match server.handle.lags().as_slice() {
            [] => {}
            [lag] if lag.behind == 2 => break lag.clone(),
            [lag] => assert_eq!(lag.behind, 1),
            lags => panic!("{lags:?}"),
        }
    };
    let RoomLag {
        room, subscribers, ..
    } = &lag;
    assert_eq!((&**room, *subscribers), ("hall", 4));
    assert!(lag.held_bytes as u64 > lag.bytes);
    // One of them catches up, and then the other.
    (0..texts).for_each(|_| assert!(slow.read_frame().compressed));
    eventually("one of them has caught up", TIMEOUT, || {
        turn(&mut publisher);
        server.handle.lags().iter().all(|lag| lag.behind < 2)
    });
    let lags = server.handle.lags();
    assert_eq!((lags.len(), lags[0].subscribers), (1, 4));
    (0..texts).for_each(|_| assert_eq!(slow_plain.read_text().len(), 200_000));
    eventually("both have caught up", TIMEOUT, || {
        turn(&mut publisher);
        server.handle.lags().is_empty()
    });
}

/// A client that compresses its messages.
struct Compressing(Connection);

impl Compressing {
    fn with(agreed: DeflateParameters) -> Compressing {
        let config = DeflateConfig {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            threshold_bytes: 0,
            ..DeflateConfig::default()
        };
        let connection = Connection::client(Limits::default(), || [1, 2, 3, 4]);
        Compressing(connection.with_deflate(agreed, &config, &DeflatePool::default()))
    }

    fn frame(&mut self, message: websocket::Message<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let sent = self.0.send(message, &mut bytes);
        sent.expect("the connection is open");
        bytes
    }
}

#[test]
fn clients_may_use_context_takeover_if_the_server_allows_it() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            deflate: Some(DeflateConfig {
                client_no_context_takeover: false,
                client_max_window_bits: WindowBits::new(10).expect("a window"),
                ..DeflateConfig::default()
            }),
            ..config
        });
        let mut client = offering(&server, BROWSER);
        let response = client.extension.clone().expect("compression is agreed on");
        assert!(
            !response.contains("client_no_context_takeover"),
            "{response}"
        );
        assert!(response.contains("client_max_window_bits=10"), "{response}");
        let mut own = Compressing::with(DeflateParameters {
            client_max_window_bits: WindowBits::new(10).expect("a window"),
            ..DeflateParameters::default()
        });
        let text = prose(1, 400);
        let sizes = [0; 3].map(|_| {
            let bytes = own.frame(websocket::Message::Text(&text));
            client.send(&bytes);
            assert_eq!(text_of(&client.read_frame(), 1 << 15), text);
            bytes.len()
        });
        assert!(
            sizes[1] < sizes[0] / 2 && sizes[2] < sizes[0] / 2,
            "{sizes:?}"
        );
    });
}

#[test]
fn message_that_inflates_to_the_limit_is_accepted_and_one_byte_more_fails_with_1009() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            limits: Limits {
                message_bytes_max: 1 << 20,
                inflate_ratio_max: u32::MAX,
                ..Limits::default()
            },
            ..compressing(config)
        });
        let mut witness = offering(&server, BROWSER);
        for bytes in [1 << 20, (1 << 20) + 1, 8 << 20] {
            let zeros = vec![0; bytes];
            let mut own = Compressing::with(DeflateParameters::default());
            let bomb = own.frame(websocket::Message::Binary(&zeros));
            assert!(bomb.len() < bytes / 100);
            let mut client = offering(&server, BROWSER);
            client.send(&bomb);
            if bytes == 1 << 20 {
                let echo = client.read_frame();
                assert!(echo.compressed);
                assert!(inflate_message(&[], &echo.payload).bytes == zeros);
            } else {
                assert_eq!(client.read_close().0, 1009);
                client.expect_end();
            }
        }
        witness.text("still here");
        assert_eq!(witness.read_text(), "still here");
    });
}

#[test]
fn message_of_1033_bytes_that_would_become_1_mib_is_refused() {
    with_1_and_3_workers(|config| {
        let server = Running::start(compressing(config));
        let mut witness = offering(&server, BROWSER);
        for (bytes, is_within) in [(64 << 10, true), (1 << 20, false)] {
            let mut own = Compressing::with(DeflateParameters::default());
            let bomb = own.frame(websocket::Message::Binary(&vec![0; bytes]));
            assert!(bomb.len() < 1_100);
            let mut client = offering(&server, BROWSER);
            client.send(&bomb);
            if is_within {
                let echo = client.read_frame();
                assert_eq!(inflate_message(&[], &echo.payload).bytes.len(), bytes);
            } else {
                let (code, reason) = client.read_close();
                assert_eq!(code, 1009);
                assert!(reason.contains("ratio"), "{reason}");
                client.expect_end();
            }
        }
        witness.text("still here");
        assert_eq!(witness.read_text(), "still here");
    });
}

#[test]
fn invalid_compressed_data_ends_only_its_connection() {
    with_1_and_3_workers(|config| {
        let server = Running::start(compressing(config));
        let mut witness = offering(&server, BROWSER);
        let mut client = offering(&server, BROWSER);
        // A block of the type that is reserved (RFC 1951 §3.2.3).
        let mut bytes = frame(Opcode::Binary, &[0b111, 0, 0]);
        bytes[0] |= 0b0100_0000;
        client.send(&bytes);
        assert_eq!(client.read_close().0, 1007);
        client.expect_end();
        // Without an agreement, RSV1 is an error.
        let mut plain = Client::open(server.address);
        plain.send(&bytes);
        assert_eq!(plain.read_close().0, 1002);
        witness.text("still here");
        assert_eq!(witness.read_text(), "still here");
    });
}
