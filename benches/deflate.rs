//! permessage-deflate: what a connection adds to the library that it uses.
//!
//! `cargo bench --bench deflate`
//!
//! | benchmark | one iteration |
//! |---|---|
//! | `receive/yamabiko` | `Connection::receive` of one compressed text, as server, until it says that there is no more |
//! | `receive/library` | the same bytes: reset, inflate into a buffer that is there already, UTF-8 |
//! | `fan out/yamabiko` | `MessageDeflater::write_frame` into a buffer that is there already |
//! | `send/yamabiko` | `Connection::send` as server, without context takeover |
//! | `*/library` | reset and compress, with the same parameters, into a buffer that is there already |
//!
//! The groups with `takeover` do the same with context takeover, where no state is reset:
//! each message may refer to the 32 KiB before it. An iteration is one of a few messages of
//! the same size, in turn.
//!
//! The input is JSON as a ticker would send it. Throughput is in its bytes.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use yamabiko::websocket::deflate::{DeflateConfig, DeflateParameters, DeflatePool, WindowBits};
use yamabiko::websocket::frame::{FrameHeader, mask};
use yamabiko::websocket::{Connection, Event, Limits, Message, MessageDeflater};
use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush};

const SIZES: [usize; 4] = [256, 1 << 10, 16 << 10, 64 << 10];
const LEVELS: [u8; 2] = [1, 6];
const KEY: [u8; 4] = [0x0a, 0x01, 0x06, 0x02];
const NO_TAKEOVER: DeflateParameters = DeflateParameters {
    server_no_context_takeover: true,
    client_no_context_takeover: true,
    server_max_window_bits: WindowBits::MAX,
    client_max_window_bits: WindowBits::MAX,
};

/// Both ends take their context over. By default they do not, even where the handshake allows it.
const TAKEOVER: DeflateConfig = DeflateConfig {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: WindowBits::MAX,
    client_max_window_bits: WindowBits::MAX,
    level: 6,
    threshold_bytes: 64,
};

fn receive(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receive");
    for size in SIZES {
        let payload = compressed(size);
        let masked = masked_frame(&payload);
        group.throughput(Throughput::Bytes(size as u64));

        let config = DeflateConfig::default();
        let mut server = Connection::server(Limits::default()).with_deflate(
            NO_TAKEOVER,
            &config,
            &DeflatePool::default(),
        );
        let (mut frame, mut replies) = (masked.clone(), Vec::new());
        group.bench_function(BenchmarkId::new("yamabiko", size), |bencher| {
            bencher.iter(|| {
                frame.copy_from_slice(&masked);
                let mut input = &mut frame[..];
                let event = server.receive(&mut input, &mut replies);
                assert!(matches!(event, Ok(Some(Event::Text(text))) if text.len() == size));
                assert_eq!(server.receive(&mut input, &mut replies), Ok(None));
            });
        });
        let mut inflate = Inflate::new(false, 15);
        let mut bytes = payload.clone();
        let mut inflated = vec![0; size + 1];
        group.bench_function(BenchmarkId::new("library", size), |bencher| {
            bencher.iter(|| {
                bytes.copy_from_slice(&payload);
                inflate.reset(false);
                for bytes in [&bytes[..], &[0x00, 0x00, 0xff, 0xff]] {
                    let written = inflate.total_out() as usize;
                    let room = &mut inflated[written..];
                    let inflated = inflate.decompress(bytes, room, InflateFlush::SyncFlush);
                    assert!(inflated.is_ok());
                }
                let text = simdutf8::basic::from_utf8(black_box(&inflated[..size]));
                assert!(text.is_ok());
            });
        });
    }
    group.finish();
}

