//! The negotiation of permessage-deflate (RFC 7692 §5 and §7.1).
//!
//! A server is asked first whether it knows permessage-deflate at all; a client must offer it.
//! Otherwise the cases do not apply.

use super::handshake::{Changes, check, named_field};
use crate::case::{Case, Run, each, named, one};
use crate::extension::{ClientWindow, Parameters, Within, accepted, deflate_elements};
use crate::frame::{Frame, TEXT};
use crate::http::{Head, Template};
use crate::script::{Expected, HeadRule, Script};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    // The response of a server.
    Case::must("negotiation/server-no-context-takeover", "rfc7692-7.1.1.1-04",
        "A server that accepts server_no_context_takeover says so in its response.", |_| server_takeover()).server().old(&["13.2.1-18"]),
    Case::must("negotiation/server-max-window-bits", "rfc7692-7.1.2.1-05",
        "A server that accepts a window names the same or a smaller one in its response.", |_| server_windows())
        .server().old(&["13.3.1-18", "13.4.1-18"]),
    Case::must("negotiation/client-max-window-bits", "rfc7692-7.1.2.2-05",
        "A window that the server demands of the client has a value from 8 to 15.", |_| client_windows()).server(),
    Case::must("negotiation/client-max-window-bits-not-offered", "rfc7692-7.1.2.2-06",
        "A response to an offer without client_max_window_bits has none.", |_| client_window_not_offered()).server(),
    Case::must("negotiation/unknown-parameter", "rfc7692-7-02",
        "An offer with an unknown parameter is declined.", |_| declines(UNKNOWN)).server(),
    Case::must("negotiation/invalid-value", "rfc7692-7-03",
        "An offer whose parameter has an invalid value is declined.", |_| declines(INVALID)).server(),
    Case::must("negotiation/repeated-parameter", "rfc7692-7-04",
        "An offer with a parameter twice is declined.", |_| declines(REPEATED)).server(),
    Case::quality("negotiation/declined-offer-opens", "rfc7692-5-20",
        "After a declined offer the connection is opened without compression.", |_| declined_opens()).server(),
    Case::should("negotiation/further-offer", "rfc7692-5-04",
        "If the first offer cannot be accepted, the next one is.", |_| further_offer()).server().old(&["13.7.1-18"]),
    Case::must("negotiation/two-fields", "rfc6455-9.1-03",
        "Offers in two fields Sec-WebSocket-Extensions are one list.", |_| two_fields()).server(),
    Case::must("negotiation/quoted-value", "rfc6455-9.1-02",
        "A quoted value means what is inside the quotes.", |_| quoted_value()).server(),
    // A client.
    Case::must("negotiation/offer", "rfc7692-7.1.2.2-03",
        "The client's offers have known parameters with legal values, each once.", |_| offer()).client(),
    Case::must("negotiation/client-no-context-takeover", "rfc7692-7.1.1.2-06",
        "A response with client_no_context_takeover is accepted.", |_| client_takeover()).client(),
    Case::must("negotiation/response-unknown-parameter", "rfc7692-7-07",
        "A response with an unknown parameter fails the connection.", |_| fails(RESPONSE_UNKNOWN)).client(),
    Case::must("negotiation/response-invalid-value", "rfc7692-7-08",
        "A response whose parameter has an invalid value fails the connection.", |_| fails(RESPONSE_INVALID)).client(),
    Case::must("negotiation/response-repeated-parameter", "rfc7692-7-09",
        "A response with a parameter twice fails the connection.", |_| fails(RESPONSE_REPEATED)).client(),
    Case::must("negotiation/response-two-extensions", "rfc7692-5-16",
        "A response with two extensions that use RSV1 fails the connection.", |_| fails(RESPONSE_TWICE)).client(),
    Case::must("negotiation/response-not-offered-window", "rfc7692-7.1.3-01",
        "client_max_window_bits in a response to an offer without it fails the connection.", |_| window_not_offered()).client(),
    Case::must("negotiation/response-larger-window", "rfc7692-7-10",
        "A window of the server larger than the client's offer fails the connection.", |_| larger_window()).client(),
];

// ---- servers ----

/// The server knows permessage-deflate, and responds to these lines with this property.
fn responds(lines: &[&str], rule: HeadRule) -> Script {
    let request = lines.iter().fold(Template::request(), |request, line| {
        request.line(format!("Sec-WebSocket-Extensions: {line}"))
    });
    Script::by_hand()
        .expect(Expected::DeflateIsKnown)
        .head(request)
        .expect(Expected::Accepted(rule))
}

