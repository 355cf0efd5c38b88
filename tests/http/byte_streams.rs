//! Random connections: the requests do not depend on how the input is cut, and each of them is the
//! same when it is written again with a Content-Length.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use yamabiko_testing::properties::http_requests::http_requests;

/// The number of cases is `PROPTEST_CASES`, or 256 if it is not set. Cases that failed
/// once are kept beside this file and tried again first.
fn config() -> ProptestConfig {
    let file = FileFailurePersistence::Direct("tests/http/byte_streams.proptest-regressions");
    ProptestConfig {
        failure_persistence: Some(Box::new(file)),
        ..ProptestConfig::default()
    }
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..20)
}

/// The fields of a body, and its bytes: by its length, in chunks, or with an error.
fn framed() -> impl Strategy<Value = (String, Vec<u8>)> {
    let by_length = body().prop_map(|body| (format!("Content-Length: {}\r\n", body.len()), body));
    let chunks = vec((body(), ";[a-z]{0,4}|"), 0..4).prop_map(|chunks| {
        let mut bytes = Vec::new();
        for (content, extension) in chunks {
            if !content.is_empty() {
                bytes.extend(format!("{:x}{extension}\r\n", content.len()).bytes());
                bytes.extend(content);
                bytes.extend(b"\r\n");
            }
        }
        bytes.extend(b"0\r\n\r\n");
        ("Transfer-Encoding: chunked\r\n".to_owned(), bytes)
    });
    let fields = "(Content-Length: [0-9]{1,2}\r\n|Transfer-Encoding: (chunked|gzip)\r\n){0,2}";
    prop_oneof![
        Just((String::new(), Vec::new())),
        by_length,
        chunks,
        (fields, body()),
    ]
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let others =
        "(Expect: 100-continue\r\n|Connection: (close|keep-alive)\r\n|X: [ -~]{0,8}\r\n){0,2}";
    let parts = (
        "(GET|HEAD|POST)",
        "/[a-z]{0,5}",
        "1\\.[01]",
        others,
        framed(),
    );
    parts.prop_map(|(method, path, version, others, (framing, body))| {
        let head = format!("{method} {path} HTTP/{version}\r\nHost: h\r\n{others}{framing}\r\n");
        [head.into_bytes(), body].concat()
    })
}

/// Requests, of which one byte may be changed.
fn connection() -> impl Strategy<Value = Vec<u8>> {
    let change = prop::option::of((any::<prop::sample::Index>(), any::<u8>()));
    (vec(request(), 1..5), change).prop_map(|(requests, change)| {
        let mut bytes = requests.concat();
        if let Some((at, byte)) = change {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn requests_do_not_depend_on_how_they_are_cut(
        bytes in connection(),
        lengths in vec(1..=60_u8, 0..5),
        small in 0..=1_u8,
    ) {
        http_requests(&[&[small, lengths.len() as u8][..], &lengths, &bytes].concat());
    }
}
