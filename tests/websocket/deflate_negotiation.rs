//! The negotiation of permessage-deflate (RFC 7692 §5, §7.1): the responses of a server, and the
//! offers of a client and the responses that it accepts. Below, `D` in an offer or a response
//! stands for the name of the extension, and `SN`, `CN`, `SB`, `CB` for its parameters. The
//! examples of the RFC are written out in full.

use proptest::prelude::*;
use yamabiko::websocket::deflate::{DeflateConfig, DeflateParameters, WindowBits};
use yamabiko::websocket::handshake::{ClientHandshakeError, DEFLATE_REQUIRED, NotOffered};
use yamabiko_testing::properties::negotiation::{
    both_ends_agree, client_result, field, offered, request_with, response_with, with_upgrade,
};
use yamabiko_testing::protocol::{Role, frames_of, open, write_response};

// ── The examples of the RFC ─────────────────────────────────────────────────

/// §7.1.3, with the lines of the RFC.
const SIMPLEST: &str = "permessage-deflate";
const SMALL_WINDOW: &str = "
           permessage-deflate;
           client_max_window_bits; server_max_window_bits=10";
const SMALL_WINDOW_WITH_FALLBACK: &str = "
           permessage-deflate;
           client_max_window_bits; server_max_window_bits=10,
           permessage-deflate;
           client_max_window_bits";
const SMALL_WINDOW_ACCEPTED: &str = "
           permessage-deflate; server_max_window_bits=10";

#[test]
fn server_answers_the_examples_of_section_7_1_3_as_they_do() {
    let table = [
        (SIMPLEST, SIMPLEST),
        (SMALL_WINDOW, SMALL_WINDOW_ACCEPTED),
        (SMALL_WINDOW_WITH_FALLBACK, SMALL_WINDOW_ACCEPTED),
    ];
    for (offer, response) in table {
        let written = response_to(&unfolded(offer), &NO_DEMANDS);
        assert_eq!(written, Some(unfolded(response)), "{offer}");
    }
}

#[test]
fn server_can_accept_the_second_option_of_section_7_1_3() {
    let second = DeflateParameters::default();
    let written = write(&unfolded(SMALL_WINDOW_WITH_FALLBACK), &second);
    assert_eq!(written, Ok(SIMPLEST.to_owned()));
    let without_fallback = write(&unfolded(SMALL_WINDOW), &second);
    assert_eq!(without_fallback, Err(NotOffered::Deflate));
}

#[test]
fn client_accepts_the_responses_of_section_7_1_3() {
    let simplest = client_result(Some(NO_DEMANDS), &response_with(SIMPLEST));
    assert_eq!(simplest, Ok(Some(DeflateParameters::default())));
    let small = config(0b00, 10, 15);
    let accepted = client_result(
        Some(small),
        &response_with(&unfolded(SMALL_WINDOW_ACCEPTED)),
    );
    assert_eq!(accepted, Ok(Some(agreed(0b00, 10, 15))));
}

/// The extensions permessage-foo and permessage-bar of the examples do not exist, and
/// permessage-deflate does not have their parameters.
#[test]
fn server_declines_the_examples_of_section_5_2() {
    for offer in [
        "permessage-foo",
        "permessage-foo; x=10",
        "permessage-foo; x=\"10\"",
        "permessage-foo, permessage-bar",
        "permessage-foo; use_y, permessage-foo",
    ] {
        assert_eq!(response_to(offer, &NO_DEMANDS), None, "{offer}");
        let list = format!("{offer}, permessage-deflate");
        assert_eq!(
            response_to(&list, &NO_DEMANDS).as_deref(),
            Some(SIMPLEST),
            "{offer}"
        );
        let response = client_result(Some(NO_DEMANDS), &response_with(offer));
        assert_eq!(response, Err(ClientHandshakeError::UnrequestedExtension));
    }
    let of_deflate = "permessage-deflate; x=10, permessage-deflate; x=\"10\"";
    assert_eq!(response_to(of_deflate, &NO_DEMANDS), None);
}

