//! permessage-deflate of a sloppy peer: the negotiation and the messages. DEFLATE itself is
//! that of the suite, which its own tests compare with another implementation.

#[allow(dead_code, reason = "the suite uses more of it")]
#[path = "../../../src/deflate/mod.rs"]
mod deflate;

use deflate::{Compressor, InflateError, Inflater, TAIL};

use super::{Mutation, Peer};

/// Both directions of a connection with the extension.
pub struct Compression {
    inflater: Inflater,
    compressor: Compressor,
    /// How the other side compresses.
    theirs: Agreed,
}

#[derive(Clone, Copy)]
struct Agreed {
    takes_over: bool,
    window_bits: u8,
}

/// What became of a compressed message.
pub enum Inflated {
    Whole(Vec<u8>),
    TooLong,
    Corrupt,
    Hangs,
}

impl Compression {
    pub fn inflate(
        &mut self,
        payload: &[u8],
        limit: usize,
        mutation: Option<Mutation>,
    ) -> Inflated {
        let is = |name| Peer::is_in(mutation, name);
        if !self.theirs.takes_over || is("forgets the window between messages") {
            self.inflater = Inflater::default();
        }
        if is("hangs at many blocks") && payload.len() > 100_000 {
            return Inflated::Hangs;
        }
        if is("refuses empty compressed messages") && payload == [0] {
            return Inflated::Corrupt;
        }
        let block_type = payload.first().map_or(0, |first| first >> 1 & 3);
        let is_refused = block_type == 0 && payload.len() > 1 && is("refuses stored blocks")
            || block_type == 2 && is("refuses dynamic blocks");
        if is_refused {
            return Inflated::Corrupt;
        }
        let limit = match () {
            () if is("inflates without a limit") => 8 * limit,
            () if is("inflates less than its limit") => limit - 1,
            () => limit,
        };
        self.inflate_all(payload, limit, mutation)
    }

    fn inflate_all(
        &mut self,
        payload: &[u8],
        limit: usize,
        mutation: Option<Mutation>,
    ) -> Inflated {
        let is = |name| Peer::is_in(mutation, name);
        let window = 1 << self.theirs.window_bits;
        match self.inflater.message(payload, limit) {
            Ok(message) => {
                let is_far = is("keeps a window of 2^14 bytes") && message.distance_max > 1 << 14
                    || is("keeps half of the agreed window") && message.distance_max > window / 2
                    || is("stops at a final block")
                        && payload.first().is_some_and(|first| first & 1 == 1)
                    || is("stops behind a final block")
                        && message.blocks > 2
                        && payload.first().is_some_and(|first| first & 1 == 1)
                    || is("reads one block") && message.blocks > 2;
                match is_far {
                    true => Inflated::Corrupt,
                    false => Inflated::Whole(message.bytes),
                }
            }
            Err(InflateError::TooLong) => match is("hangs at a bomb") {
                true => Inflated::Hangs,
                false => Inflated::TooLong,
            },
            Err(InflateError::Corrupt("an end inside a block")) => {
                match is("delivers what is truncated") {
                    true => Inflated::Whole(b"begun".to_vec()),
                    false => Inflated::Corrupt,
                }
            }
            Err(InflateError::Corrupt(_)) => match is("delivers what is no DEFLATE") {
                true => Inflated::Whole(b"begun".to_vec()),
                false => Inflated::Corrupt,
            },
        }
    }

    /// The payload of a message to send.
    pub fn compress(&mut self, payload: &[u8], mutation: Option<Mutation>) -> Vec<u8> {
        let mut message = self.compressor.message(payload);
        if Peer::is_in(mutation, "leaves the tail in its messages") {
            message.extend(TAIL);
        }
        message
    }

    /// A message without RSV1 has come.
    pub fn passed(&mut self, mutation: Option<Mutation>) {
        if Peer::is_in(mutation, "forgets the window at a message without RSV1") {
            self.inflater = Inflater::default();
        }
    }
}

/// The response to these fields of a request; `None`: permessage-deflate is declined.
pub fn accept(fields: &[String], peer: &Peer) -> Option<String> {
    let list = match fields {
        [first, ..] if peer.is("reads the first field of extensions alone") => first.clone(),
        fields => fields.join(","),
    };
    let count = match peer.is("reads the first offer alone") {
        true => 1,
        false => usize::MAX,
    };
    let mut offers = list.split(',').map(str::trim).take(count);
    let offer = offers.find(|offer| is_legal(offer, true, peer))?;
    let mut accepted = vec![DEFLATE.to_owned()];
    for (name, value) in parameters(offer) {
        match (name, value) {
            ("server_no_context_takeover", _)
                if !peer.is("accepts server_no_context_takeover without saying so") =>
            {
                accepted.push(name.to_owned());
            }
            ("server_max_window_bits", Some(value))
                if !peer.is("accepts server_max_window_bits without saying so") =>
            {
                let value = match peer.is("names a larger window than the offer") {
                    true => "15",
                    false => value,
                };
                accepted.push(format!("{name}={value}"));
            }
            ("client_max_window_bits", _)
                if peer.is("answers client_max_window_bits without a value") =>
            {
                accepted.push(name.to_owned());
            }
            ("client_max_window_bits", Some(value)) => accepted.push(format!("{name}={value}")),
            _ => {}
        }
    }
    let is_offered = parameters(offer).any(|(name, _)| name == "client_max_window_bits");
    if !is_offered && peer.is("demands a window that the client does not offer") {
        accepted.push("client_max_window_bits=12".to_owned());
    }
    Some(accepted.join("; "))
}

