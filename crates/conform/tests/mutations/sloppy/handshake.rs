//! The opening handshake of a sloppy peer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::{FIELDS_MAX, Peer, compression};

/// A head, cut into its lines.
struct Head {
    first: String,
    fields: Vec<(String, String)>,
}

/// The response to a request, and whether it opens the connection; empty: TCP is ended.
pub fn respond(head: &str, peer: &Peer) -> (String, bool) {
    let head = parse(head, peer);
    let refusal = head
        .as_ref()
        .map_or(Some("400 Bad Request"), |head| refusal(head, peer));
    let Some(status) = refusal else {
        return (acceptance(&head.expect("there is a head"), peer), true);
    };
    if peer.is("ends TCP instead of refusing") {
        return (String::new(), false);
    }
    let version = match peer.is("does not name its version") {
        true => "",
        false => "Sec-WebSocket-Version: 13\r\n",
    };
    let response =
        format!("HTTP/1.1 {status}\r\n{version}Content-Length: 0\r\nConnection: close\r\n\r\n");
    (response, false)
}

fn refusal(head: &Head, peer: &Peer) -> Option<&'static str> {
    let mut parts = head.first.split(' ');
    let (method, target, version) = (parts.next(), parts.next(), parts.next());
    let lenient = peer.is("accepts invalid lines");
    let target = target.unwrap_or_default();
    if method != Some("GET") && !peer.is("accepts every method") {
        return Some("405 Method Not Allowed");
    }
    let is_version =
        version == Some("HTTP/1.1") || version == Some("HTTP/1.0") && peer.is("accepts HTTP/1.0");
    let is_target = target.starts_with('/')
        || target.starts_with("http://") && !peer.is("refuses absolute targets");
    if !(is_version && is_target && parts.next().is_none() || lenient) {
        return Some("400 Bad Request");
    }
    let hosts = head.values("host", peer).len();
    if hosts == 0 && !peer.is("accepts requests without Host")
        || hosts > 1 && !peer.is("accepts two Hosts")
    {
        return Some("400 Bad Request");
    }
    let upgrades = has_token(&head.values("upgrade", peer), "websocket", peer);
    let connects = has_token(&head.values("connection", peer), "Upgrade", peer);
    if !upgrades && !peer.is("does not check Upgrade")
        || !connects && !peer.is("does not check Connection")
    {
        return Some("426 Upgrade Required");
    }
    let versions = head.values("sec-websocket-version", peer);
    if versions != ["13"] && !peer.is("does not check the version") {
        return Some("426 Upgrade Required");
    }
    let keys = head.values("sec-websocket-key", peer);
    let is_key = keys
        .first()
        .and_then(|key| STANDARD.decode(key).ok())
        .is_some_and(|key| key.len() == 16);
    if !is_key && !peer.is("does not check the key")
        || keys.len() > 1 && !peer.is("accepts two keys")
    {
        return Some("400 Bad Request");
    }
    let known = [
        "host",
        "upgrade",
        "connection",
        "sec-websocket-version",
        "sec-websocket-key",
    ];
    let is_known =
        |(name, _): &(String, String)| known.iter().any(|known| name.eq_ignore_ascii_case(known));
    if is_body_refused(
        &head.values("transfer-encoding", peer),
        &head.values("content-length", peer),
        peer,
    ) {
        return Some("400 Bad Request");
    }
    if peer.is("refuses requests with invalid offers")
        && compression::has_invalid(&head.values(EXTENSIONS, peer).join(","))
    {
        return Some("400 Bad Request");
    }
    if peer.is("refuses unknown fields") && !head.fields.iter().all(is_known) {
        return Some("400 Bad Request");
    }
    None
}

/// A request with a body is refused, whatever its framing is.
fn is_body_refused(codings: &[String], lengths: &[String], peer: &Peer) -> bool {
    if peer.is("takes a body for frames") {
        return false;
    }
    let is_number =
        |value: &String| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    match (codings, lengths) {
        ([], []) => false,
        ([], [length]) if is_number(length) => length != "0",
        ([], _) => !peer.is("accepts invalid lengths of a body"),
        ([coding], []) if coding == "chunked" => true,
        (_, []) => !peer.is("accepts unknown transfer codings"),
        _ => !peer.is("accepts a length beside a transfer coding"),
    }
}

fn acceptance(head: &Head, peer: &Peer) -> String {
    let status = match peer.is("responds with another version of HTTP") {
        true => "HTTP/1.0 101 Switching Protocols",
        false => "HTTP/1.1 101 Switching Protocols",
    };
    let mut lines = vec![status.to_owned()];
    if !peer.is("responds without Upgrade") {
        lines.push("Upgrade: websocket".to_owned());
    }
    if !peer.is("responds without Connection") {
        lines.push("Connection: Upgrade".to_owned());
    }
    let key = head
        .values("sec-websocket-key", peer)
        .first()
        .cloned()
        .unwrap_or_default();
    lines.push(match peer.is("hashes the key wrongly") {
        true => format!("Sec-WebSocket-Accept: {}", accept_of(&key.to_lowercase())),
        false => format!("Sec-WebSocket-Accept: {}", accept_of(&key)),
    });
    let offered = head.values(EXTENSIONS, peer);
    if let Some(offered) = offered
        .first()
        .filter(|first| !first.starts_with("permessage-deflate"))
        .filter(|_| peer.is("accepts unknown extensions"))
    {
        lines.push(format!("Sec-WebSocket-Extensions: {offered}"));
    }
    if offered.is_empty() && peer.is("accepts extensions that nobody asked for") {
        lines.push("Sec-WebSocket-Extensions: x-unasked".to_owned());
    }
    if let Some(accepted) = compression::accept(&offered, peer) {
        lines.push(format!("Sec-WebSocket-Extensions: {accepted}"));
    }
    if peer.is("has one subprotocol for everybody") {
        lines.push("Sec-WebSocket-Protocol: x-third".to_owned());
    }
    lines.join("\r\n") + "\r\n\r\n"
}