fn server_takeover() -> Vec<Run> {
    each(
        [
            "permessage-deflate; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits; server_no_context_takeover",
        ],
        |offer| {
            responds(&[offer], |head| {
                let accepted = accepted(head)?;
                let fits = accepted.is_none_or(|accepted| accepted.server_no_context_takeover);
                check(fits, || named_field(head, EXTENSIONS))
            })
        },
    )
}

fn server_windows() -> Vec<Run> {
    /// A rule is a function without a value of its own: one for each window.
    fn at_most<const BITS: u8>(head: &Head) -> Result<(), String> {
        let window = accepted(head)?.map(|accepted| accepted.server_max_window_bits);
        let fits = window.is_none_or(|bits| bits.is_some_and(|bits| bits <= BITS));
        check(fits, || named_field(head, EXTENSIONS))
    }
    let rules: [(&str, HeadRule); 8] = [
        ("8", at_most::<8>),
        ("9", at_most::<9>),
        ("10", at_most::<10>),
        ("11", at_most::<11>),
        ("12", at_most::<12>),
        ("13", at_most::<13>),
        ("14", at_most::<14>),
        ("15", at_most::<15>),
    ];
    let run = |(bits, rule): (&'static str, HeadRule)| {
        let offer = format!("permessage-deflate; server_max_window_bits={bits}");
        Run::new(bits, move || responds(&[&offer], rule))
    };
    rules.into_iter().map(run).collect()
}

fn client_windows() -> Vec<Run> {
    each(
        [
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=8",
            "permessage-deflate; client_max_window_bits=10",
            "permessage-deflate; client_max_window_bits=15",
        ],
        |offer| responds(&[offer], |head| accepted(head).map(drop)),
    )
}

fn client_window_not_offered() -> Vec<Run> {
    each(
        [
            "permessage-deflate",
            "permessage-deflate; client_no_context_takeover",
            "permessage-deflate; server_max_window_bits=15",
        ],
        |offer| {
            responds(&[offer], |head| {
                let window = accepted(head)?.map(|accepted| accepted.client_max_window_bits);
                check(
                    window.is_none_or(|window| window == ClientWindow::Absent),
                    || named_field(head, EXTENSIONS),
                )
            })
        },
    )
}

type Offers = &'static [&'static str];

const UNKNOWN: Offers = &[
    "permessage-deflate; x_unknown",
    "permessage-deflate; x_unknown=1; client_max_window_bits",
    "permessage-deflate; max_window_bits=15",
];

const INVALID: Offers = &[
    "permessage-deflate; server_max_window_bits",
    "permessage-deflate; server_max_window_bits=0",
    "permessage-deflate; server_max_window_bits=7",
    "permessage-deflate; server_max_window_bits=16",
    "permessage-deflate; server_max_window_bits=010",
    "permessage-deflate; server_max_window_bits=1x",
    "permessage-deflate; client_max_window_bits=7",
    "permessage-deflate; client_max_window_bits=16",
    "permessage-deflate; client_max_window_bits=09",
    "permessage-deflate; server_no_context_takeover=1",
    "permessage-deflate; client_no_context_takeover=true",
];

const REPEATED: Offers = &[
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
    "permessage-deflate; server_max_window_bits=10; server_max_window_bits=12",
];

fn declines(offers: Offers) -> Vec<Run> {
    each(offers.iter().copied(), |offer| {
        Script::by_hand()
            .expect(Expected::DeflateIsKnown)
            .head(Template::request().set("Sec-WebSocket-Extensions", offer))
            .expect(Expected::DeflateDeclined)
    })
}

fn declined_opens() -> Vec<Run> {
    let offers = [UNKNOWN[0], INVALID[2], REPEATED[0]];
    each(offers, |offer| {
        responds(&[offer], has_no_deflate).echo("open").closes()
    })
}

fn further_offer() -> Vec<Run> {
    let offers = [
        "permessage-deflate; x_unknown, permessage-deflate",
        "x-unknown, permessage-deflate",
        "permessage-deflate; server_max_window_bits=7, permessage-deflate; client_max_window_bits",
    ];
    each(offers, |offer| responds(&[offer], has_deflate))
}

fn two_fields() -> Vec<Run> {
    one(|| responds(&["x-unknown", "permessage-deflate"], has_deflate))
}

fn quoted_value() -> Vec<Run> {
    one(|| {
        let offer = "permessage-deflate; server_max_window_bits=\"15\"";
        responds(&[offer], has_deflate)
    })
}

fn has_deflate(head: &Head) -> Result<(), String> {
    check(accepted(head)?.is_some(), || named_field(head, EXTENSIONS))
}

fn has_no_deflate(head: &Head) -> Result<(), String> {
    check(deflate_elements(head).is_empty(), || {
        named_field(head, EXTENSIONS)
    })
}