/// What a client offers.
pub fn offer(peer: &Peer) -> &'static str {
    match () {
        () if peer.is("offers a window of 2^16") => "permessage-deflate; client_max_window_bits=16",
        () if peer.is("accepts a window that it did not offer") => DEFLATE,
        () if peer.is("accepts a larger window than it asked for") => {
            "permessage-deflate; client_max_window_bits; server_max_window_bits=10"
        }
        () => "permessage-deflate; client_max_window_bits",
    }
}

/// Whether a client goes on with a response that has these extensions.
pub fn is_legal_response(extensions: &str, peer: &Peer) -> bool {
    let elements: Vec<&str> = extensions.split(',').map(str::trim).collect();
    match elements.as_slice() {
        [""] => true,
        [one] if one.starts_with(DEFLATE) => {
            let is_refused = peer.is("refuses client_no_context_takeover")
                && one.contains("client_no_context_takeover");
            is_legal(one, false, peer) && !is_refused
        }
        [one, ..] if one.starts_with(DEFLATE) => peer.is("accepts permessage-deflate twice"),
        _ => peer.is("accepts extensions that it did not offer"),
    }
}

/// Whether any offer of a request is not legal.
pub fn has_invalid(list: &str) -> bool {
    let mut offers = list.split(',').map(str::trim);
    offers.any(|offer| offer.starts_with(DEFLATE) && !is_strictly_legal(offer, true))
}

/// The agreement of a response.
pub fn of_response(response: &str, peer: &Peer) -> Option<Compression> {
    let is_extension = |line: &&str| {
        line.to_ascii_lowercase()
            .starts_with("sec-websocket-extensions:")
            && line.contains(DEFLATE)
    };
    let line = response.split("\r\n").find(is_extension)?;
    let element = line.split_once(':')?.1;
    let agreed = |side: &str, said: &str| {
        let window = format!("{side}_max_window_bits");
        let bits = parameters(said).find(|(name, _)| *name == window);
        Agreed {
            takes_over: !said.contains(&format!("{side}_no_context_takeover")),
            window_bits: bits
                .and_then(|(_, value)| value?.parse().ok())
                .unwrap_or(15),
        }
    };
    let (server, client) = (agreed("server", element), agreed("client", element));
    let (ours, theirs) = if peer.is_server {
        (server, client)
    } else {
        (client, server)
    };
    let bits = match peer.is("compresses with the largest window") {
        true => 15,
        false => ours.window_bits,
    };
    let takes_over = ours.takes_over || peer.is("takes over though it agreed not to");
    Some(Compression {
        inflater: Inflater::default(),
        compressor: Compressor::new(bits, takes_over),
        theirs,
    })
}

fn is_legal(element: &str, is_offer: bool, peer: &Peer) -> bool {
    if !element.starts_with(DEFLATE) {
        return false;
    }
    let mut seen = Vec::new();
    parameters(element).all(|(name, value)| {
        let is_again = seen.contains(&name);
        seen.push(name);
        let is_quoted = element.contains('"') && peer.is("does not know quoted values");
        let is_known = KNOWN.contains(&name) || peer.is("accepts unknown parameters");
        let is_value =
            is_value(name, value, is_offer) || peer.is("accepts invalid values of parameters");
        !is_quoted && is_known && is_value && (!is_again || peer.is("accepts repeated parameters"))
    })
}

fn is_strictly_legal(element: &str, is_offer: bool) -> bool {
    let mut seen = Vec::new();
    parameters(element).all(|(name, value)| {
        let is_again = seen.contains(&name);
        seen.push(name);
        KNOWN.contains(&name) && is_value(name, value, is_offer) && !is_again
    })
}

fn is_value(name: &str, value: Option<&str>, is_offer: bool) -> bool {
    let is_window = |value: &str| (8..=15).any(|bits: u8| bits.to_string() == value);
    match (name, value) {
        ("server_max_window_bits", value) => value.is_some_and(is_window),
        ("client_max_window_bits", None) => is_offer,
        ("client_max_window_bits", Some(value)) => is_window(value),
        ("server_no_context_takeover" | "client_no_context_takeover", value) => value.is_none(),
        _ => true,
    }
}

fn parameters(element: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    element
        .split(';')
        .skip(1)
        .map(|parameter| match parameter.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
            None => (parameter.trim(), None),
        })
}

const DEFLATE: &str = "permessage-deflate";
const KNOWN: [&str; 4] = [
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
];
