//! The examples of RFC 6455 §5.7 in `vectors/rfc6455-5.7.txt`, in both directions: an endpoint
//! receives the event of the bytes, and sends these bytes for the event.

use yamabiko_testing::protocol::*;

const VECTORS: &str = include_str!("vectors/rfc6455-5.7.txt");

struct Vector {
    receiver: Role,
    event: Received,
    frames: Vec<Vec<u8>>,
}

fn vectors() -> Vec<Vector> {
    let lines = VECTORS.lines().filter(|line| !line.starts_with('#'));
    lines.map(vector).collect()
}

fn vector(line: &str) -> Vector {
    let mut columns = line.split_whitespace();
    let mut column = || columns.next().expect("four columns");
    let receiver = match column() {
        "server" => Role::Server,
        "client" => Role::Client,
        role => panic!("{role}"),
    };
    let (event, payload) = (column(), column());
    let zeros = payload
        .strip_suffix("x00")
        .map(|n| vec![0; n.parse().unwrap()]);
    let mut frames: Vec<_> = columns.map(hexadecimal).collect();
    if let Some(zeros) = &zeros {
        // The RFC shows only the headers of these two examples.
        frames[0].extend(zeros);
    }
    let payload = zeros.unwrap_or_else(|| hexadecimal(payload));
    let event = match event {
        "text" => Received::Text(String::from_utf8(payload).unwrap()),
        "binary" => Received::Binary(payload),
        "ping" => Received::Ping(payload),
        "pong" => Received::Pong(payload),
        event => panic!("{event}"),
    };
    Vector {
        receiver,
        event,
        frames,
    }
}

fn hexadecimal(digits: &str) -> Vec<u8> {
    assert_eq!(digits.len() % 2, 0);
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

#[test]
fn file_has_all_seven_examples() {
    assert_eq!(vectors().len(), 7);
}

#[test]
fn each_example_is_received_whole_and_byte_by_byte() {
    for vector in vectors() {
        let wire = vector.frames.concat();
        let expected = [vector.event];
        assert_eq!(open(vector.receiver).receive(&wire), expected);
        let mut endpoint = open(vector.receiver);
        assert_eq!(endpoint.receive_in_pieces(wire.chunks(1)), expected);
    }
}

#[test]
fn sender_writes_each_example() {
    for vector in vectors() {
        let sender = match vector.receiver {
            Role::Server => Connection::client(Limits::default(), || RFC_KEY),
            Role::Client => Connection::server(Limits::default()),
        };
        assert_eq!(written(sender, &vector), vector.frames.concat());
    }
}

fn written(mut sender: Connection, vector: &Vector) -> Vec<u8> {
    let mut output = Vec::new();
    if vector.frames.len() == 1 {
        let sent = match &vector.event {
            Received::Text(text) => sender.send(Message::Text(text), &mut output),
            Received::Binary(bytes) => sender.send(Message::Binary(bytes), &mut output),
            Received::Ping(payload) => sender.ping(payload, &mut output),
            Received::Pong(payload) => sender.pong(payload, &mut output),
            event => panic!("{event:?}"),
        };
        assert_eq!(sent, Ok(()));
    } else {
        for (part, last) in [("Hel", false), ("lo", true)] {
            let fragment = Fragment::text(part.as_bytes());
            assert_eq!(
                sender.send_fragment(fragment.last_if(last), &mut output),
                Ok(())
            );
        }
    }
    output
}

#[test]
fn ping_example_is_answered_by_the_pong_example() {
    // §5.7 has an unmasked Ping, and the masked Pong in response.
    let mut client = Connection::client(Limits::default(), || RFC_KEY);
    let mut bytes = *b"\x89\x05\x48\x65\x6c\x6c\x6f";
    let mut replies = Vec::new();
    let event = client.receive(&mut &mut bytes[..], &mut replies);
    assert_eq!(event, Ok(Some(Event::Ping(b"Hello"[..].into()))));
    assert_eq!(replies, b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
}
