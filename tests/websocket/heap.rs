//! Bytes on the heap at each stage of a connection's life, as the documentation of
//! [`Connection`] and of `websocket::deflate` states them. In a binary of its own, because
//! the crate `allocation_counter` brings the allocator that counts.

use yamabiko::websocket::deflate::{DeflateConfig, DeflateParameters, DeflatePool, WindowBits};
use yamabiko::websocket::frame::{CloseCode, CloseFrame};
use yamabiko::websocket::{Connection, Limits, State};
use yamabiko_testing::both_roles;
use yamabiko_testing::deflate::{EAGER, NO_TAKEOVER, TAKEOVER};
use yamabiko_testing::protocol::{Role, counting_keys, peer};

/// A connection, and what it has on the heap.
struct Measured {
    connection: Connection,
    bytes: usize,
    /// With room for all that is written, so that it does not grow.
    output: Vec<u8>,
}

impl Measured {
    fn open(open: impl FnOnce() -> Connection) -> Measured {
        let mut opened = None;
        let info = allocation_counter::measure(|| opened = Some(open()));
        Measured {
            connection: opened.expect("it was opened"),
            bytes: usize::try_from(info.bytes_current).expect("it frees nothing"),
            output: Vec::with_capacity(1 << 20),
        }
    }

    fn plain(role: Role, limits: Limits) -> Measured {
        Measured::open(|| connection(role, limits))
    }

    /// Adds what this work leaves on the heap. Its output counts as sent.
    fn after(&mut self, work: impl FnOnce(&mut Connection, &mut Vec<u8>)) -> usize {
        let (connection, output) = (&mut self.connection, &mut self.output);
        let info = allocation_counter::measure(|| work(connection, output));
        assert!(self.output.capacity() == 1 << 20, "the output has grown");
        self.output.clear();
        self.bytes = self
            .bytes
            .checked_add_signed(isize::try_from(info.bytes_current).expect("64 bits"))
            .expect("it frees what it has allocated");
        self.bytes
    }

    /// Receives these bytes; the application drops the events.
    fn after_receiving(&mut self, bytes: impl AsRef<[u8]>) -> usize {
        let mut bytes = bytes.as_ref().to_vec();
        self.after(|connection, output| {
            let mut input = &mut bytes[..];
            while let Ok(Some(_)) = connection.receive(&mut input, output) {}
        })
    }

    fn after_sending(&mut self, text: &str) -> usize {
        self.after(|connection, output| connection.send(text, output).expect("it is open"))
    }
}

fn connection(role: Role, limits: Limits) -> Connection {
    match role {
        Role::Server => Connection::server(limits),
        Role::Client => Connection::client(limits, counting_keys()),
    }
}

/// What is allocated with the connection: a client's keys.
fn opened_bytes(role: Role) -> usize {
    match role {
        Role::Server => 0,
        Role::Client => size_of::<usize>() * 2 + size_of_val(&counting_keys()),
    }
}

/// The boxes of an unfinished message, of rare state and of the Closes.
const BOX_BYTES_MAX: usize = 320;

both_roles!(idle_connection_has_nothing_on_the_heap_but_masking_keys);
fn idle_connection_has_nothing_on_the_heap_but_masking_keys(role: Role) {
    let (mut measured, peer) = (Measured::plain(role, Limits::default()), peer(role));
    let opened = opened_bytes(role);
    assert_eq!(measured.bytes, opened);
    assert_eq!(measured.after_sending("a message"), opened);
    for bytes in [
        peer.text("whole"),
        peer.binary([7; 60_000]),
        peer.ping("hi"),
        peer.pong(""),
    ] {
        assert_eq!(measured.after_receiving(&bytes), opened, "whole");
        // Cut behind its first byte, behind its header, and inside.
        for cut in [1, 2, bytes.len() / 2]
            .into_iter()
            .filter(|cut| *cut < bytes.len())
        {
            let (front, rest) = bytes.split_at(cut);
            let within = measured.after_receiving(front);
            assert!(
                within <= opened + 2 * front.len() + BOX_BYTES_MAX,
                "{within}"
            );
            assert_eq!(measured.after_receiving(rest), opened, "cut at {cut}");
        }
    }
}