// ---- clients ----

fn offer() -> Vec<Run> {
    one(|| {
        Script::new()
            .expect(Expected::DeflateIsKnown)
            .expect(Expected::Request(|head| {
                let offers = deflate_elements(head);
                offers.iter().try_for_each(|offer| {
                    let parsed = Parameters::parse(offer, Within::Offer);
                    parsed
                        .map(drop)
                        .map_err(|wrong| format!("the offer has {wrong}"))
                })
            }))
            .echo("open")
            .closes()
    })
}

fn client_takeover() -> Vec<Run> {
    one(|| {
        let parameters = Parameters {
            client_no_context_takeover: true,
            ..Parameters::default()
        };
        Script::deflate(parameters)
            .compressed(TEXT, "open", usize::MAX)
            .text("open")
            .closes()
    })
}

const RESPONSE_UNKNOWN: Changes = &[
    ("x_unknown", |head| {
        accepts(head, "permessage-deflate; x_unknown")
    }),
    ("max_window_bits", |head| {
        accepts(head, "permessage-deflate; max_window_bits=15")
    }),
];

const RESPONSE_INVALID: Changes = &[
    ("server_max_window_bits", |head| {
        accepts(head, "permessage-deflate; server_max_window_bits")
    }),
    ("server_max_window_bits=7", |head| {
        accepts(head, "permessage-deflate; server_max_window_bits=7")
    }),
    ("server_max_window_bits=16", |head| {
        accepts(head, "permessage-deflate; server_max_window_bits=16")
    }),
    ("server_max_window_bits=010", |head| {
        accepts(head, "permessage-deflate; server_max_window_bits=010")
    }),
    ("client_max_window_bits", |head| {
        accepts(head, "permessage-deflate; client_max_window_bits")
    }),
    ("client_max_window_bits=16", |head| {
        accepts(head, "permessage-deflate; client_max_window_bits=16")
    }),
    ("server_no_context_takeover=1", |head| {
        accepts(head, "permessage-deflate; server_no_context_takeover=1")
    }),
    ("client_no_context_takeover=1", |head| {
        accepts(head, "permessage-deflate; client_no_context_takeover=1")
    }),
];

const RESPONSE_REPEATED: Changes = &[
    ("server_no_context_takeover", |head| {
        accepts(
            head,
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        )
    }),
    ("server_max_window_bits", |head| {
        accepts(
            head,
            "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        )
    }),
];

const RESPONSE_TWICE: Changes = &[
    ("one field", |head| {
        accepts(head, "permessage-deflate, permessage-deflate")
    }),
    ("two fields", |head| {
        let line = "Sec-WebSocket-Extensions: permessage-deflate";
        head.line(line).line(line)
    }),
];

fn accepts(head: Template, element: &str) -> Template {
    head.set("Sec-WebSocket-Extensions", element)
}

/// Responses that open no WebSocket.
fn fails(changes: Changes) -> Vec<Run> {
    named(changes.iter().copied(), |change| {
        Script::by_hand()
            .expect(Expected::DeflateIsKnown)
            .head_with(change(Template::response()), [Frame::text("open?")])
            .fails(&[])
    })
}

fn window_not_offered() -> Vec<Run> {
    one(|| {
        let response = accepts(
            Template::response(),
            "permessage-deflate; client_max_window_bits=10",
        );
        Script::by_hand()
            .expect(Expected::DeflateIsKnown)
            .expect(Expected::RequestHas(|head| {
                let has_one = |offer| {
                    let offer = Parameters::parse(&offer, Within::Offer).unwrap_or_default();
                    offer.client_max_window_bits != ClientWindow::Absent
                };
                let offers_it = deflate_elements(head).into_iter().any(has_one);
                check(!offers_it, || {
                    "the client offers client_max_window_bits".to_owned()
                })
            }))
            .head_with(response, [Frame::text("open?")])
            .fails(&[])
    })
}

fn larger_window() -> Vec<Run> {
    one(|| {
        let response = accepts(
            Template::response(),
            "permessage-deflate; server_max_window_bits=15",
        );
        Script::by_hand()
            .expect(Expected::DeflateIsKnown)
            .expect(Expected::RequestHas(|head| {
                let is_small = |offer| {
                    let offer = Parameters::parse(&offer, Within::Offer).unwrap_or_default();
                    offer.server_max_window_bits.is_some_and(|bits| bits < 15)
                };
                let all_small = deflate_elements(head).into_iter().all(is_small);
                check(all_small, || {
                    "the client asks for no smaller window".to_owned()
                })
            }))
            .head_with(response, [Frame::text("open?")])
            .fails(&[])
    })
}

const EXTENSIONS: &str = "sec-websocket-extensions";