// ── The server ──────────────────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# A request in a PMCE negotiation offer indicates constraints on the server's behavior
//# that must be satisfied if the server accepts the offer.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# To accept the use of an offered PMCE, a server MUST include the extension name of
//# the PMCE in the "Sec-WebSocket-Extensions" header field of its opening handshake of
//# the WebSocket connection.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# The element MUST represent a PMCE that is fully supported by the server.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# "Agreed parameters" must represent how the requests and hints in the client's
//# extension negotiation offer have been handled
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# the server must use the "agreed parameters" (defined below) to explicitly ask the
//# client not to use an LZ77 window size greater than the LZ77 window size of the
//# server.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
//# A server accepts an extension negotiation offer that includes the
//# "server_no_context_takeover" extension parameter by including the
//# "server_no_context_takeover" extension parameter in the corresponding extension
//# negotiation response to send back to the client.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
//# The "server_no_context_takeover" extension parameter in an extension negotiation
//# response has no value.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
//# It is RECOMMENDED that a server supports the "server_no_context_takeover" extension
//# parameter in an extension negotiation offer.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
//# A server MAY include the "server_no_context_takeover" extension parameter in an
//# extension negotiation response even if the extension negotiation offer being
//# accepted by the extension negotiation response didn't include
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.2
//# A server MAY include the "client_no_context_takeover" extension parameter in an
//# extension negotiation response.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.2
//# The "client_no_context_takeover" extension parameter in an extension negotiation
//# response has no value.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
//# A server accepts an extension negotiation offer with this parameter by including the
//# "server_max_window_bits" extension parameter in the extension negotiation response
//# to send back to the client with the same or smaller value as the offer.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
//# The "server_max_window_bits" extension parameter in an extension negotiation
//# response has a decimal integer value without leading zeroes between 8 to 15,
//# inclusive, indicating the base-2 logarithm of the LZ77 sliding window size, and MUST
//# conform to the ABNF below.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
//# A server MAY include the "server_max_window_bits" extension parameter in an
//# extension negotiation response even if
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
//# If a received extension negotiation offer has the "client_max_window_bits" extension
//# parameter, the server MAY include the "client_max_window_bits" extension parameter
//# in the corresponding extension negotiation response to the offer.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
//# The "client_max_window_bits" extension parameter in an extension negotiation
//# response has a decimal integer value without leading zeroes between 8 to 15
//# inclusive indicating the base-2 logarithm of the LZ77 sliding window size and MUST
//# conform to the ABNF below.
//= https://www.rfc-editor.org/rfc/rfc6455#section-9
//# those parameters MUST be chosen in accordance with the specification of the
//# extension to which the parameters apply.
#[test]
fn response_has_the_agreed_parameters() {
    let small = config(0b00, 9, 10);
    let smallest = config(0b00, 8, 8);
    let forgetful = DeflateConfig::default();
    let table = [
        // The response needs no parameter that the client does not request.
        (NO_DEMANDS, "D", "D"),
        (NO_DEMANDS, "D; CB", "D"),
        (NO_DEMANDS, "D; CB=15", "D"),
        // The response repeats the parameters requested of the server, also with default values.
        (NO_DEMANDS, "D; SN", "D; SN"),
        (NO_DEMANDS, "D; SB=15", "D; SB=15"),
        (NO_DEMANDS, "D; SB=9", "D; SB=9"),
        (NO_DEMANDS, "D; SB=8", "D; SB=8"),
        (NO_DEMANDS, "D; SN; SB=12", "D; SN; SB=12"),
        // The server accepts the client's hints.
        (NO_DEMANDS, "D; CN", "D; CN"),
        (NO_DEMANDS, "D; CB=14", "D; CB=14"),
        (NO_DEMANDS, "D; CB=8", "D; CB=8"),
        (
            NO_DEMANDS,
            "D; SB=10; CB=11; CN; SN",
            "D; SN; CN; SB=10; CB=11",
        ),
        // The server adds its own parameters, even if they are not requested …
        (forgetful, "D", "D; SN; CN"),
        (forgetful, "D; SN", "D; SN; CN"),
        (forgetful, "D; CB; SB=10", "D; SN; CN; SB=10"),
        (small, "D; CB", "D; SB=9; CB=10"),
        (small, "D; CB=15; SB=15", "D; SB=9; CB=10"),
        (small, "D; CB=9; SB=10", "D; SB=9; CB=9"),
        (small, "D; CB=11; SB=8", "D; SB=8; CB=10"),
        (smallest, "D; CB", "D; SB=8; CB=8"),
        // … but `client_max_window_bits` only if the client offers it.
        (small, "D", "D; SB=9"),
        (smallest, "D; SN", "D; SN; SB=8"),
    ];
    for (config, offer, response) in table {
        let written = response_to(&in_full(offer), &config);
        assert_eq!(written, Some(in_full(response)), "{offer}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
//# If a received extension negotiation offer doesn't have the "client_max_window_bits"
//# extension parameter, the corresponding extension negotiation response to the offer
//# MUST NOT include the "client_max_window_bits" extension parameter.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.3
//# the server must not accept the offer with an extension negotiation response that
//# includes the "client_max_window_bits" extension parameter.
#[test]
fn server_agrees_to_the_largest_window_of_a_client_without_client_max_window_bits() {
    for offer in ["D", "D; SN", "D; SB=8", "D; CN"] {
        let offer = in_full(offer);
        let parameters = choose(&offer, &config(0b00, 8, 8)).expect("a legal offer");
        assert_eq!(parameters.client_max_window_bits, WindowBits::MAX);
        let response = write(&offer, &parameters).expect("what was chosen");
        assert!(!response.contains("client_max_window_bits"), "{response}");
        for bits in 8..15 {
            let parameters = DeflateParameters {
                client_max_window_bits: window(bits),
                ..parameters
            };
            assert_eq!(write(&offer, &parameters), Err(NotOffered::Deflate));
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# A server declining all offered PMCEs MUST NOT include any element with PMCE names.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# A server MUST decline an extension negotiation offer for this extension if any of
//# the following conditions are met:
//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# The negotiation offer contains an extension parameter not defined for use in an
//# offer.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# The negotiation offer contains an extension parameter with an invalid value.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# The negotiation offer contains multiple extension parameters with the same name.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
//# This extension parameter has no value.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.2
//# This extension parameter has no value.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
//# This parameter has a decimal integer value without leading zeroes between 8 to 15,
//# inclusive, indicating the base-2 logarithm of the LZ77 sliding window size, and MUST
//# conform to the ABNF below.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
//# This parameter has no value or a decimal integer value without leading zeroes
//# between 8 to 15 inclusive indicating the base-2 logarithm of the LZ77 sliding window
//# size.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
//# If a value is specified for this parameter, the value MUST conform to the ABNF
//# below.
//= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
//# The parameters supplied with any given extension MUST be defined for that extension.
#[test]
fn server_declines_an_offer_with_a_wrong_parameter_and_accepts_the_next() {
    for offer in WRONG_PARAMETERS.into_iter().chain(["D; SB", "D; SB; CB"]) {
        let offer = in_full(offer);
        assert_eq!(response_to(&offer, &NO_DEMANDS), None, "{offer}");
        for any in [agreed(0b00, 15, 15), agreed(0b11, 8, 15)] {
            let refused = write(&offer, &any);
            assert_eq!(refused, Err(NotOffered::Deflate), "{offer}");
        }
        let with_fallback = in_full(&format!("{offer}, x; y, D; SB=11"));
        let written = response_to(&with_fallback, &NO_DEMANDS);
        assert_eq!(written, Some(in_full("D; SB=11")), "{offer}");
    }
}

/// Parameters that are invalid in an offer and in a response.
const WRONG_PARAMETERS: [&str; 33] = [
    "D; x",
    "D; x=10",
    "D; SN; x",
    "D; Server_No_Context_Takeover",
    "D; client_max_window_bit=10",
    "D; permessage-deflate",
    "D; SN; SN",
    "D; CN; SN; CN",
    "D; SB=10; SB=10",
    "D; SB=10; CN; SB=11",
    "D; CB=10; CB=10",
    "D; CB=9; SN; CB=8",
    "D; SN=1",
    "D; SN=true",
    "D; CN=10",
    "D; CN=\"x\"",
    "D; SB=7",
    "D; SB=0",
    "D; SB=16",
    "D; SB=08",
    "D; SB=010",
    "D; SB=1e1",
    "D; SB=+9",
    "D; SB=-9",
    "D; SB=9.5",
    "D; SB=ten",
    "D; SB=265",
    "D; CB=7",
    "D; CB=16",
    "D; CB=09",
    "D; CB=\"010\"",
    "D; CB=4294967304",
    "D; CB=x",
];

#[test]
fn server_accepts_quoted_values_and_any_order_of_parameters() {
    let table = [
        ("D; SB=\"10\"", "D; SB=10"),
        ("D; CB=\"9\"", "D; CB=9"),
        ("D; CB = \"\\1\\0\"", "D; CB=10"),
        ("D;CB=10;SB=\"1\\2\";CN;SN", "D; SN; CN; SB=12; CB=10"),
        ("D ;\tSN ; CN\t", "D; SN; CN"),
    ];
    for (offer, response) in table {
        let written = response_to(&in_full(offer), &NO_DEMANDS);
        assert_eq!(written, Some(in_full(response)), "{offer}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# The order of elements is important as it specifies the client's preference.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# It is recommended that a server accepts PMCEs with higher preference if the server
//# supports them.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//# the value MUST be derived from the client's handshake, specifically by selecting one
//# or more of the values from the |Sec-WebSocket-Extensions| field.
#[test]
fn server_accepts_the_first_legal_offer_in_the_order_of_the_client() {
    let table = [
        ("D; SB=9, D; SB=10", "D; SB=9"),
        ("D; SB=10, D; SB=9", "D; SB=10"),
        ("D, D; SN", "D"),
        ("x, D; SN=1, y; z, D; CN, D", "D; CN"),
        (
            "x\r\nSec-WebSocket-Extensions: D; SN, D\r\nSec-WebSocket-Extensions: D; CN",
            "D; SN",
        ),
    ];
    for (offers, response) in table {
        let written = response_to(&in_full(offers), &NO_DEMANDS);
        assert_eq!(written, Some(in_full(response)), "{offers}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# A server MUST NOT accept a PMCE extension negotiation offer together with another
//# extension if the PMCE will conflict with the extension on their use of the RSV1 bit.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# A server MUST NOT accept a PMCE extension negotiation offer together with another
//# extension if the PMCE will be applied to the output of the extension and any of the
//# following conditions applies to the extension:
//= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
//# the order of operations on the data should be assumed to be the same as the order in
//# which the extensions are listed in the server's response in the opening handshake.
#[test]
fn server_accepts_permessage_deflate_alone() {
    for offers in ["x, D, y", "mux; a=b, x-webkit-deflate-frame, D", "D, D"] {
        let written = response_to(&in_full(offers), &NO_DEMANDS);
        assert_eq!(written.as_deref(), Some(SIMPLEST), "{offers}");
    }
}

#[test]
fn server_accepts_the_extension_only_by_its_exact_name() {
    for offers in [
        "Permessage-Deflate",
        "PERMESSAGE-DEFLATE",
        "permessage-deflate-",
        "xpermessage-deflate",
        "deflate",
        "permessage",
    ] {
        assert_eq!(response_to(offers, &NO_DEMANDS), None, "{offers}");
    }
}

#[test]
fn server_writes_only_parameters_that_an_offer_allows() {
    let refused: [(&str, DeflateParameters); 7] = [
        ("x", agreed(0b00, 15, 15)),
        ("D; SN", agreed(0b00, 15, 15)),
        ("D; SN, D; SN; CN", agreed(0b10, 15, 15)),
        ("D; SB=10", agreed(0b11, 11, 15)),
        ("D; SB=8, D; SB=14", agreed(0b00, 15, 15)),
        ("D", agreed(0b00, 15, 14)),
        ("D; CB=10", agreed(0b00, 15, 11)),
    ];
    for (offers, parameters) in refused {
        let written = write(&in_full(offers), &parameters);
        assert_eq!(written, Err(NotOffered::Deflate), "{offers}");
    }
    let written = [
        ("D", agreed(0b11, 8, 15), "D; SN; CN; SB=8"),
        ("D; CN", agreed(0b00, 15, 15), "D"),
        ("D; CB=10", agreed(0b00, 15, 15), "D"),
        ("D; CB=10", agreed(0b00, 15, 10), "D; CB=10"),
        ("D; CB", agreed(0b00, 15, 8), "D; CB=8"),
        ("D; SB=10", agreed(0b01, 8, 15), "D; SN; SB=8"),
        ("D; SN, D; CB", agreed(0b00, 15, 12), "D; CB=12"),
    ];
    for (offers, parameters, response) in written {
        let written = write(&in_full(offers), &parameters);
        assert_eq!(written, Ok(in_full(response)), "{offers}");
    }
    let error = NotOffered::Deflate.to_string();
    assert!(error.contains("permessage-deflate"), "{error}");
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# If a server responds with no PMCE element in the "Sec-WebSocket-Extensions" header,
//# both endpoints proceed without per-message compression once _the WebSocket
//# Connection is established_.
#[test]
fn server_declines_if_nothing_is_offered() {
    let request = request_with("x").replace("Sec-WebSocket-Extensions: x\r\n", "");
    let declined = with_upgrade(request.as_bytes(), |upgrade| {
        let mut head = Vec::new();
        let written = write_response(upgrade, None, Some(&agreed(0, 15, 15)), &mut head);
        assert_eq!((written, head), (Err(NotOffered::Deflate), Vec::new()));
        upgrade.choose_deflate(&NO_DEMANDS).is_none()
    });
    assert_eq!(declined, Some(true));
}

// ── The client ──────────────────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# To offer use of a PMCE, a client MUST include the extension name of the PMCE in the
//# "Sec-WebSocket-Extensions" header field of its opening handshake of the WebSocket
//# connection.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# In a PMCE negotiation offer, the client MUST inform the server of its LZ77 window
//# size so that the server uses an LZ77 window size that is not greater than the LZ77
//# window size of the client.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# the client MAY inform the server of the maximum LZ77 window size the client can
//# afford
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
//# A client MAY include the "server_no_context_takeover" extension parameter in an
//# extension negotiation offer.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.2
//# A client MAY include the "client_no_context_takeover" extension parameter in an
//# extension negotiation offer.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
//# A client MAY include the "server_max_window_bits" extension parameter in an
//# extension negotiation offer.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
//# A client MAY include the "client_max_window_bits" extension parameter in an
//# extension negotiation offer.
#[test]
fn client_offers_the_parameters_of_its_configuration() {
    let table = [
        (NO_DEMANDS, "D; CB"),
        (DeflateConfig::default(), "D; SN; CN; CB"),
        (config(0b01, 15, 15), "D; SN; CB"),
        (config(0b10, 15, 15), "D; CN; CB"),
        (config(0b00, 10, 15), "D; SB=10; CB"),
        (config(0b00, 15, 9), "D; CB=9"),
        (config(0b11, 8, 8), "D; SN; CN; SB=8; CB=8"),
    ];
    for (config, offer) in table {
        assert_eq!(offered(config), in_full(offer));
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.2
//# A client MUST support the "client_no_context_takeover" extension parameter in an
//# extension negotiation response.
#[test]
fn client_accepts_each_response_that_its_offer_allows() {
    let forgetful = DeflateConfig::default();
    let small = config(0b00, 10, 9);
    let table = [
        (NO_DEMANDS, "D", agreed(0b00, 15, 15)),
        (NO_DEMANDS, "D; SN", agreed(0b01, 15, 15)),
        (NO_DEMANDS, "D; CN", agreed(0b10, 15, 15)),
        (NO_DEMANDS, "D; SB=15; CB=15", agreed(0b00, 15, 15)),
        (NO_DEMANDS, "D; SB=8; CB=8", agreed(0b00, 8, 8)),
        (
            NO_DEMANDS,
            "D;CB=\"1\\0\";SB=\"9\" ;CN\t;SN",
            agreed(0b11, 9, 10),
        ),
        (forgetful, "D; SN; CN", agreed(0b11, 15, 15)),
        // The client's own hints apply if the server sends no value or a larger one.
        (forgetful, "D; SN", agreed(0b11, 15, 15)),
        (small, "D; SB=10", agreed(0b00, 10, 9)),
        (small, "D; SB=9; CB=8", agreed(0b00, 9, 8)),
        (small, "D; SB=8; CB=12", agreed(0b00, 8, 9)),
    ];
    for (config, response, parameters) in table {
        let result = client_result(Some(config), &response_with(&in_full(response)));
        assert_eq!(result, Ok(Some(parameters)), "{response}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# A client MUST _Fail the WebSocket Connection_ if the peer server accepted an
//# extension negotiation offer for this extension with an extension negotiation
//# response meeting any of the following conditions:
//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# The negotiation response contains an extension parameter not defined for use in a
//# response.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# The negotiation response contains an extension parameter with an invalid value.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# The negotiation response contains multiple extension parameters with the same name.
//= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
//# The parameters supplied with any given extension MUST be defined for that extension.
#[test]
fn client_fails_connection_on_a_wrong_parameter() {
    use ClientHandshakeError as Error;
    for response in WRONG_PARAMETERS {
        let result = client_result(Some(NO_DEMANDS), &response_with(&in_full(response)));
        let names_the_rule = matches!(
            result,
            Err(Error::UnknownExtensionParameter
                | Error::RepeatedExtensionParameter(_)
                | Error::InvalidExtensionParameter(_))
        );
        assert!(names_the_rule, "{response}: {result:?}");
    }
    let table = [
        ("D; x", Error::UnknownExtensionParameter),
        ("D; SN; SN", Error::RepeatedExtensionParameter(SN)),
        ("D; CN; CN", Error::RepeatedExtensionParameter(CN)),
        ("D; SB=9; SB=9", Error::RepeatedExtensionParameter(SB)),
        ("D; CB=9; CB=9", Error::RepeatedExtensionParameter(CB)),
        ("D; SN=1", Error::InvalidExtensionParameter(SN)),
        ("D; CN=1", Error::InvalidExtensionParameter(CN)),
        ("D; SB=7", Error::InvalidExtensionParameter(SB)),
        ("D; CB=16", Error::InvalidExtensionParameter(CB)),
        ("D; SB", Error::InvalidExtensionParameter(SB)),
        // This would be legal in an offer.
        ("D; CB", Error::InvalidExtensionParameter(CB)),
    ];
    for (response, error) in table {
        let result = client_result(Some(NO_DEMANDS), &response_with(&in_full(response)));
        assert_eq!(result, Err(error), "{response}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# The LZ77 window size of the client must not be less than the LZ77 window size of the
//# server.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# The client does not support the configuration that the response represents.
#[test]
fn client_fails_connection_on_a_response_that_ignores_its_demands() {
    use ClientHandshakeError as Error;
    let forgetful = DeflateConfig::default();
    let small = config(0b00, 10, 15);
    let table = [
        (forgetful, "D", Error::ServerContextTakeover),
        (forgetful, "D; CN; SB=8; CB=8", Error::ServerContextTakeover),
        (small, "D", Error::ServerWindowTooLarge),
        (small, "D; SN; CB=10", Error::ServerWindowTooLarge),
        (small, "D; SB=11", Error::ServerWindowTooLarge),
        (small, "D; SB=15", Error::ServerWindowTooLarge),
    ];
    for (config, response, error) in table {
        let result = client_result(Some(config), &response_with(&in_full(response)));
        assert_eq!(result, Err(error), "{response}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# A client that received a response accepting a PMCE extension negotiation offer
//# together with such an extension MUST _Fail the WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# A client that receives a response accepting a PMCE extension negotiation offer
//# together with such an extension MUST _Fail the WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# If a server gives an invalid response, such as accepting a PMCE that the client did
//# not offer, the client MUST _Fail the WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
//# the recipient of such malformed data MUST immediately _Fail the WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.3
//# When using the quoted-string syntax variant, the value ; after quoted-string unescaping
//# MUST conform to the ; 'token' ABNF.
//= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
//# the order of operations on the data should be assumed to be the same as the order in
//# which the extensions are listed in the server's response in the opening handshake.
#[test]
fn client_fails_connection_on_an_extension_beside_permessage_deflate() {
    use ClientHandshakeError as Error;
    let table = [
        ("x", Error::UnrequestedExtension),
        ("D, x", Error::UnrequestedExtension),
        ("x; y=z, D", Error::UnrequestedExtension),
        ("Permessage-Deflate", Error::UnrequestedExtension),
        ("D, D", Error::RepeatedExtension),
        ("D; SN, D; x", Error::RepeatedExtension),
        ("D\r\nSec-WebSocket-Extensions: D", Error::RepeatedExtension),
        ("D;", Error::MalformedExtensions),
        ("D; SB=\"10", Error::MalformedExtensions),
        ("D; SB=\"1 0\"", Error::MalformedExtensions),
        ("D; SB=\"\"", Error::MalformedExtensions),
    ];
    for (response, error) in table {
        let result = client_result(Some(NO_DEMANDS), &response_with(&in_full(response)));
        assert_eq!(result, Err(error), "{response}");
    }
    let without_offer = client_result(None, &response_with(SIMPLEST));
    assert_eq!(without_offer, Err(Error::UnrequestedExtension));
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# If a server responds with no PMCE element in the "Sec-WebSocket-Extensions" header,
//# both endpoints proceed without per-message compression once _the WebSocket
//# Connection is established_.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5.1
//# Otherwise, the client starts the closing handshake with close code 1010.
#[test]
fn client_continues_without_compression_or_closes_with_1010() {
    let head = response_with("x").replace("Sec-WebSocket-Extensions: x\r\n", "");
    assert_eq!(
        client_result(Some(DeflateConfig::default()), &head),
        Ok(None)
    );
    for empty in ["", ",", "\r\nSec-WebSocket-Extensions: ,"] {
        let head = response_with(empty);
        assert_eq!(
            client_result(Some(DeflateConfig::default()), &head),
            Ok(None)
        );
    }

    let mut client = open(Role::Client);
    let mut output = Vec::new();
    let closed = client.connection.close(DEFLATE_REQUIRED, &mut output);
    assert_eq!(closed, Ok(()));
    let frames = frames_of(Role::Client, &output);
    let body = Some((1010, SIMPLEST.to_owned()));
    assert_eq!(frames[0].close_body(), body);
}

#[test]
fn errors_name_the_rule_that_the_server_broke() {
    use ClientHandshakeError as Error;
    let table = [
        (Error::RepeatedExtension, "twice"),
        (Error::UnknownExtensionParameter, "unknown"),
        (Error::RepeatedExtensionParameter(SB), SB),
        (Error::InvalidExtensionParameter(CB), CB),
        (Error::ServerContextTakeover, SN),
        (Error::ServerWindowTooLarge, "larger window"),
    ];
    for (error, part) in table {
        let text = error.to_string();
        assert!(text.contains(part) && text.contains("7692"), "{text}");
    }
}

// ── Both endpoints ──────────────────────────────────────────────────────────

proptest! {
    #[test]
    fn both_endpoints_agree_on_the_stricter_value_of_each_parameter(server in configs(), client in configs()) {
        both_ends_agree(&server, &client);
    }

    /// A client accepts every response of the server to its offer.
    #[test]
    fn client_accepts_every_response_of_the_server_to_its_offer(
        server in configs(),
        client in configs(),
        extensions_before in prop::sample::select(vec!["", "x, ", "D; y, ", "D; SB, x; z=1, "]),
        fallback in prop::sample::select(vec!["", ", D", ", D; SN; CN; SB=8; CB=8"]),
    ) {
        let offers = format!("{}{}{}", in_full(extensions_before), offered(client), in_full(fallback));
        let parameters = choose(&offers, &server);
        let response = response_to(&offers, &server).expect("a legal offer");
        prop_assert_eq!(client_result(Some(client), &response_with(&response)), Ok(parameters));
    }

    #[test]
    fn chosen_parameters_can_be_written(server in configs(), offers in offers()) {
        match choose(&offers, &server) {
            Some(parameters) => prop_assert!(write(&offers, &parameters).is_ok()),
            None => prop_assert_eq!(write(&offers, &agreed(0b11, 8, 15)), Err(NotOffered::Deflate)),
        }
    }
}

fn configs() -> impl Strategy<Value = DeflateConfig> {
    (0..4_u8, 8..=15_u8, 8..=15_u8)
        .prop_map(|(flags, server, client)| config(flags, server, client))
}

/// Offers of permessage-deflate with valid and invalid parameters, and of other extensions.
fn offers() -> impl Strategy<Value = String> {
    let parameter = prop::sample::select(vec![
        "; SN",
        "; CN",
        "; SB=8",
        "; SB=12",
        "; SB=15",
        "; CB",
        "; CB=8",
        "; CB=\"14\"",
        "; SB",
        "; SN=1",
        "; CB=16",
        "; x",
    ]);
    let offer = prop::collection::vec(parameter, 0..4).prop_map(|all| format!("D{}", all.concat()));
    let element = prop_oneof![4 => offer, 1 => Just("x; y=1".to_owned())];
    prop::collection::vec(element, 1..4).prop_map(|all| in_full(&all.join(", ")))
}

// ── Short forms ─────────────────────────────────────────────────────────────

const SN: &str = "server_no_context_takeover";
const CN: &str = "client_no_context_takeover";
const SB: &str = "server_max_window_bits";
const CB: &str = "client_max_window_bits";

/// The configuration of an endpoint without demands.
const NO_DEMANDS: DeflateConfig = DeflateConfig {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: WindowBits::MAX,
    client_max_window_bits: WindowBits::MAX,
    level: 1,
    threshold_bytes: 64,
};

/// The lowest bit of the flags is for the server.
fn config(flags: u8, server_bits: u8, client_bits: u8) -> DeflateConfig {
    DeflateConfig {
        server_no_context_takeover: flags & 0b01 != 0,
        client_no_context_takeover: flags & 0b10 != 0,
        server_max_window_bits: window(server_bits),
        client_max_window_bits: window(client_bits),
        ..NO_DEMANDS
    }
}

fn agreed(flags: u8, server_bits: u8, client_bits: u8) -> DeflateParameters {
    DeflateParameters {
        server_no_context_takeover: flags & 0b01 != 0,
        client_no_context_takeover: flags & 0b10 != 0,
        server_max_window_bits: window(server_bits),
        client_max_window_bits: window(client_bits),
    }
}

fn window(bits: u8) -> WindowBits {
    WindowBits::new(bits).expect("8 to 15")
}

/// Replaces the short forms with the full names.
fn in_full(text: &str) -> String {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let mut in_full = String::new();
    for word in text.split_inclusive(|c: char| !is_letter(c)) {
        let letters = word.trim_end_matches(|c: char| !is_letter(c));
        in_full += match letters {
            "D" => SIMPLEST,
            "SN" => SN,
            "CN" => CN,
            "SB" => SB,
            "CB" => CB,
            other => other,
        };
        in_full += &word[letters.len()..];
    }
    in_full
}

/// The field in one line, as it is sent.
fn unfolded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The parameters that a server chooses.
fn choose(offers: &str, config: &DeflateConfig) -> Option<DeflateParameters> {
    let request = request_with(offers);
    with_upgrade(request.as_bytes(), |upgrade| upgrade.choose_deflate(config))
        .expect("a legal request")
}

/// The field that a server writes for these parameters. The rest of the response is the same as
/// without them.
fn write(offers: &str, parameters: &DeflateParameters) -> Result<String, NotOffered> {
    let request = request_with(offers);
    with_upgrade(request.as_bytes(), |upgrade| {
        let mut head = Vec::new();
        let written = write_response(upgrade, None, Some(parameters), &mut head);
        if let Err(error) = written {
            assert_eq!(head, b"", "nothing is written");
            return Err(error);
        }
        let field = field(&head).expect("the extension is named");
        let mut plain = Vec::new();
        assert_eq!(write_response(upgrade, None, None, &mut plain), Ok(()));
        let line = format!("Sec-WebSocket-Extensions: {field}\r\n");
        let head = String::from_utf8(head).expect("ASCII");
        assert_eq!(head.replace(&line, "").into_bytes(), plain);
        Ok(field)
    })
    .expect("a legal request")
}

/// The response of a server, or `None` if it declines.
fn response_to(offers: &str, config: &DeflateConfig) -> Option<String> {
    let parameters = choose(offers, config)?;
    Some(write(offers, &parameters).expect("what was chosen"))
}