both_roles!(unfinished_message_has_at_most_twice_the_bytes_that_have_arrived);
fn unfinished_message_has_at_most_twice_the_bytes_that_have_arrived(role: Role) {
    let (mut measured, peer) = (Measured::plain(role, Limits::default()), peer(role));
    let opened = opened_bytes(role);
    let begin = peer.binary_begins([1; 1000]);
    let bound = |arrived: usize| opened + 2 * arrived + BOX_BYTES_MAX;
    let mut arrived = 1000;
    let mut bytes = measured.after_receiving(begin);
    assert!(
        bytes > opened + arrived && bytes <= bound(arrived),
        "{bytes}"
    );
    // A header that claims a megabyte allocates nothing of it.
    for piece in [1, 999, 5000, 60_000] {
        arrived += piece;
        bytes = measured.after_receiving(peer.goes_on(vec![1; piece]));
        assert!(
            bytes > opened + arrived && bytes <= bound(arrived),
            "{bytes}"
        );
    }
    let claim = peer.header(yamabiko_testing::protocol::WireFrame::new(0, b""), 900_000);
    let claimed = measured.after_receiving(claim);
    assert!(claimed <= bound(arrived), "{claimed}");
    measured.after(|connection, _| drop(connection.end_of_input()));
    assert!(measured.bytes <= opened + BOX_BYTES_MAX, "lost");
}

both_roles!(unanswered_ping_is_kept_once_and_freed_when_it_is_answered);
fn unanswered_ping_is_kept_once_and_freed_when_it_is_answered(role: Role) {
    let limits = Limits {
        unsent_reply_bytes_max: 1,
        ..Limits::default()
    };
    let (mut measured, peer) = (Measured::plain(role, limits), peer(role));
    let opened = opened_bytes(role);
    let pings = peer.ping([7; 125]).repeat(100);
    let waiting = measured.after_receiving(pings);
    assert!(
        waiting > opened + 125 && waiting <= opened + 125 + BOX_BYTES_MAX,
        "{waiting}"
    );
    let answered = measured.after(|connection, output| connection.resume_replies(output));
    assert_eq!(answered, opened);
}

both_roles!(closing_connection_keeps_the_closes_and_nothing_else);
fn closing_connection_keeps_the_closes_and_nothing_else(role: Role) {
    let reason = "r".repeat(123);
    let opened = opened_bytes(role);
    let bound = opened + 2 * reason.len() + BOX_BYTES_MAX;
    // This end closes, in the middle of a message of the peer; the peer answers.
    let (mut measured, peer) = (Measured::plain(role, Limits::default()), peer(role));
    let close = CloseFrame::new(CloseCode::NORMAL, &reason);
    let closing = measured.after(|connection, output| {
        connection.close(close, output).expect("it is open");
    });
    assert!(
        closing > opened + reason.len() && closing <= bound,
        "{closing}"
    );
    measured.after_receiving(peer.text_begins("t".repeat(10_000)));
    assert!(measured.bytes > 10_000);
    let closed = measured.after_receiving(peer.close(1000, &reason));
    assert_eq!(measured.connection.state(), State::Closed);
    assert!(closed <= bound, "{closed}");
    // The peer breaks a rule in the middle of a message.
    let mut measured = Measured::plain(role, Limits::default());
    measured.after_receiving(peer.text_begins("t".repeat(10_000)));
    let failed = measured.after_receiving(peer.text("a message in a message"));
    assert_eq!(measured.connection.state(), State::Failed);
    assert!(failed <= bound, "{failed}");
}

/// The same with compression. The pool has what it keeps already, so that only the bytes of
/// the connection itself are counted.
fn compressing(role: Role, agreed: DeflateParameters, config: DeflateConfig) -> (Measured, Sender) {
    let pool = DeflatePool::default();
    let open = || connection(role, Limits::default()).with_deflate(agreed, &config, &pool);
    let mut warm = Measured::open(open);
    warm.after_sending(&text(2_000));
    warm.after_receiving(Sender::new(role, agreed).send(&text(200_000)));
    (Measured::open(open), Sender::new(role, agreed))
}

/// The peer of a connection under test.
struct Sender(Connection);

impl Sender {
    fn new(role: Role, agreed: DeflateParameters) -> Sender {
        let role = match role {
            Role::Server => Role::Client,
            Role::Client => Role::Server,
        };
        let plain = connection(role, Limits::default());
        Sender(plain.with_deflate(agreed, &EAGER, &DeflatePool::default()))
    }

    /// The frame of the message, which is compressed.
    fn send(&mut self, text: &str) -> Vec<u8> {
        let mut wire = Vec::new();
        self.0.send(text, &mut wire).expect("it is open");
        assert_eq!(wire[0], 0b1100_0001, "it gets shorter");
        wire
    }
}

