//! RFC 6455 §7.1.7: what an error says of the rule that was broken: in our words, in the RFC's, and as a status code.

use std::error::Error;

use yamabiko::http::HeadError;
use yamabiko::websocket::frame::{CloseCode, FrameError};
use yamabiko::websocket::handshake::{ClientHandshakeError, TunnelError};
use yamabiko::websocket::{Piece, ProtocolError};
use yamabiko_testing::protocol::{Connection, Event, Limits, TEXT, WireFrame};

/// Each error, the code of the Close that it sends, and the section of the sentence that was broken.
const ERRORS: [(ProtocolError, CloseCode, &str); 19] = [
    (
        frame(FrameError::ReservedOpcode(3)),
        CloseCode::PROTOCOL_ERROR,
        "5.2",
    ),
    (
        frame(FrameError::ReservedBits(0x40)),
        CloseCode::PROTOCOL_ERROR,
        "5.2",
    ),
    (
        frame(FrameError::NotMasked),
        CloseCode::PROTOCOL_ERROR,
        "5.1",
    ),
    (frame(FrameError::Masked), CloseCode::PROTOCOL_ERROR, "5.1"),
    (
        frame(FrameError::ControlFrameFragmented),
        CloseCode::PROTOCOL_ERROR,
        "5.4",
    ),
    (
        frame(FrameError::ControlFrameTooLong),
        CloseCode::PROTOCOL_ERROR,
        "5.5",
    ),
    (
        frame(FrameError::LengthNotMinimal),
        CloseCode::PROTOCOL_ERROR,
        "5.2",
    ),
    (
        frame(FrameError::LengthOver63Bits),
        CloseCode::PROTOCOL_ERROR,
        "5.2",
    ),
    (
        ProtocolError::ContinuationWithoutMessage,
        CloseCode::PROTOCOL_ERROR,
        "5.4",
    ),
    (
        ProtocolError::MessageInsideMessage,
        CloseCode::PROTOCOL_ERROR,
        "5.4",
    ),
    (
        ProtocolError::CloseBodyOneByte,
        CloseCode::PROTOCOL_ERROR,
        "5.5.1",
    ),
    (
        ProtocolError::CloseCodeForbidden(1005),
        CloseCode::PROTOCOL_ERROR,
        "7.4.1",
    ),
    (
        ProtocolError::CloseReasonNotUtf8,
        CloseCode::INVALID_PAYLOAD,
        "8.1",
    ),
    (
        ProtocolError::TextNotUtf8,
        CloseCode::INVALID_PAYLOAD,
        "8.1",
    ),
    (
        ProtocolError::CompressedDataCorrupt,
        CloseCode::INVALID_PAYLOAD,
        "7.2.2",
    ),
    (
        ProtocolError::MessageTooBig,
        CloseCode::MESSAGE_TOO_BIG,
        "10.4",
    ),
    (
        ProtocolError::InflatedTooMuch,
        CloseCode::MESSAGE_TOO_BIG,
        "10.4",
    ),
    (
        ProtocolError::TooManyFragments,
        CloseCode::POLICY_VIOLATION,
        "10.4",
    ),
    (
        ProtocolError::TooManyStreams,
        CloseCode::POLICY_VIOLATION,
        "10.4",
    ),
];

const fn frame(error: FrameError) -> ProtocolError {
    ProtocolError::Frame(error)
}

#[test]
fn each_error_has_its_code_its_section_and_words_of_its_own() {
    let mut all_words = Vec::new();
    for (error, code, section) in ERRORS {
        assert_eq!(error.close_code(), code, "{error}");
        let rule = error.rule();
        let rfc = if error == ProtocolError::CompressedDataCorrupt {
            7692
        } else {
            6455
        };
        assert_eq!((rule.rfc, rule.section), (rfc, section), "{error}");
        assert!(rule.sentence.ends_with('.'), "{error}: {}", rule.sentence);
        let words = error.to_string();
        assert!(words.contains('§'), "{words}");
        assert!(!all_words.contains(&words), "{words}");
        all_words.push(words);
    }
}

#[test]
fn error_that_says_all_by_itself_has_no_source_that_says_it_again() {
    for (error, ..) in ERRORS {
        assert!(error.source().is_none(), "{error}");
    }
    let malformed = ClientHandshakeError::Malformed(HeadError::TooManyFields);
    assert!(
        malformed
            .to_string()
            .contains(&HeadError::TooManyFields.to_string())
    );
    assert!(malformed.source().is_none());
    let tunnel = TunnelError::Head(HeadError::TooManyFields);
    assert!(
        tunnel
            .to_string()
            .contains(&HeadError::TooManyFields.to_string())
    );
    assert!(tunnel.source().is_none());
}

#[test]
fn sentence_of_a_forbidden_code_is_the_one_that_forbids_it() {
    let sentence = |code| ProtocolError::CloseCodeForbidden(code).rule().sentence;
    for code in [0, 1, 999] {
        assert!(
            sentence(code).contains("range 0-999 are not used"),
            "{code}"
        );
    }
    for code in [1005, 1006, 1015] {
        let begin = format!("{code} is a reserved value and MUST NOT be set");
        assert!(sentence(code).starts_with(&begin), "{code}");
    }
    assert!(sentence(1004).contains("might be defined in the future"));
    for code in [1016, 2999] {
        assert!(
            sentence(code).contains("range 1000-2999 are reserved"),
            "{code}"
        );
    }
    for code in [5000, u16::MAX] {
        assert!(sentence(code).contains("range 4000-4999"), "{code}");
    }
}

/// The pieces of a text message that comes in reads of which each ends at one of these places.
fn pieces_of(read_ends: &[usize], mut with: impl FnMut(&Piece<'_>)) {
    let mut receiver = Connection::server(Limits::default()).with_pieces();
    let mut bytes = WireFrame::new(TEXT, b"summit").masked([1, 2, 3, 4]).bytes();
    let (mut begin, mut output) = (0, Vec::new());
    for &end in read_ends {
        let mut input = &mut bytes[begin..end];
        while let Some(event) = receiver
            .receive(&mut input, &mut output)
            .expect("legal bytes")
        {
            if let Event::Piece(piece) = event {
                with(&piece);
            }
        }
        begin = end;
    }
}

#[test]
fn pieces_are_equal_by_their_content_and_their_place_and_show_both() {
    let mut shown = Vec::new();
    pieces_of(&[12], |whole| {
        pieces_of(&[12], |same| assert_eq!(whole, same));
        pieces_of(&[9, 12], |part| assert_ne!(whole, part));
        shown.push(format!("{whole:?}"));
    });
    pieces_of(&[9, 12], |part| shown.push(format!("{part:?}")));
    assert_eq!(
        shown,
        [
            "Piece { text: \"summit\", is_first: true, is_last: true }",
            "Piece { text: \"sum\", is_first: true, is_last: false }",
            "Piece { text: \"mit\", is_first: false, is_last: true }",
        ]
    );
}
