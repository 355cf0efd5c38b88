//! The cost of a server's opening handshake, from the bytes of the request to the bytes of the
//! 101 response, and of its steps.
//!
//! `cargo bench --bench opening`
//!
//! The request is that of a browser: the fields that browsers add, and a cookie. In
//! `cut into ...`, the head arrives in pieces, and the reader is called after each piece with
//! all bytes so far, as in the server.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use yamabiko::websocket::handshake::{
    AcceptOptions, HeadLimits, RequestReader, Upgrade, accept_key,
};

const REQUEST: &[u8] = b"GET /chat?room=echo HTTP/1.1\r\n\
    Host: server.example.com:8080\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: */*\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Origin: http://server.example.com:8080\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Connection: keep-alive, Upgrade\r\n\
    Cookie: session=4f1c2b9a7d6e5f40918273645a6b7c8d; theme=dark\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    Upgrade: websocket\r\n\r\n";

fn opening(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("opening");
    group.throughput(Throughput::Bytes(REQUEST.len() as u64));

    group.bench_function("request to 101", |bencher| {
        let mut output = Vec::with_capacity(256);
        bencher.iter(|| {
            output.clear();
            answer(black_box(REQUEST), &mut output);
        });
    });
    group.bench_function("read the head", |bencher| {
        bencher.iter(|| {
            let mut reader = RequestReader::new(HeadLimits::default());
            reader.read(black_box(REQUEST)).is_ok()
        });
    });
    for piece_bytes in [1, 100] {
        let name = BenchmarkId::new("read the head cut into", piece_bytes);
        group.bench_function(name, |bencher| {
            bencher.iter(|| read_in_pieces(black_box(REQUEST), piece_bytes));
        });
    }
    let mut reader = RequestReader::new(HeadLimits::default());
    let read = reader.read(REQUEST).expect("the request is legal");
    let (head, _) = read.expect("it is all there");
    group.bench_function("Upgrade::check", |bencher| {
        bencher.iter(|| Upgrade::check(black_box(&head)).is_ok());
    });
    group.bench_function("accept_key", |bencher| {
        bencher.iter(|| accept_key(black_box("dGhlIHNhbXBsZSBub25jZQ==")));
    });
    group.finish();
}

fn answer(request: &[u8], output: &mut Vec<u8>) {
    let mut reader = RequestReader::new(HeadLimits::default());
    let read = reader.read(request).expect("the request is legal");
    let (head, _) = read.expect("it is all there");
    let upgrade = Upgrade::check(&head).expect("it asks for a WebSocket");
    let options = AcceptOptions::default().subprotocols(&["chat"]);
    let accepted = upgrade.accept(options);
    accepted.expect("it is offered").write_response(output);
}

fn read_in_pieces(request: &[u8], piece_bytes: usize) -> bool {
    let mut reader = RequestReader::new(HeadLimits::default());
    let ends = (piece_bytes..request.len()).step_by(piece_bytes);
    ends.chain([request.len()])
        .any(|end| matches!(reader.read(&request[..end]), Ok(Some(_))))
}

criterion_group!(benches, opening);
criterion_main!(benches);