fn send(criterion: &mut Criterion) {
    for level in LEVELS {
        let mut group = criterion.benchmark_group(format!("send, level {level}"));
        for size in SIZES {
            let text = json(size);
            let mut output = Vec::with_capacity(size + 100);
            group.throughput(Throughput::Bytes(size as u64));

            let mut deflater = MessageDeflater::new(level);
            group.bench_function(BenchmarkId::new("fan out/yamabiko", size), |bencher| {
                bencher.iter(|| {
                    output.clear();
                    let message = Message::Text(black_box(&text));
                    assert!(deflater.write_frame(message, WindowBits::MAX, &mut output));
                });
            });
            let config = DeflateConfig {
                level,
                ..DeflateConfig::default()
            };
            let mut server = Connection::server(Limits::default()).with_deflate(
                NO_TAKEOVER,
                &config,
                &DeflatePool::default(),
            );
            group.bench_function(BenchmarkId::new("send/yamabiko", size), |bencher| {
                bencher.iter(|| {
                    output.clear();
                    let sent = server.send(Message::Text(black_box(&text)), &mut output);
                    assert_eq!(sent, Ok(()));
                });
            });
            let mut deflate = Deflate::new_with_config(zlib_rs::DeflateConfig {
                level: i32::from(level),
                window_bits: -15,
                mem_level: 5,
                ..zlib_rs::DeflateConfig::default()
            });
            let mut room = vec![0; size];
            group.bench_function(BenchmarkId::new("library", size), |bencher| {
                bencher.iter(|| {
                    deflate.reset();
                    let text = black_box(text.as_bytes());
                    let compressed = deflate.compress(text, &mut room, DeflateFlush::SyncFlush);
                    assert!(compressed.is_ok());
                });
            });
        }
        group.finish();
    }
}

/// Messages of one size that refer to one another.
const TAKEOVER_MESSAGES: usize = 8;

fn receive_takeover(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receive, takeover");
    for size in SIZES {
        let frames = frames_with_takeover(size);
        group.throughput(Throughput::Bytes(size as u64));

        let config = DeflateConfig::default();
        let pool = DeflatePool::default();
        let server = Connection::server(Limits::default());
        let mut server = server.with_deflate(DeflateParameters::default(), &config, &pool);
        let (mut frame, mut replies) = (Vec::new(), Vec::new());
        let mut turns = frames.iter().cycle();
        group.bench_function(BenchmarkId::new("yamabiko", size), |bencher| {
            bencher.iter(|| {
                frame.clear();
                frame.extend(turns.next().expect("a cycle does not end"));
                let mut input = &mut frame[..];
                let event = server.receive(&mut input, &mut replies);
                assert!(matches!(event, Ok(Some(Event::Text(text))) if text.len() == size));
                assert_eq!(server.receive(&mut input, &mut replies), Ok(None));
            });
        });
        let payloads: Vec<_> = frames.iter().map(|frame| unmasked_payload(frame)).collect();
        let mut inflate = Inflate::new(false, 15);
        let mut bytes = Vec::new();
        let mut inflated = vec![0; size + 1];
        let mut turns = payloads.iter().cycle();
        group.bench_function(BenchmarkId::new("library", size), |bencher| {
            bencher.iter(|| {
                bytes.clear();
                bytes.extend(turns.next().expect("a cycle does not end"));
                let before = inflate.total_out();
                for bytes in [&bytes[..], &[0x00, 0x00, 0xff, 0xff]] {
                    let written = (inflate.total_out() - before) as usize;
                    let room = &mut inflated[written..];
                    let inflated = inflate.decompress(bytes, room, InflateFlush::SyncFlush);
                    assert!(inflated.is_ok());
                }
                let text = simdutf8::basic::from_utf8(black_box(&inflated[..size]));
                assert!(text.is_ok());
            });
        });
    }
    group.finish();
}

