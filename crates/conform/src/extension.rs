//! The negotiation of permessage-deflate (RFC 7692 §7.1): parameters of an offer or a response,
//! written, and read strictly.
//!
//! ```text
//!   request    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, …   offers
//!   response   Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=10   agreed
//! ```

use std::fmt;

use crate::http::Head;
use crate::peer::Peer;

/// The parameters of an offer or a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub server_no_context_takeover: bool,
    pub client_no_context_takeover: bool,
    pub server_max_window_bits: Option<u8>,
    pub client_max_window_bits: ClientWindow,
}

/// `client_max_window_bits`, which an offer may have without a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClientWindow {
    #[default]
    Absent,
    WithoutValue,
    Bits(u8),
}

/// What one side has to obey when it compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub takes_over: bool,
    pub window_bits: u8,
}

/// An element of Sec-WebSocket-Extensions: its name, and its parameters with their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub name: String,
    pub parameters: Vec<(String, Option<String>)>,
}

/// The message that carries the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Within {
    Offer,
    Response,
}

pub(crate) const DEFLATE: &str = "permessage-deflate";

impl Parameters {
    /// The parameters of an element.
    ///
    /// # Errors
    /// What RFC 7692 §7 forbids in it.
    pub(crate) fn parse(element: &Element, within: Within) -> Result<Parameters, String> {
        let mut parsed = Parameters::default();
        let mut seen = Vec::new();
        for (name, value) in &element.parameters {
            if seen.contains(&name) {
                return Err(format!("the parameter {name} twice"));
            }
            seen.push(name);
            let wrong = || match value {
                Some(value) => format!("the parameter {name} with the value '{value}'"),
                None => format!("the parameter {name} without a value"),
            };
            match (name.as_str(), value) {
                ("server_no_context_takeover", None) => parsed.server_no_context_takeover = true,
                ("client_no_context_takeover", None) => parsed.client_no_context_takeover = true,
                ("server_max_window_bits", Some(value)) => {
                    parsed.server_max_window_bits = Some(bits(value).ok_or_else(wrong)?);
                }
                ("client_max_window_bits", None) if within == Within::Offer => {
                    parsed.client_max_window_bits = ClientWindow::WithoutValue;
                }
                ("client_max_window_bits", Some(value)) => {
                    let bits = bits(value).ok_or_else(wrong)?;
                    parsed.client_max_window_bits = ClientWindow::Bits(bits);
                }
                ("server_no_context_takeover" | "client_no_context_takeover", _)
                | ("server_max_window_bits" | "client_max_window_bits", _) => return Err(wrong()),
                _ => return Err(format!("the unknown parameter {name}")),
            }
        }
        Ok(parsed)
    }

    /// The response to an offer: what the offer demands, and what the suite adds.
    ///
    /// # Errors
    /// The offer does not allow an addition, for this reason.
    pub(crate) fn answer(self, offer: Parameters) -> Result<Parameters, &'static str> {
        let client = match (self.client_max_window_bits, offer.client_max_window_bits) {
            (ClientWindow::Bits(_), ClientWindow::Absent) => {
                return Err("the client does not offer client_max_window_bits");
            }
            (ClientWindow::Bits(ours), ClientWindow::Bits(theirs)) => {
                ClientWindow::Bits(ours.min(theirs))
            }
            (ours, _) => ours,
        };
        let windows = [self.server_max_window_bits, offer.server_max_window_bits];
        Ok(Parameters {
            server_no_context_takeover: self.server_no_context_takeover
                || offer.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            server_max_window_bits: windows.into_iter().flatten().min(),
            client_max_window_bits: client,
        })
    }

    /// What these parameters of a response mean for the compressor of a side.
    pub(crate) fn of(self, side: Peer) -> Agreed {
        let client_bits = match self.client_max_window_bits {
            ClientWindow::Bits(bits) => bits,
            _ => 15,
        };
        match side {
            Peer::Server => Agreed {
                takes_over: !self.server_no_context_takeover,
                window_bits: self.server_max_window_bits.unwrap_or(15),
            },
            Peer::Client => Agreed {
                takes_over: !self.client_no_context_takeover,
                window_bits: client_bits,
            },
        }
    }
}