/// A text that gets half as long by compression.
fn text(bytes: usize) -> String {
    let mut state = 0x9e37_79b9_u32;
    let digit = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        char::from(b"0123456789abcdef"[(state >> 11) as usize % 16])
    };
    std::iter::repeat_with(digit).take(bytes).collect()
}

/// Of the settings of compression, and of the bytes kept for a peer with context takeover.
const COMPRESSION_BYTES: usize = 32;
const HISTORY_BOX_BYTES: usize = 80;
const WINDOW_BYTES: usize = 32 << 10;

both_roles!(idle_connection_without_context_takeover_keeps_no_compression_state);
fn idle_connection_without_context_takeover_keeps_no_compression_state(role: Role) {
    let (mut measured, mut sender) = compressing(role, NO_TAKEOVER, EAGER);
    let opened = opened_bytes(role) + COMPRESSION_BYTES;
    assert_eq!(measured.bytes, opened);
    assert_eq!(measured.after_sending(&text(5_000)), opened);
    let message = sender.send(&text(100_000));
    assert_eq!(measured.after_receiving(&message), opened);

    let (front, rest) = message.split_at(1_000);
    let waiting = measured.after_receiving(front);
    assert!(
        waiting > opened + 900 && waiting <= opened + 2 * 1_000 + BOX_BYTES_MAX,
        "{waiting}"
    );
    let (middle, last) = rest.split_at(rest.len() / 2);
    let inflating = measured.after_receiving(middle);
    // A decompressor of the pool, and what is inflated: twice the bytes that have come.
    let inflated = 2 * (1_000 + middle.len());
    assert!(inflating > opened + inflated / 2, "{inflating}");
    assert!(
        inflating <= opened + 2 * inflated + (50 << 10) + BOX_BYTES_MAX,
        "{inflating}"
    );
    assert_eq!(measured.after_receiving(last), opened);
}

both_roles!(connection_that_only_inflates_costs_as_much_as_a_plain_one);
fn connection_that_only_inflates_costs_as_much_as_a_plain_one(role: Role) {
    let pool = DeflatePool::default();
    let open = || connection(role, Limits::default()).with_inflate(NO_TAKEOVER, &pool);
    let mut sender = Sender::new(role, NO_TAKEOVER);
    Measured::open(open).after_receiving(sender.send(&text(100_000)));
    let mut measured = Measured::open(open);
    assert_eq!(measured.bytes, opened_bytes(role));
    let received = measured.after_receiving(sender.send(&text(100_000)));
    assert_eq!(received, opened_bytes(role));
}

both_roles!(context_of_the_peer_costs_its_window_and_a_quarter_at_most);
fn context_of_the_peer_costs_its_window_and_a_quarter_at_most(role: Role) {
    let (mut measured, mut sender) = compressing(role, TAKEOVER, EAGER);
    let opened = opened_bytes(role) + COMPRESSION_BYTES + HISTORY_BOX_BYTES;
    assert!(measured.bytes <= opened, "{}", measured.bytes);
    let short = measured.after_receiving(sender.send(&text(1_000)));
    assert!(short > 1_000 && short <= opened + 2 * 1_000, "{short}");
    for bytes in [10_000, 20_000, 200_000, 50_000, 1_000] {
        let kept = measured.after_receiving(sender.send(&text(bytes)));
        assert!(kept <= opened + WINDOW_BYTES + WINDOW_BYTES / 4, "{kept}");
    }
    measured.after(|connection, _| drop(connection.end_of_input()));
    assert!(measured.bytes <= opened_bytes(role) + COMPRESSION_BYTES + BOX_BYTES_MAX);
}

both_roles!(own_context_costs_a_compressor_from_the_first_compressed_message_on);
fn own_context_costs_a_compressor_from_the_first_compressed_message_on(role: Role) {
    // The table of `websocket::deflate`.
    for (bits, kibibytes) in [(9, 147), (10, 149), (12, 161), (15, 273)] {
        let window = WindowBits::new(bits).expect("8 to 15");
        let config = DeflateConfig {
            server_max_window_bits: window,
            client_max_window_bits: window,
            threshold_bytes: 64,
            ..EAGER
        };
        let (mut measured, _) = compressing(role, TAKEOVER, config);
        let opened = measured.bytes;
        assert_eq!(measured.after_sending("short"), opened);
        let sent = measured.after_sending(&text(1_000)) - opened;
        let documented = kibibytes << 10;
        assert!(sent.abs_diff(documented) <= 2 << 10, "{bits} bits: {sent}");
        assert_eq!(measured.after_sending(&text(100_000)), opened + sent);
    }
}