/// The request of a client, and its key.
pub fn request(host: &str, target: &str, peer: &Peer) -> (String, String) {
    let mut nonce = [7; 16];
    if !peer.is("has one nonce for ever") {
        getrandom::fill(&mut nonce).expect("random bytes");
    }
    let key = match peer.is("has nonces of 15 bytes") {
        true => STANDARD.encode(&nonce[..15]),
        false => STANDARD.encode(nonce),
    };
    let method = if peer.is("sends POST") { "POST" } else { "GET" };
    let version = if peer.is("sends HTTP/1.0") {
        "1.0"
    } else {
        "1.1"
    };
    let target = match peer.is("sends a fragment in the target") {
        true => format!("{target}#fragment"),
        false => target.to_owned(),
    };
    let version_13 = if peer.is("asks for version 12") {
        "12"
    } else {
        "13"
    };
    let mut lines = vec![format!("{method} {target} HTTP/{version}")];
    let mut add = |name: &str, line: String| {
        if !peer.is(name) {
            lines.push(line);
        }
    };
    add("sends no Host", format!("Host: {host}"));
    add("sends no Upgrade", "Upgrade: websocket".to_owned());
    add("sends no Connection", "Connection: Upgrade".to_owned());
    add("never", format!("Sec-WebSocket-Key: {key}"));
    add("never", format!("Sec-WebSocket-Version: {version_13}"));
    lines.push(format!(
        "Sec-WebSocket-Extensions: {}",
        compression::offer(peer)
    ));
    if peer.is("sends its key twice") {
        lines.push(format!("Sec-WebSocket-Key: {key}"));
    }
    (lines.join("\r\n") + "\r\n\r\n", key)
}

/// Whether the response opens the connection.
pub fn is_open(head: &str, key: &str, peer: &Peer) -> bool {
    let Some(head) = parse(head, peer) else {
        return false;
    };
    let is_status = head.first == "HTTP/1.1 101 Switching Protocols"
        || head.first.starts_with("HTTP/1.1 101 ") && !peer.is("knows one reason phrase")
        || peer.is("accepts every status");
    let upgrades = has_token(&head.values("upgrade", peer), "websocket", peer);
    let connects = has_token(&head.values("connection", peer), "Upgrade", peer);
    let accepts = head.values("sec-websocket-accept", peer) == [accept_of(key)];
    let extensions = head.values(EXTENSIONS, peer);
    let is_legal = compression::is_legal_response(&extensions.join(","), peer);
    let no_subprotocol = head.values("sec-websocket-protocol", peer).is_empty();
    is_status
        && (upgrades || peer.is("does not check Upgrade"))
        && (connects || peer.is("does not check Connection"))
        && (accepts || peer.is("does not check Sec-WebSocket-Accept"))
        && is_legal
        && (no_subprotocol || peer.is("accepts subprotocols that it did not offer"))
}

fn parse(head: &str, peer: &Peer) -> Option<Head> {
    let head = match peer.is("takes a CR for the end of a line") {
        true => head.replace("\r\n", "\r").replace('\r', "\r\n"),
        false => head.to_owned(),
    };
    let mut lines = head.split("\r\n");
    let first = lines.next()?.to_owned();
    let lenient = peer.is("accepts invalid lines");
    let mut fields = Vec::new();
    for line in lines {
        let line = match peer.is("takes a folded line for a field") {
            true => line.trim_start(),
            false => line,
        };
        let Some((name, value)) = line.split_once(':') else {
            if lenient {
                continue;
            }
            return None;
        };
        if name.ends_with(' ') && !peer.is("accepts a space before a colon") {
            return None;
        }
        let name = name.trim_end();
        if (name.is_empty() || name.contains(' ') || value.contains(['\0', '\r'])) && !lenient {
            return None;
        }
        if peer.is("needs one space behind a colon")
            && (!value.starts_with(' ') || value[1..].starts_with([' ', '\t']))
        {
            return None;
        }
        fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
    let are_few = fields.len() <= FIELDS_MAX || peer.is("reads heads of any number of fields");
    are_few.then_some(Head { first, fields })
}

impl Head {
    fn values(&self, name: &str, peer: &Peer) -> Vec<String> {
        let is_named = |found: &str| match peer.is("knows the names of fields in one case") {
            true => found == canonical(name),
            false => found.eq_ignore_ascii_case(name),
        };
        let named = self.fields.iter().filter(|(found, _)| is_named(found));
        named.map(|(_, value)| value.clone()).collect()
    }
}

/// `sec-websocket-key` as `Sec-WebSocket-Key`.
fn canonical(name: &str) -> String {
    let words = name.split('-').map(|word| match word {
        "websocket" => "WebSocket".to_owned(),
        word => word[..1].to_uppercase() + &word[1..],
    });
    words.collect::<Vec<_>>().join("-")
}

fn has_token(values: &[String], token: &str, peer: &Peer) -> bool {
    if peer.is("compares Connection as a whole") {
        return values.len() == 1 && values[0].eq_ignore_ascii_case(token);
    }
    let mut elements = values
        .iter()
        .flat_map(|value| value.split(','))
        .map(str::trim);
    match peer.is("knows values in one case") {
        true => elements.any(|element| element == token),
        false => elements.any(|element| element.eq_ignore_ascii_case(token)),
    }
}

fn accept_of(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

const EXTENSIONS: &str = "sec-websocket-extensions";