/// The element of Sec-WebSocket-Extensions.
impl fmt::Display for Parameters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(DEFLATE)?;
        if self.server_no_context_takeover {
            formatter.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            formatter.write_str("; client_no_context_takeover")?;
        }
        if let Some(bits) = self.server_max_window_bits {
            write!(formatter, "; server_max_window_bits={bits}")?;
        }
        match self.client_max_window_bits {
            ClientWindow::Absent => Ok(()),
            ClientWindow::WithoutValue => formatter.write_str("; client_max_window_bits"),
            ClientWindow::Bits(bits) => write!(formatter, "; client_max_window_bits={bits}"),
        }
    }
}

/// The elements for permessage-deflate in a head, in their order.
pub(crate) fn deflate_elements(head: &Head) -> Vec<Element> {
    let elements = elements(&head.values("sec-websocket-extensions").join(","));
    let is_deflate = |element: &Element| element.name == DEFLATE;
    elements.into_iter().filter(is_deflate).collect()
}

/// The response's parameters of permessage-deflate; `None`: it does not accept it.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn accepted(head: &Head) -> Result<Option<Parameters>, String> {
    match deflate_elements(head).as_slice() {
        [] => Ok(None),
        [element] => Parameters::parse(element, Within::Response)
            .map(Some)
            .map_err(|wrong| format!("the response has {wrong}")),
        _ => Err(format!("the response has {DEFLATE} twice")),
    }
}

/// The elements of a list of extensions. A quoted value stands for what is inside the quotes.
fn elements(list: &str) -> Vec<Element> {
    let elements = split(list, ',');
    elements
        .iter()
        .map(|element| self::element(element))
        .collect()
}

fn element(text: &str) -> Element {
    let mut parts = split(text, ';').into_iter();
    Element {
        name: parts.next().unwrap_or_default(),
        parameters: parts.map(|part| parameter(&part)).collect(),
    }
}

fn parameter(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((name, value)) => (name.trim().to_owned(), Some(unquoted(value.trim()))),
        None => (text.trim().to_owned(), None),
    }
}

fn unquoted(value: &str) -> String {
    let inside = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inside.map_or_else(|| value.to_owned(), |inside| inside.replace('\\', ""))
}

/// The parts between separators outside of quotes, without empty ones.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut is_quoted = false;
    let parts = text.split(|letter| {
        is_quoted ^= letter == '"';
        letter == separator && !is_quoted
    });
    let parts = parts.map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// 8 to 15, without leading zeros.
fn bits(value: &str) -> Option<u8> {
    let bits: u8 = value.parse().ok()?;
    ((8..=15).contains(&bits) && bits.to_string() == value).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, within: Within) -> Result<Parameters, String> {
        Parameters::parse(&element(text), within)
    }

    #[test]
    fn parameters_are_read_as_they_are_written() {
        let parameters = Parameters {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: Some(8),
            client_max_window_bits: ClientWindow::Bits(15),
        };
        assert_eq!(
            parse(&parameters.to_string(), Within::Response),
            Ok(parameters)
        );
        let quoted = parse(
            "permessage-deflate; server_max_window_bits=\"8\"",
            Within::Offer,
        );
        assert_eq!(quoted.expect("legal").server_max_window_bits, Some(8));
        let elements = elements("a; b=\"c,d;e\", permessage-deflate ;x");
        assert_eq!((elements.len(), elements[1].name.as_str()), (2, DEFLATE));
        assert_eq!(elements[0].parameters[0].1.as_deref(), Some("c,d;e"));
    }

    #[test]
    fn what_the_rfc_forbids_is_an_error() {
        let wrong = [
            "p; x",
            "p; server_max_window_bits",
            "p; server_max_window_bits=7",
            "p; server_max_window_bits=16",
            "p; server_max_window_bits=08",
            "p; client_max_window_bits=0",
            "p; server_no_context_takeover=1",
            "p; client_no_context_takeover; client_no_context_takeover",
        ];
        for text in wrong {
            assert!(parse(text, Within::Offer).is_err(), "{text}");
        }
        assert!(parse("p; client_max_window_bits", Within::Offer).is_ok());
        assert!(parse("p; client_max_window_bits", Within::Response).is_err());
    }

    #[test]
    fn response_has_what_the_offer_demands() {
        let offer = Parameters {
            server_no_context_takeover: true,
            server_max_window_bits: Some(10),
            ..Parameters::default()
        };
        let ours = Parameters {
            server_max_window_bits: Some(12),
            ..Parameters::default()
        };
        assert_eq!(ours.answer(offer), Ok(offer));
        let ours = Parameters {
            client_max_window_bits: ClientWindow::Bits(9),
            ..ours
        };
        assert!(ours.answer(offer).is_err());
    }
}