fn send_takeover(criterion: &mut Criterion) {
    for level in LEVELS {
        let mut group = criterion.benchmark_group(format!("send, takeover, level {level}"));
        for size in SIZES {
            let texts = texts(size);
            let mut output = Vec::with_capacity(size + 100);
            group.throughput(Throughput::Bytes(size as u64));

            let config = DeflateConfig { level, ..TAKEOVER };
            let pool = DeflatePool::default();
            let server = Connection::server(Limits::default());
            let mut server = server.with_deflate(DeflateParameters::default(), &config, &pool);
            let mut turns = texts.iter().cycle();
            group.bench_function(BenchmarkId::new("send/yamabiko", size), |bencher| {
                bencher.iter(|| {
                    output.clear();
                    let text = turns.next().expect("a cycle does not end");
                    let sent = server.send(Message::Text(black_box(text)), &mut output);
                    assert_eq!(sent, Ok(()));
                });
            });
            let mut deflate = Deflate::new_with_config(zlib_rs::DeflateConfig {
                level: i32::from(level),
                window_bits: -15,
                mem_level: 5,
                ..zlib_rs::DeflateConfig::default()
            });
            let mut room = vec![0; size + 100];
            let mut turns = texts.iter().cycle();
            group.bench_function(BenchmarkId::new("library", size), |bencher| {
                bencher.iter(|| {
                    let text = black_box(turns.next().expect("a cycle does not end").as_bytes());
                    let compressed = deflate.compress(text, &mut room, DeflateFlush::SyncFlush);
                    assert!(compressed.is_ok());
                });
            });
        }
        group.finish();
    }
}

fn texts(size: usize) -> Vec<String> {
    let all = json(size * TAKEOVER_MESSAGES);
    let text = |message: usize| all[message * size..][..size].to_owned();
    (0..TAKEOVER_MESSAGES).map(text).collect()
}

/// As a client with context takeover sends them.
fn frames_with_takeover(size: usize) -> Vec<Vec<u8>> {
    let client = Connection::client(Limits::default(), || KEY);
    let parameters = DeflateParameters::default();
    let mut client = client.with_deflate(parameters, &TAKEOVER, &DeflatePool::default());
    let frame = |text: &String| {
        let mut frame = Vec::new();
        let sent = client.send(Message::Text(text), &mut frame);
        assert_eq!(sent, Ok(()));
        frame
    };
    texts(size).iter().map(frame).collect()
}

fn unmasked_payload(frame: &[u8]) -> Vec<u8> {
    let (header, header_bytes) = FrameHeader::parse(frame)
        .expect("the frame is legal")
        .expect("it is all there");
    assert_eq!(header.rsv, FrameHeader::RSV1, "it is compressed");
    let mut payload = frame[header_bytes..].to_vec();
    mask(&mut payload, KEY, 0);
    payload
}

/// A text of this size as a peer compresses it.
fn compressed(size: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    let text = json(size);
    let mut deflater = MessageDeflater::new(6);
    assert!(deflater.write_frame(Message::Text(&text), WindowBits::MAX, &mut frame));
    frame.split_off(if frame[1] < 126 { 2 } else { 4 })
}

/// The frame as a client sends it.
fn masked_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0b1100_0001];
    match payload.len() {
        length @ ..=125 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.extend(KEY);
    let start = frame.len();
    frame.extend(payload);
    mask(&mut frame[start..], KEY, 0);
    frame
}

/// Trades, as a ticker tells them.
fn json(size: usize) -> String {
    let mut state = 7_u32;
    let mut random = move |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    let mut text = String::new();
    for number in 1000.. {
        let symbol = ["AAPL", "MSFT", "GOOG", "AMZN"][random(4) as usize];
        let (price, cents, volume) = (random(1000), random(100), random(50_000));
        let (minute, second) = (random(60), random(60));
        text += &format!(
            "{{\"id\":{number},\"symbol\":\"{symbol}\",\"price\":{price}.{cents:02},\"volume\":{volume},\
             \"time\":\"2024-05-17T14:{minute:02}:{second:02}Z\"}},"
        );
        if text.len() >= size {
            break;
        }
    }
    text.truncate(size);
    text
}

criterion_group!(benches, receive, send, receive_takeover, send_takeover);
criterion_main!(benches);
