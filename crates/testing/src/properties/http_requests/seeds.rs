//! The first inputs of the fuzzer: connections with one request or more, and those that are refused.

/// The selectors of `limits_of`.
const DEFAULT: u8 = 0;
const SMALL: u8 = 1;

const WHOLE: &[u8] = &[];
const BYTE_BY_BYTE: &[u8] = &[1];
const UNEVEN: &[u8] = &[3, 1, 4, 1, 5, 0, 9, 2, 6];

/// Name and input of each.
pub fn seeds() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let seeds = [
        (
            "get",
            DEFAULT,
            WHOLE,
            "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n",
        ),
        (
            "length",
            DEFAULT,
            BYTE_BY_BYTE,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        ),
        (
            "chunks",
            DEFAULT,
            UNEVEN,
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
             2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n",
        ),
        (
            "pipelined",
            DEFAULT,
            UNEVEN,
            "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi\r\n\
             HEAD /2 HTTP/1.1\r\nHost: h\r\n\r\n\
             POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n\
             GET /4 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /5",
        ),
        (
            "pipelined-past-the-limit-of-requests",
            SMALL,
            UNEVEN,
            "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n\
             GET /3 HTTP/1.1\r\nHost: h\r\n\r\nGET /4 HTTP/1.1\r\nHost: h\r\n\r\n",
        ),
        (
            "http-1.0",
            DEFAULT,
            WHOLE,
            "GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\nGET /3",
        ),
        (
            "expect",
            DEFAULT,
            UNEVEN,
            "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
        ),
        (
            "expect-unknown",
            DEFAULT,
            WHOLE,
            "HEAD / HTTP/1.1\r\nHost: h\r\nExpect: tea\r\n\r\n",
        ),
        (
            "length-and-coding",
            DEFAULT,
            UNEVEN,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
             0\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        ),
        (
            "lengths-differ",
            DEFAULT,
            UNEVEN,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        ),
        (
            "lengths-equal",
            SMALL,
            UNEVEN,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 05\r\n\r\nhello",
        ),
        (
            "coding-unknown",
            DEFAULT,
            WHOLE,
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "length-at-the-limit",
            SMALL,
            BYTE_BY_BYTE,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\nhello, world",
        ),
        (
            "length-past-the-limit",
            SMALL,
            BYTE_BY_BYTE,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 13\r\n\r\nhello, world!",
        ),
        (
            "chunks-past-the-limit",
            SMALL,
            BYTE_BY_BYTE,
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
             6\r\nhello,\r\n7\r\n world!\r\n0\r\n\r\n",
        ),
        (
            "framing-past-the-limit",
            SMALL,
            UNEVEN,
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
             1\r\na\r\n1\r\na\r\n1\r\na\r\n1\r\na\r\n1\r\na\r\n1\r\na\r\n1\r\na\r\n1\r\na\r\n0\r\n\r\n",
        ),
        (
            "chunk-size-overflows",
            DEFAULT,
            UNEVEN,
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000001\r\nx",
        ),
        (
            "chunk-malformed",
            DEFAULT,
            UNEVEN,
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
        ),
        (
            "head-unfinished",
            DEFAULT,
            WHOLE,
            "GET / HTTP/1.1\r\nHost: h\r\nX",
        ),
        (
            "body-unfinished",
            DEFAULT,
            WHOLE,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhell",
        ),
    ];
    seeds.into_iter().map(|(name, selector, lengths, text)| {
        let input = [
            &[selector, lengths.len() as u8][..],
            lengths,
            text.as_bytes(),
        ];
        (name, input.concat())
    })
}
