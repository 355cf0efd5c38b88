//! The header of the PROXY protocol.

use yamabiko::proxy::ProxyHeader;

/// A header is found at the same place however many bytes have come; until then each beginning of it is no error. Bytes
/// that are an error stay one whatever follows them. What is read again from its source is the same.
pub fn proxy_header(data: &[u8]) {
    let whole = ProxyHeader::parse(data);
    for end in 0..data.len().min(ProxyHeader::BYTES_MAX + 1) {
        let found = ProxyHeader::parse(&data[..end]);
        match (&whole, &found) {
            (Ok(Some((_, header_bytes))), Ok(None)) => assert!(end < *header_bytes),
            (Ok(Some((_, header_bytes))), Ok(Some(_))) => {
                assert!(end >= *header_bytes);
                assert_eq!(found, whole);
            }
            (Ok(Some(_)), Err(_)) => panic!("the beginning of a header is an error"),
            (Ok(None), _) => assert_eq!(found, Ok(None)),
            (Err(_), Ok(Some(_))) => panic!("a header is an error with more behind it"),
            (Err(_), Ok(None) | Err(_)) => {}
        }
    }
    let Ok(Some((header, header_bytes))) = whole else {
        return;
    };
    assert!(header_bytes <= data.len().min(ProxyHeader::BYTES_MAX));
    if let Some(source) = header.source {
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let (ip, port) = (source.ip(), source.port());
        let line = format!("PROXY {family} {ip} {ip} {port} {port}\r\n");
        let again = ProxyHeader::parse(line.as_bytes());
        assert_eq!(again, Ok(Some((header, line.len()))));
    }
}

/// The first inputs of the fuzzer.
pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let binary = |command_and_family: [u8; 2], body: &[u8]| {
        let length = u16::try_from(body.len())
            .expect("a short body")
            .to_be_bytes();
        [
            b"\r\n\r\n\0\r\nQUIT\n",
            &command_and_family[..],
            &length,
            body,
            b"GET /",
        ]
        .concat()
    };
    let ipv4 = [198, 51, 100, 7, 203, 0, 113, 1, 0x12, 0x67, 1, 0xbb];
    let text = |line: &str| format!("{line}\r\nGET /").into_bytes();
    vec![
        (
            "text-ipv4",
            text("PROXY TCP4 198.51.100.7 203.0.113.1 4711 443"),
        ),
        ("text-ipv6", text("PROXY TCP6 2001:db8::1 ::1 4711 443")),
        ("text-unknown", text("PROXY UNKNOWN ffff::1 ffff::1 1 2")),
        (
            "text-port-too-large",
            text("PROXY TCP4 198.51.100.7 203.0.113.1 65536 443"),
        ),
        ("text-unknown-not-ascii", text("PROXY UNKNOWN \u{e9}")),
        ("text-unfinished", b"PROXY TCP4 198.51.100.7".to_vec()),
        ("binary-ipv4", binary([0x21, 0x11], &ipv4)),
        ("binary-ipv6", binary([0x21, 0x21], &[0x20; 36])),
        ("binary-unix", binary([0x21, 0x31], &[0; 216])),
        ("binary-local", binary([0x20, 0x00], &[])),
        (
            "binary-with-value",
            binary([0x21, 0x11], &[&ipv4[..], &[4, 0, 1, 9]].concat()),
        ),
        (
            "binary-value-too-long",
            binary([0x21, 0x11], &[&ipv4[..], &[4, 0, 9, 9]].concat()),
        ),
        ("no-header", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
    ]
}
