//! Hostile peers and slow ones: whatever one connection does, others are served.

use super::payloads::{binary, text};
use crate::case::{Case, Run, Setting, each, named, one};
use crate::frame::{CLOSE, CONTINUATION, Frame, LengthForm, PING};
use crate::http::Template;
use crate::script::{Expected, Script};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::must("resilience/claimed-length", "rfc6455-10.4-01",
        "A frame that claims to be huge costs the server nothing: others are served.", claimed_length).server(),
    Case::must("resilience/claimed-length-in-fragments", "rfc6455-10.4-01",
        "A fragment that claims to be huge costs the server nothing: others are served.", claimed_in_fragments).server(),
    Case::quality("resilience/ping-flood", "rfc6455-5.5.3-02",
        "After 10,000 pings the last one is answered.", ping_flood).heavy(),
    Case::quality("resilience/pong-flood", "rfc6455-5.5.3-04",
        "After 10,000 pongs a message is echoed.", pong_flood).heavy(),
    Case::quality("resilience/empty-fragments", "rfc6455-10.4-01",
        "A message in 10,000 empty fragments is echoed or fails the connection.", empty_fragments).heavy(),
    Case::quality("resilience/stalled-reader", "rfc6455-10.4-01",
        "While one client does not read, others are served.", stalled_reader).server().heavy(),
    Case::quality("resilience/messages-after-a-stall", "rfc6455-6.2-06",
        "A client that did not read for a while then gets every message in order.", messages_after_a_stall).heavy(),
    Case::quality("resilience/silent-connection", "rfc6455-10.4-01",
        "While one connection sends nothing or half a head, others are served.", silent_connection).server(),
    Case::quality("resilience/dribble", "rfc6455-6.2-01",
        "While one client sends single bytes, others are served.", dribble).server(),
    Case::quality("resilience/service-after-failures", "rfc6455-10.4-01",
        "After a connection or a request has failed, others are served.", service_after_failures).server(),
    Case::quality("resilience/silent-connection-is-ended", "rfc6455-10.4-01",
        "A connection without a whole request is ended within a minute (or --silence-max).", silent_is_ended).server().full(),
];

fn claims() -> [(&'static str, u64); 6] {
    [
        ("2^31 - 1", (1 << 31) - 1),
        ("2^31", 1 << 31),
        ("2^32", 1 << 32),
        ("2^40", 1 << 40),
        ("2^62", 1 << 62),
        ("2^63 - 1", (1 << 63) - 1),
    ]
}

fn claimed_length(_: &Setting) -> Vec<Run> {
    named(claims(), |&length| {
        Script::new()
            .frame(Frame::binary("begun").length(LengthForm::Claimed(length)))
            .expect(Expected::FreshConnection)
            .frame(Frame::new(PING, ""))
            .expect(Expected::FreshConnection)
    })
}

fn claimed_in_fragments(_: &Setting) -> Vec<Run> {
    named(claims(), |&length| {
        let second = Frame::new(CONTINUATION, "b").length(LengthForm::Claimed(length));
        Script::new()
            .frames([Frame::binary("a").more(), second])
            .expect(Expected::FreshConnection)
    })
}

fn ping_flood(_: &Setting) -> Vec<Run> {
    one(|| {
        let expected = Expected::PongAfter {
            last: b"last".to_vec(),
            others: b"flood".to_vec(),
        };
        Script::new()
            .repeat(Frame::ping("flood"), 10_000)
            .frame(Frame::ping("last"))
            .expect(expected)
            .closes()
    })
}

fn pong_flood(_: &Setting) -> Vec<Run> {
    one(|| {
        Script::new()
            .repeat(Frame::pong("flood"), 10_000)
            .echo("still there")
            .closes()
    })
}

fn empty_fragments(_: &Setting) -> Vec<Run> {
    one(|| {
        Script::new()
            .frame(Frame::text("").more())
            .repeat(Frame::continuation("").more(), 10_000)
            .frame(Frame::continuation("end"))
            .expect(Expected::MessageOrFailure {
                is_binary: false,
                payload: b"end".to_vec(),
            })
            .expect(Expected::FreshConnection)
    })
}

fn stalled_reader(_: &Setting) -> Vec<Run> {
    one(|| {
        Script::new()
            .pause(true)
            .repeat(Frame::binary(binary(8192)), 2000)
            .expect(Expected::FreshConnection)
            .reset()
            .expect(Expected::FreshConnection)
    })
}

fn messages_after_a_stall(_: &Setting) -> Vec<Run> {
    one(|| {
        let payload = binary(8192);
        let expected = Expected::Messages {
            count: 500,
            payload: payload.clone(),
        };
        Script::new()
            .pause(true)
            .repeat(Frame::binary(payload), 500)
            .expect(Expected::NoEnd)
            .pause(false)
            .expect(expected)
            .closes()
    })
}

fn silent_connection(_: &Setting) -> Vec<Run> {
    let beginnings = [
        ("nothing", ""),
        ("one letter", "G"),
        ("request line", "GET / HTTP/1.1\r\n"),
        (
            "no end",
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n",
        ),
    ];
    named(beginnings, |beginning| {
        let script = match *beginning {
            "" => Script::by_hand(),
            text => Script::by_hand().bytes(text, "the beginning of a request"),
        };
        script.expect(Expected::FreshConnection)
    })
}

fn dribble(_: &Setting) -> Vec<Run> {
    each(["frames"], |_| {
        Script::new()
            .pieces(1, [Frame::text(text(100))])
            .expect(Expected::FreshConnection)
            .text(text(100))
            .closes()
    })
    .into_iter()
    .chain(named([("head", ())], |()| {
        Script::by_hand()
            .head_pieces(1, Template::request())
            .expect(Expected::FreshConnection)
            .expect(Expected::Accepted(|_| Ok(())))
            .echo("a")
            .closes()
    }))
    .collect()
}

fn service_after_failures(_: &Setting) -> Vec<Run> {
    let frames = [
        ("illegal frame", Frame::text("a").rsv(1)),
        ("text that is not UTF-8", Frame::text([0xFF])),
        ("ping of 126 bytes", Frame::ping(text(126))),
        ("illegal Close", Frame::new(CLOSE, [0x03])),
    ];
    let mut runs = named(frames, |frame| {
        Script::new()
            .frame(frame.clone())
            .fails(&[1002, 1007])
            .expect(Expected::FreshConnection)
    });
    runs.extend(named([("refused request", ())], |()| {
        Script::by_hand()
            .head(Template::request().set("Sec-WebSocket-Version", "12"))
            .expect(Expected::NotAccepted)
            .expect(Expected::FreshConnection)
    }));
    runs
}

fn silent_is_ended(setting: &Setting) -> Vec<Run> {
    let time = setting.silence_max;
    let beginnings = [
        ("nothing", ""),
        ("half a head", "GET / HTTP/1.1\r\nHost: a\r\n"),
    ];
    let run = |(label, text): (&str, &'static str)| {
        Run::new(label, move || {
            Script::by_hand()
                .bytes(text, "the beginning of a request")
                .expect(Expected::EndWithin(time))
        })
    };
    beginnings.into_iter().map(run).collect()
}
