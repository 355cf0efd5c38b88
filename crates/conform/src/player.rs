//! Plays a script on one connection, and finds out how the peer does.
//!
//! Each expectation has `patience`, a time in which something must happen; every byte in
//! either direction begins it anew. An answer may take five times as long: a busy machine is
//! no fault, and a good peer costs no patience.
//!
//! A peer cannot hold a case for ever, nor fill the memory: a whole connection has a time limit, for
//! a peer that sends a byte now and then, and there are limits to what it may send that no step has
//! asked for. Past one of them, the case fails.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::deflate::{Blocks, Compressor, Token};
use crate::extension::{self, Parameters, Within, deflate_elements};
use crate::frame::{CONTINUATION, Frame};
use crate::http::{Head, Template, Values, accept_of, key_of};
use crate::peer::Peer;
use crate::random::random;
use crate::reader::{Fault, Reader, Received};
use crate::script::{Codes, CompressedRule, Cut, Expected, HeadRule, Item, Opening, Script, Step};
use crate::socket::{Ended, Socket};
use crate::transcript::{Line, Transcript};
use crate::transport::Tls;
use crate::words::{alternatives, head_lines, quoted};

/// The peer, and how patient the suite is with it.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub peer: Peer,
    /// Where a server listens; of a client its own address.
    pub address: SocketAddr,
    /// Authority and target of the URL.
    pub host: String,
    pub target: String,
    /// Fields of all requests.
    pub fields: Arc<[(String, String)]>,
    pub patience: Duration,
    /// The longest message of the peer that is read.
    pub message_bytes_max: usize,
    /// For `wss`.
    pub tls: Option<Tls>,
}

/// How a script ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Pass,
    Fail(String),
    NotApplicable(String),
}

/// The result of a script and what happened on its connection.
#[derive(Clone, Debug)]
pub(crate) struct Played {
    pub outcome: Outcome,
    pub lines: Vec<Line>,
}

/// A request that a client has sent, and the bytes behind it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub head: Head,
    pub surplus: Vec<u8>,
    /// No other request of a client had its key.
    pub is_key_new: bool,
}

/// Plays a script against a server.
pub(crate) fn play_server(script: &Script, endpoint: &Endpoint) -> Played {
    match Socket::connect(endpoint.address, endpoint.tls.as_ref(), endpoint.patience) {
        Ok(socket) => Player::new(endpoint, socket).play(script),
        Err(error) => Played {
            outcome: Outcome::Fail(format!("cannot connect: {error}")),
            lines: Vec::new(),
        },
    }
}

/// Plays a script against a client that has sent its request.
pub(crate) fn play_client(
    script: &Script,
    endpoint: &Endpoint,
    socket: Socket,
    asked: Asked,
) -> Played {
    let mut player = Player::new(endpoint, socket);
    let words = format!("{}, {} fields", asked.head.first, asked.head.fields.len());
    player.transcript.peer(words);
    let key = asked.head.values("sec-websocket-key");
    player.values.key = key
        .first()
        .map_or_else(String::new, |key| (*key).to_owned());
    player.reader.input().extend_from_slice(&asked.surplus);
    player.is_key_new = asked.is_key_new;
    player.request = Some(asked.head);
    player.play(script)
}

struct Player<'a> {
    endpoint: &'a Endpoint,
    /// `None` after a RST of the suite.
    socket: Option<Socket>,
    reader: Reader,
    transcript: Transcript,
    values: Values,
    /// Of a client.
    request: Option<Head>,
    is_key_new: bool,
    deflate: Option<Deflate>,
    /// Sec-WebSocket-Accept of a server.
    accept: String,
    /// The heads of HTTP are behind us: frames follow.
    is_open: bool,
    messages: VecDeque<(bool, Vec<u8>)>,
    pongs: VecDeque<Vec<u8>>,
    close: Option<Option<u16>>,
    fault: Option<Fault>,
    close_sent: bool,
    needs_code: bool,
    /// What `messages` and `pongs` have, and all pings of the peer, with some bytes for each of them.
    waiting_bytes: usize,
    /// The time limit of the whole connection.
    until: Instant,
}

/// What was agreed about compression, and the suite's direction of it.
struct Deflate {
    parameters: Parameters,
    compressor: Compressor,
}

/// A script that ends before its last step.
enum Stop {
    /// The rest has nothing to show.
    Pass,
    Fail(String),
    NotApplicable(String),
}

type Progress = Result<(), Stop>;

impl<'a> Player<'a> {
    fn new(endpoint: &'a Endpoint, socket: Socket) -> Player<'a> {
        Player {
            endpoint,
            socket: Some(socket),
            reader: Reader::new(endpoint.message_bytes_max),
            transcript: Transcript::new(),
            values: Values {
                scheme: if endpoint.tls.is_some() {
                    "https"
                } else {
                    "http"
                },
                host: endpoint.host.clone(),
                target: endpoint.target.clone(),
                key: key_of(random()),
            },
            request: None,
            is_key_new: false,
            deflate: None,
            accept: String::new(),
            is_open: false,
            messages: VecDeque::new(),
            pongs: VecDeque::new(),
            close: None,
            fault: None,
            close_sent: false,
            needs_code: false,
            waiting_bytes: 0,
            until: Instant::now() + CONNECTION_TIME_MAX,
        }
    }

    fn play(mut self, script: &Script) -> Played {
        self.needs_code = script.needs_code;
        let played = self
            .open(&script.opening)
            .and_then(|()| script.steps.iter().try_for_each(|step| self.step(step)))
            .and_then(|()| self.no_fault());
        self.leave();
        let outcome = match played {
            Ok(()) | Err(Stop::Pass) => Outcome::Pass,
            Err(Stop::Fail(words)) => Outcome::Fail(words),
            Err(Stop::NotApplicable(words)) => Outcome::NotApplicable(words),
        };
        Played {
            outcome,
            lines: self.transcript.into_lines(),
        }
    }

    fn is_client(&self) -> bool {
        self.endpoint.peer == Peer::Server
    }

    /// The opening handshake.
    fn open(&mut self, opening: &Opening) -> Progress {
        match (opening, self.endpoint.peer) {
            (Opening::ByHand, _) => Ok(()),
            (Opening::Standard, Peer::Server) => {
                self.send(&[Item::Head(Template::request())], Cut::Whole)?;
                self.accepted(|_| Ok(()))
            }
            (Opening::Standard, Peer::Client) => {
                self.send(&[Item::Head(Template::response())], Cut::Whole)?;
                self.is_open = true;
                Ok(())
            }
            (Opening::Deflate(offer), Peer::Server) => {
                self.send(
                    &[Item::Head(with_deflate(Template::request(), *offer))],
                    Cut::Whole,
                )?;
                self.offer_is_accepted()
            }
            (Opening::Deflate(ours), Peer::Client) => {
                let agreed = ours.answer(self.offered()?).or_else(not_applicable)?;
                self.agree(agreed);
                self.send(
                    &[Item::Head(with_deflate(Template::response(), agreed))],
                    Cut::Whole,
                )
            }
        }
    }

    fn offer_is_accepted(&mut self) -> Progress {
        let Some(head) = self.answered()? else {
            return fail(format!("expected a response; {}", self.situation()));
        };
        if head.status() != Some(101) {
            return not_applicable("the server refuses the offer of permessage-deflate");
        }
        let Some(parameters) = extension::accepted(&head).or_else(fail)? else {
            return not_applicable("the server declines the offer of permessage-deflate");
        };
        self.agree(parameters);
        self.opened(&head, |_| Ok(()))
    }

    /// The first offer of the client.
    fn offered(&self) -> Result<Parameters, Stop> {
        let elements = self
            .request
            .as_ref()
            .map(deflate_elements)
            .unwrap_or_default();
        let Some(offer) = elements.first() else {
            return not_applicable("the client does not offer permessage-deflate");
        };
        Parameters::parse(offer, Within::Offer)
            .or_else(|wrong| fail(format!("the offer has {wrong}")))
    }

    fn agree(&mut self, parameters: Parameters) {
        let agreed = parameters.of(self.endpoint.peer.other());
        self.deflate = Some(Deflate {
            parameters,
            compressor: Compressor::new(agreed.window_bits, agreed.takes_over),
        });
        self.reader.agree_on_deflate();
    }

    fn step(&mut self, step: &Step) -> Progress {
        match step {
            Step::Send { items, cut } => self.send(items, *cut),
            Step::Flood { frame, bytes_max } => self.flood(frame, *bytes_max),
            Step::Expect(expected) => self.expect(expected),
            Step::EndSending => {
                self.flush()?;
                self.transcript.suite("FIN");
                self.socket.iter_mut().for_each(Socket::end_sending);
                Ok(())
            }
            Step::Reset => {
                self.transcript.suite("RST");
                self.socket.take().into_iter().for_each(Socket::reset);
                Ok(())
            }
            Step::Pause(is_paused) => {
                let words = if *is_paused {
                    "stops reading"
                } else {
                    "reads again"
                };
                self.transcript.suite(words);
                self.socket
                    .iter_mut()
                    .for_each(|socket| socket.pause(*is_paused));
                Ok(())
            }
        }
    }

    fn send(&mut self, items: &[Item], cut: Cut) -> Progress {
        let mut bytes = Vec::new();
        for item in items {
            self.write(item, &mut bytes);
        }
        match cut {
            Cut::Whole => self.send_bytes(&bytes),
            Cut::Pieces(size) => {
                let size = size.max(1);
                self.transcript
                    .suite(format!("… in pieces of {}", crate::words::bytes(size)));
                bytes
                    .chunks(size)
                    .try_for_each(|piece| self.send_piece(piece))
            }
            Cut::At(first) => {
                let (first, rest) = bytes.split_at(first.min(bytes.len()));
                let words = crate::words::bytes(first.len());
                self.transcript
                    .suite(format!("… {words} first, then the rest"));
                self.send_piece(first)?;
                self.send_piece(rest)
            }
        }
    }

    fn send_piece(&mut self, piece: &[u8]) -> Progress {
        self.send_bytes(piece)?;
        self.flush()
    }

    fn write(&mut self, item: &Item, bytes: &mut Vec<u8>) {
        match item {
            Item::Frame(frame) => {
                self.close_sent |= frame.opcode == crate::frame::CLOSE;
                frame.encode(self.is_client(), random(), bytes);
                self.transcript.suite(frame.to_string());
            }
            Item::Part { frame, missing } => {
                frame.encode(self.is_client(), random(), bytes);
                bytes.truncate(bytes.len().saturating_sub(*missing));
                self.transcript.suite(format!(
                    "{frame}, without its last {}",
                    crate::words::bytes(*missing)
                ));
            }
            Item::Repeat { frame, count } => {
                let key = random();
                (0..*count).for_each(|_| frame.encode(self.is_client(), key, bytes));
                self.transcript.suite(format!("{count} times {frame}"));
            }
            Item::Compressed {
                opcode,
                payload,
                fragment_bytes,
            } => {
                self.transcript
                    .suite(format!("compresses {}", quoted(payload)));
                for frame in self.compress(*opcode, payload, *fragment_bytes) {
                    self.write(&Item::Frame(frame), bytes);
                }
            }
            Item::Bytes(raw, words) => {
                bytes.extend_from_slice(raw);
                self.transcript.suite(format!("{words}: {}", quoted(raw)));
            }
            Item::Head(template) => {
                let fields = &self.endpoint.fields;
                let head = template.clone().with_fields(fields);
                // They can be secrets, and a report is published.
                let shown = template.clone().with_fields(&hidden(fields));
                let shown = head_lines(&shown.bytes(&self.values));
                self.transcript.suite(shown);
                bytes.extend(head.bytes(&self.values));
                self.is_open |= self.endpoint.peer == Peer::Client;
            }
        }
    }

    /// The frames of a compressed message.
    fn compress(&mut self, opcode: u8, payload: &[u8], fragment_bytes: usize) -> Vec<Frame> {
        let payload = match &mut self.deflate {
            Some(deflate) => deflate.compressor.message(payload),
            None => payload.to_vec(),
        };
        let parts: Vec<&[u8]> = payload.chunks(fragment_bytes.max(1)).collect();
        let frame = |(place, part): (usize, &&[u8])| {
            let frame = match place {
                0 => Frame::new(opcode, part).rsv(4),
                _ => Frame::new(CONTINUATION, part),
            };
            if place + 1 < parts.len() {
                frame.more()
            } else {
                frame
            }
        };
        parts.iter().enumerate().map(frame).collect()
    }

    fn send_bytes(&mut self, bytes: &[u8]) -> Progress {
        if let Some(socket) = &mut self.socket {
            socket.queue().extend_from_slice(bytes);
        }
        self.pump(Instant::now()).map(drop)
    }

    fn flood(&mut self, frame: &Frame, bytes_max: usize) -> Progress {
        let bytes = crate::words::bytes(bytes_max);
        self.transcript
            .suite(format!("{frame}, again and again, up to {bytes}"));
        let (mut batch, key) = (Vec::new(), random());
        while batch.len() < FLOOD_BATCH_BYTES.min(bytes_max) {
            frame.encode(self.is_client(), key, &mut batch);
        }
        let mut sent = 0;
        while sent < bytes_max && !self.is_over() {
            self.send_bytes(&batch)?;
            self.wait_for_answer(|player| player.is_flushed() || player.is_over())?;
            sent += batch.len();
        }
        Ok(())
    }

    /// Gives everything to the kernel, unless the peer takes nothing for too long.
    fn flush(&mut self) -> Progress {
        match self.wait_for_answer(|player| player.is_flushed())? {
            true => Ok(()),
            false => fail("the peer does not read"),
        }
    }

    fn is_flushed(&self) -> bool {
        self.socket.as_ref().is_none_or(Socket::is_flushed)
    }

    fn expect(&mut self, expected: &Expected) -> Progress {
        match expected {
            Expected::Message { is_binary, payload } => self.message(*is_binary, payload),
            Expected::Messages { count, payload } => {
                (0..*count).try_for_each(|_| self.message(true, payload))
            }
            Expected::MessageOrFailure { is_binary, payload } => {
                self.message_or_failure(*is_binary, payload)
            }
            Expected::Pong(payload) => self.pong(payload),
            Expected::PongsUntil(payloads) => self.pongs_until(payloads),
            Expected::PongAfter { last, others } => self.pong_after(last, others),
            Expected::Begun => self.begun(),
            Expected::Failure(codes) => self.failure(codes, false),
            Expected::FailureBy(codes) => self.failure(codes, true),
            Expected::Close(codes) => self.closing(*codes),
            Expected::NothingElse => self.nothing_else(),
            Expected::End => self.end(),
            Expected::NoEnd => self.no_end(),
            Expected::Accepted(rule) => self.accepted(*rule),
            Expected::Accept => self.accept_is_right(),
            Expected::AcceptedUnless(reason) => self.accepted_unless(reason),
            Expected::AcceptedOrRefused => self.accepted_or_refused(),
            Expected::NotAccepted => self.not_accepted(),
            Expected::NothingAccepted => self.nothing_accepted(),
            Expected::Refused(statuses, rule) => self.refused(statuses, *rule),
            Expected::Request(rule) => self.request(*rule),
            Expected::NewKey if self.is_key_new => Ok(()),
            Expected::NewKey => fail("another request had the same Sec-WebSocket-Key"),
            Expected::Quiet => self.quiet(),
            Expected::Frames(rule) => rule(self.reader.frames()).or_else(fail),
            Expected::DeflateIsKnown => self.deflate_is_known(),
            Expected::DeflateDeclined => self.deflate_declined(),
            Expected::RequestHas(rule) => match &self.request {
                Some(head) => rule(head).or_else(not_applicable),
                None => Ok(()),
            },
            Expected::WholeWindow => self.whole_window(),
            Expected::EchoAcrossWindow => self.echo_across_window(),
            Expected::Compressed(rule) => self.compressed(*rule),
            Expected::FreshConnection => self.fresh_connection(),
            Expected::EndWithin(time) => self.end_within(*time),
        }
    }

    fn message(&mut self, is_binary: bool, payload: &[u8]) -> Progress {
        let wanted = || format!("expected the {} {}", kind(is_binary), quoted(payload));
        self.wait_for_answer(|player| !player.messages.is_empty() || player.is_over())?;
        let Some((found_binary, found)) = self.next_message() else {
            return fail(format!("{}; {}", wanted(), self.situation()));
        };
        match found_binary == is_binary && found == payload {
            true => Ok(()),
            false => fail(format!(
                "{}; the peer sent the {} {}{}",
                wanted(),
                kind(found_binary),
                quoted(&found),
                difference(payload, &found)
            )),
        }
    }

    fn message_or_failure(&mut self, is_binary: bool, payload: &[u8]) -> Progress {
        self.wait_for_answer(|player| !player.messages.is_empty() || player.is_over())?;
        match self.messages.is_empty() {
            true if self.is_over() => self.no_fault(),
            _ => self.message(is_binary, payload),
        }
    }

    fn pong(&mut self, payload: &[u8]) -> Progress {
        self.wait_for_answer(|player| !player.pongs.is_empty() || player.is_over())?;
        let wanted = format!("expected a pong with {}", quoted(payload));
        match self.next_pong() {
            Some(found) if found == payload => Ok(()),
            Some(found) => fail(format!(
                "{wanted}; the peer sent a pong with {}",
                quoted(&found)
            )),
            None => fail(format!("{wanted}; {}", self.situation())),
        }
    }

    fn pongs_until(&mut self, payloads: &[Vec<u8>]) -> Progress {
        let mut rest = payloads;
        while let [.., last] = rest {
            self.wait_for_answer(|player| !player.pongs.is_empty() || player.is_over())?;
            let wanted = format!("expected a pong with {}", quoted(last));
            let Some(found) = self.next_pong() else {
                return fail(format!("{wanted}; {}", self.situation()));
            };
            let Some(at) = rest.iter().position(|payload| *payload == found) else {
                return fail(format!(
                    "{wanted}; the peer sent a pong with {}",
                    quoted(&found)
                ));
            };
            rest = &rest[at + 1..];
        }
        Ok(())
    }

    fn pong_after(&mut self, last: &[u8], others: &[u8]) -> Progress {
        loop {
            self.wait_for_answer(|player| !player.pongs.is_empty() || player.is_over())?;
            match self.pongs.front() {
                Some(found) if found == others => drop(self.next_pong()),
                _ => return self.pong(last),
            }
        }
    }

    fn begun(&mut self) -> Progress {
        let has_begun = |player: &Player| player.reader.has_begun() || player.is_over();
        match self.wait_for_answer(has_begun)? && !self.is_over() {
            true => Ok(()),
            false => fail(format!("expected an answer; {}", self.situation())),
        }
    }

    /// The peer fails the connection (RFC 6455 §7.1.7).
    fn failure(&mut self, codes: &[u16], is_by_code: bool) -> Progress {
        let is_answered = |player: &Player| !player.messages.is_empty() || !player.pongs.is_empty();
        self.wait_for(|player| is_answered(player) || player.is_over())?;
        let wanted = "expected that the peer fails the connection";
        if is_answered(self) {
            let answer = self.answer();
            return fail(format!("{wanted}; it sent {answer}"));
        }
        self.no_fault()?;
        if self.needs_code || is_by_code && matches!(self.close, Some(Some(_))) {
            self.failure_code(codes)?;
        }
        if self.needs_code {
            return Ok(());
        }
        if self.close.is_some() {
            self.answer_close()?;
        }
        self.wait_for(|player| player.ended().is_some())?;
        match self.ended() {
            Some(_) => Ok(()),
            None if self.close.is_some() => {
                fail(format!("{wanted}; it sent Close and does not end TCP"))
            }
            None => fail(format!("{wanted}; {}", self.situation())),
        }
    }

    fn failure_code(&mut self, codes: &[u16]) -> Progress {
        let wanted = format!("expected a Close frame with {}", alternatives(codes));
        match self.close {
            Some(Some(code)) if codes.contains(&code) => Ok(()),
            Some(Some(code)) => fail(format!("{wanted}; the peer sent {code}")),
            Some(None) => fail(format!("{wanted}; the peer sent one without a code")),
            None => fail(format!("{wanted}; {}", self.situation())),
        }
    }

    fn closing(&mut self, codes: Codes) -> Progress {
        self.wait_for(|player| player.is_over())?;
        let fits = |code: Option<u16>| match codes {
            Codes::Any => true,
            Codes::OneOf(codes) => codes.contains(&code.unwrap_or(1005)),
            Codes::Exactly(expected) => code == Some(expected),
        };
        match self.close {
            Some(code) if fits(code) => Ok(()),
            Some(code) => {
                let code = code.map_or("no code".to_owned(), |code| code.to_string());
                fail(format!(
                    "expected a Close frame with {}; the peer sent {code}",
                    codes.words()
                ))
            }
            None => fail(format!("expected a Close frame; {}", self.situation())),
        }
    }

    fn nothing_else(&mut self) -> Progress {
        match self.messages.is_empty() && self.pongs.is_empty() {
            true => self.no_fault(),
            false => {
                let answer = self.answer();
                fail(format!("the peer also sent {answer}"))
            }
        }
    }

    fn end(&mut self) -> Progress {
        // A peer with a fault may send without end.
        self.wait_for(|player| player.ended().is_some() || player.fault.is_some())?;
        match (self.ended(), &self.fault) {
            (None, None) => fail(format!("expected the end of TCP; {}", self.situation())),
            _ => self.nothing_else(),
        }
    }

    fn end_within(&mut self, time: Duration) -> Progress {
        let until = Instant::now() + time;
        self.until = self.until.max(until + self.endpoint.patience);
        self.pump_until(until, |player| player.ended().is_some())?;
        match self.ended() {
            Some(_) => Ok(()),
            None => fail(format!(
                "the peer does not end TCP within {} s",
                time.as_secs()
            )),
        }
    }

    fn quiet(&mut self) -> Progress {
        self.pump_until(Instant::now() + SHORT_TIME, |_| false)?;
        match self.reader.input().len() {
            0 => Ok(()),
            count => fail(format!(
                "the peer sent {} too early",
                crate::words::bytes(count)
            )),
        }
    }

    fn no_end(&mut self) -> Progress {
        self.pump_until(Instant::now() + SHORT_TIME, |_| false)?;
        match self.ended() {
            Some(_) => fail("the peer has ended TCP first"),
            None => Ok(()),
        }
    }

    fn accepted(&mut self, rule: HeadRule) -> Progress {
        match self.answered()? {
            Some(head) if head.status() == Some(101) => self.opened(&head, rule),
            Some(head) => fail(format!(
                "expected the response 101; the peer sent '{}'",
                head.first
            )),
            None => fail(format!("expected the response 101; {}", self.situation())),
        }
    }

    fn accepted_unless(&mut self, reason: &str) -> Progress {
        match self.answered()? {
            Some(head) if head.status() == Some(101) => self.opened(&head, |_| Ok(())),
            Some(_) => Err(Stop::NotApplicable(reason.to_owned())),
            None => fail(format!("expected a response; {}", self.situation())),
        }
    }

    /// After the response 101.
    fn opened(&mut self, head: &Head, rule: HeadRule) -> Progress {
        self.is_open = true;
        self.accept = head.values("sec-websocket-accept").join(", ");
        self.read()?;
        rule(head).or_else(fail)
    }

    fn accept_is_right(&self) -> Progress {
        let accept = accept_of(&self.values.key);
        match self.accept == accept {
            true => Ok(()),
            false => fail(format!(
                "expected Sec-WebSocket-Accept: {accept}; the peer sent '{}'",
                self.accept
            )),
        }
    }

    fn accepted_or_refused(&mut self) -> Progress {
        match self.response(self.endpoint.patience)? {
            Some(head) if head.status() == Some(101) => self.opened(&head, |_| Ok(())),
            Some(_) => Err(Stop::Pass),
            None if self.ended().is_some() => Err(Stop::Pass),
            None => fail("the peer neither responds nor ends TCP"),
        }
    }

    fn nothing_accepted(&mut self) -> Progress {
        self.wait_for(|player| player.ended().is_some())?;
        let responses = self.reader.input().clone();
        self.transcript.peer(head_lines(&responses));
        let accepts = |bytes: &[u8]| bytes == b"HTTP/1.1 101";
        match responses.windows(12).any(accepts) {
            true => fail("the peer has accepted a request"),
            false => Ok(()),
        }
    }

    fn not_accepted(&mut self) -> Progress {
        match self.response(self.endpoint.patience)? {
            Some(head) if head.status() == Some(101) => fail("the peer has accepted the request"),
            Some(_) => Ok(()),
            None if self.ended().is_some() => Ok(()),
            None => fail("the peer neither responds nor ends TCP"),
        }
    }

    fn refused(&mut self, statuses: &[u16], rule: HeadRule) -> Progress {
        let wanted = match statuses {
            [] => "expected a response 4xx or 5xx".to_owned(),
            statuses => format!("expected the response {}", alternatives(statuses)),
        };
        let Some(head) = self.answered()? else {
            return fail(format!("{wanted}; {}", self.situation()));
        };
        let status = head.status().unwrap_or_default();
        let fits = match statuses {
            [] => (400..=599).contains(&status),
            statuses => statuses.contains(&status),
        };
        match fits {
            true => rule(&head).or_else(fail),
            false => fail(format!("{wanted}; the peer sent '{}'", head.first)),
        }
    }

    fn request(&mut self, rule: HeadRule) -> Progress {
        match &self.request {
            Some(head) => rule(head).or_else(fail),
            None => Ok(()),
        }
    }

    /// An answer that a good peer gives; see `wait_for_answer`.
    fn answered(&mut self) -> Result<Option<Head>, Stop> {
        self.response(self.endpoint.patience * ANSWER_PATIENCE)
    }

    /// The next response of HTTP; interim ones are skipped.
    fn response(&mut self, patience: Duration) -> Result<Option<Head>, Stop> {
        for _ in 0..=INTERIM_RESPONSES_MAX {
            let has_head = |player: &mut Player| {
                let head = Head::parse(player.reader.input());
                !matches!(head, Ok(None))
            };
            while !has_head(self) {
                if !self.pump(Instant::now() + patience)? {
                    return Ok(None);
                }
            }
            let head = Head::parse(self.reader.input());
            let Some((head, bytes)) = head.or_else(fail)? else {
                return Ok(None);
            };
            self.transcript
                .peer(head_lines(&self.reader.input()[..bytes]));
            self.reader.skip(bytes);
            match head.status() {
                Some(100 | 102..=199) => {}
                Some(_) => return Ok(Some(head)),
                None => return fail(format!("'{}' is no status line", head.first)),
            }
        }
        fail(format!(
            "the peer sent more than {INTERIM_RESPONSES_MAX} interim responses"
        ))
    }

    /// Otherwise the case does not apply. A server is asked on another connection.
    fn deflate_is_known(&mut self) -> Progress {
        if self.endpoint.peer == Peer::Client {
            return self.offered().map(drop);
        }
        let script = Script::deflate(Parameters::default()).closes();
        match play_server(&script, self.endpoint).outcome {
            Outcome::NotApplicable(words) => not_applicable(words),
            Outcome::Pass | Outcome::Fail(_) => Ok(()),
        }
    }

    fn deflate_declined(&mut self) -> Progress {
        match self.response(self.endpoint.patience)? {
            Some(head) if head.status() == Some(101) => match deflate_elements(&head).is_empty() {
                true => self.opened(&head, |_| Ok(())),
                false => fail("the peer has accepted the offer"),
            },
            Some(_) => Ok(()),
            None if self.ended().is_some() => Ok(()),
            None => fail("the peer neither responds nor ends TCP"),
        }
    }

    fn whole_window(&self) -> Progress {
        let ours = self.endpoint.peer.other();
        let agreed = self
            .deflate
            .as_ref()
            .map(|deflate| deflate.parameters.of(ours));
        match agreed {
            Some(agreed) if agreed.takes_over && agreed.window_bits == 15 => Ok(()),
            _ => not_applicable("the peer restricts what the suite may refer to"),
        }
    }

    fn echo_across_window(&mut self) -> Progress {
        let Some(deflate) = &self.deflate else {
            return Ok(());
        };
        let window = 1_usize
            << deflate
                .parameters
                .of(self.endpoint.peer.other())
                .window_bits;
        let first: Vec<u8> = (0..window).map(|at| (at * 31 / 7 % 253) as u8).collect();
        let copy = Token::Copy {
            length: 100,
            distance: window as u16,
        };
        let literals: Vec<Token> = first.iter().map(|&byte| Token::Literal(byte)).collect();
        let blocks = Blocks::new()
            .dynamic(false, &literals)
            .fixed(false, &[copy]);
        let payload = [first.as_slice(), &first[..100]].concat();
        let words = format!("a copy of 100 bytes at the distance {window}, in");
        self.transcript.suite(words);
        let frame = Frame::binary(blocks.message()).rsv(4);
        self.send(&[Item::Frame(frame)], Cut::Whole)?;
        self.message(true, &payload)
    }

    fn compressed(&mut self, rule: CompressedRule) -> Progress {
        let seen = self.reader.compressed();
        match &self.deflate {
            Some(deflate) if !seen.is_empty() => {
                rule(deflate.parameters.of(self.endpoint.peer), seen).or_else(fail)
            }
            _ => not_applicable("the peer compresses no message"),
        }
    }

    /// Another connection with an echo, as long as the first one exists.
    fn fresh_connection(&mut self) -> Progress {
        if self.endpoint.peer == Peer::Client {
            return Ok(());
        }
        let echo = Script::new().echo("fresh").closes();
        match play_server(&echo, self.endpoint).outcome {
            Outcome::Pass => Ok(()),
            Outcome::Fail(words) | Outcome::NotApplicable(words) => {
                fail(format!("a fresh connection is not served: {words}"))
            }
        }
    }

    /// Ends the connection in a way that a peer can bear, without a verdict.
    fn leave(&mut self) {
        if self.socket.is_none() {
            return;
        }
        if self.is_open && !self.close_sent && self.ended().is_none() {
            let _ = self.send(&[Item::Frame(Frame::close(1000, ""))], Cut::Whole);
        }
        let until = Instant::now() + SHORT_TIME.min(self.endpoint.patience);
        let _ = self.pump_until(until, |player| !player.is_open || player.close.is_some());
        self.socket.iter_mut().for_each(Socket::end_sending);
        // A client sees the end of the case before the suite turns to the next one.
        let _ = self.pump_until(until, |player| player.ended().is_some());
    }

    fn answer_close(&mut self) -> Progress {
        if !self.close_sent {
            self.send(&[Item::Frame(Frame::close(1000, ""))], Cut::Whole)?;
        }
        if self.endpoint.peer == Peer::Client {
            self.flush()?;
            self.socket.iter_mut().for_each(Socket::end_sending);
        }
        Ok(())
    }

    fn no_fault(&self) -> Progress {
        match &self.fault {
            Some(Fault(words)) => fail(format!("the peer sent {words}")),
            None => Ok(()),
        }
    }

    /// Nothing more can come: a Close, the end of TCP or a fault.
    fn is_over(&self) -> bool {
        self.close.is_some() || self.ended().is_some() || self.fault.is_some()
    }

    fn ended(&self) -> Option<Ended> {
        self.socket
            .as_ref()
            .and_then(|socket| socket.ended().cloned())
    }

    /// Waits until `is_met`, and for nothing longer than the patience.
    fn wait_for(&mut self, is_met: impl Fn(&Player) -> bool) -> Result<bool, Stop> {
        self.wait(self.endpoint.patience, is_met)
    }

    /// Waits for an answer: a busy peer may take longer for it than for an end.
    fn wait_for_answer(&mut self, is_met: impl Fn(&Player) -> bool) -> Result<bool, Stop> {
        self.wait(self.endpoint.patience * ANSWER_PATIENCE, is_met)
    }

    fn wait(&mut self, patience: Duration, is_met: impl Fn(&Player) -> bool) -> Result<bool, Stop> {
        while !is_met(self) {
            if !self.pump(Instant::now() + patience)? {
                return Ok(is_met(self));
            }
        }
        Ok(true)
    }

    /// Exchanges bytes until `is_met`, or until this time.
    fn pump_until(&mut self, until: Instant, is_met: impl Fn(&Player) -> bool) -> Progress {
        while !is_met(self) && Instant::now() < until && self.pump(until)? {}
        Ok(())
    }

    /// One exchange with the socket; whether anything happened before `until`. Fails past a limit.
    fn pump(&mut self, until: Instant) -> Result<bool, Stop> {
        let Some(socket) = &mut self.socket else {
            return Ok(false);
        };
        if Instant::now() > self.until {
            return fail("the case takes too long");
        }
        let had_ended = socket.ended().is_some();
        let is_moved = socket
            .exchange(self.reader.input(), until)
            .or_else(|error| fail(format!("the system cannot wait: {error}")))?;
        if let Some(ended) = socket.ended().filter(|_| !had_ended) {
            let words = if *ended == Ended::Fin { "FIN" } else { "RST" };
            self.read()?;
            self.transcript.peer(words);
        }
        self.read()?;
        self.within_limits()?;
        Ok(is_moved)
    }

    /// Limits of what the peer sends and no step takes.
    fn within_limits(&mut self) -> Progress {
        if self.fault.is_some() {
            // Nothing behind a fault can be understood.
            self.reader.forget_input();
        }
        let head_bytes = match self.is_open {
            true => 0,
            false => self.reader.input().len(),
        };
        match () {
            () if head_bytes > HEADS_BYTES_MAX => fail(format!(
                "the peer sent {} without a response that opens the connection",
                crate::words::bytes(head_bytes)
            )),
            () if self.waiting_bytes > self.waiting_bytes_max() => fail(format!(
                "the peer sent {} that nobody asked for",
                crate::words::bytes(self.waiting_bytes)
            )),
            () => Ok(()),
        }
    }

    /// Sorts what has arrived.
    fn read(&mut self) -> Progress {
        if !self.is_open || self.fault.is_some() {
            return Ok(());
        }
        let Player {
            reader, transcript, ..
        } = self;
        self.fault = reader.read(|words| transcript.peer(words)).err();
        while let Some(received) = self.reader.next() {
            match received {
                Received::Message { is_binary, payload } => {
                    self.waiting_bytes += waiting_bytes(&payload);
                    self.messages.push_back((is_binary, payload));
                }
                Received::Pong(payload) => {
                    self.waiting_bytes += waiting_bytes(&payload);
                    self.pongs.push_back(payload);
                }
                Received::Close(code, _) => self.close = Some(code),
                Received::Ping(payload) if !self.close_sent => {
                    // Its pong may wait for a peer that does not read.
                    self.waiting_bytes += waiting_bytes(&payload);
                    let mut bytes = Vec::new();
                    self.write(&Item::Frame(Frame::pong(payload)), &mut bytes);
                    if let Some(socket) = &mut self.socket {
                        socket.queue().extend_from_slice(&bytes);
                    }
                }
                Received::Ping(payload) => self.waiting_bytes += waiting_bytes(&payload),
            }
        }
        Ok(())
    }

    /// A case sends less than 32 MiB, or one message, before it takes an answer.
    fn waiting_bytes_max(&self) -> usize {
        self.endpoint.message_bytes_max.saturating_add(32 << 20)
    }

    fn next_message(&mut self) -> Option<(bool, Vec<u8>)> {
        let next = self.messages.pop_front()?;
        self.waiting_bytes -= waiting_bytes(&next.1);
        Some(next)
    }

    fn next_pong(&mut self) -> Option<Vec<u8>> {
        let next = self.pongs.pop_front()?;
        self.waiting_bytes -= waiting_bytes(&next);
        Some(next)
    }

    /// What the peer did instead of the expected.
    fn situation(&self) -> String {
        match (&self.fault, self.close, self.ended()) {
            (Some(Fault(words)), _, _) => format!("the peer sent {words}"),
            (None, Some(Some(code)), _) => format!("the peer sent Close {code}"),
            (None, Some(None), _) => "the peer sent Close without a code".to_owned(),
            (None, None, Some(Ended::Fin)) => "the peer ended TCP (FIN)".to_owned(),
            (None, None, Some(Ended::Reset)) => "the peer ended TCP (RST)".to_owned(),
            (None, None, None) => "nothing came".to_owned(),
        }
    }

    /// The first message or pong that no step has taken.
    fn answer(&mut self) -> String {
        if let Some((is_binary, payload)) = self.next_message() {
            return format!("the {} {}", kind(is_binary), quoted(&payload));
        }
        let pong = self.next_pong().unwrap_or_default();
        format!("a pong with {}", quoted(&pong))
    }
}

fn fail<T>(words: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Fail(words.into()))
}

fn not_applicable<T>(words: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::NotApplicable(words.into()))
}

/// The same fields without their values.
fn hidden(fields: &[(String, String)]) -> Vec<(String, String)> {
    let hide = |(name, _): &(String, String)| (name.clone(), "[hidden]".to_owned());
    fields.iter().map(hide).collect()
}

fn with_deflate(head: Template, parameters: Parameters) -> Template {
    head.set("Sec-WebSocket-Extensions", &parameters.to_string())
}

/// What a message or a pong costs that no step has taken.
fn waiting_bytes(payload: &[u8]) -> usize {
    payload.len() + ENTRY_BYTES
}

fn kind(is_binary: bool) -> &'static str {
    if is_binary {
        "binary message"
    } else {
        "text message"
    }
}

/// Where two payloads that begin alike are different.
fn difference(wanted: &[u8], found: &[u8]) -> String {
    let same = wanted
        .iter()
        .zip(found)
        .take_while(|(wanted, found)| wanted == found);
    match same.count() {
        0..=40 => String::new(),
        at => format!(" (different from byte {at} on)"),
    }
}

/// For what must not happen, and for a peer's part of an end that is not judged.
const SHORT_TIME: Duration = Duration::from_millis(300);
/// An answer may take so many times the patience.
pub(crate) const ANSWER_PATIENCE: u32 = 5;
/// One write of a flood.
const FLOOD_BATCH_BYTES: usize = 1 << 20;
/// Responses of 1xx before another one.
const INTERIM_RESPONSES_MAX: usize = 16;
/// Of responses of HTTP in a row, in bytes.
const HEADS_BYTES_MAX: usize = 1 << 20;
/// Of a message, a ping or a pong beside its payload.
const ENTRY_BYTES: usize = 256;
/// Of one connection.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn endpoint(listener: &TcpListener) -> Endpoint {
        Endpoint {
            peer: Peer::Server,
            address: listener.local_addr().expect("it is bound"),
            host: "h".to_owned(),
            target: "/".to_owned(),
            fields: [].into(),
            patience: Duration::from_secs(10),
            message_bytes_max: 1000,
            tls: None,
        }
    }

    /// A player whose connection is open, and the peer's end of it.
    fn with_player(test: impl FnOnce(Player, TcpStream)) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = endpoint(&listener);
        let socket =
            Socket::connect(endpoint.address, None, endpoint.patience).expect("it listens");
        let (peer, _) = listener.accept().expect("a connection");
        let mut player = Player::new(&endpoint, socket);
        player.is_open = true;
        test(player, peer);
    }

    fn words(stop: Progress) -> Option<String> {
        match stop {
            Err(Stop::Fail(words)) => Some(words),
            _ => None,
        }
    }

    #[test]
    fn messages_and_pongs_that_no_step_takes_have_a_limit() {
        with_player(|mut player, mut peer| {
            let mut bytes = Vec::new();
            Frame::binary([0; 100]).encode(false, [0; 4], &mut bytes);
            Frame::pong("p").encode(false, [0; 4], &mut bytes);
            peer.write_all(&bytes).expect("it is open");
            let arrived = |player: &Player| !player.pongs.is_empty();
            assert!(matches!(player.wait_for(arrived), Ok(true)));
            assert_eq!(player.waiting_bytes, 101 + 2 * ENTRY_BYTES);
            let (message, pong) = (player.next_message(), player.next_pong());
            assert!(message.is_some() && pong.is_some());
            assert_eq!(player.waiting_bytes, 0);

            player.waiting_bytes = player.waiting_bytes_max();
            assert_eq!(words(player.within_limits()), None);
            player.waiting_bytes += 1;
            let words = words(player.within_limits()).expect("a failure");
            assert!(words.ends_with("that nobody asked for"), "{words}");
        });
    }

    #[test]
    fn request_has_the_fields_of_the_plan_and_the_report_does_not_have_their_values() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let fields = [("Cookie", "a=51d2"), ("host", "other")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let endpoint = Endpoint {
            fields: fields.into(),
            ..endpoint(&listener)
        };
        let server = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().expect("a connection");
            peer.set_read_timeout(Some(Duration::from_secs(10)))
                .expect("it is open");
            let (mut head, mut read) = (Vec::new(), [0; 512]);
            while !head.ends_with(b"\r\n\r\n") {
                let count = peer.read(&mut read).expect("a request");
                assert!(count > 0, "half a request");
                head.extend_from_slice(&read[..count]);
            }
            peer.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                .expect("it is open");
            String::from_utf8(head).expect("a text")
        });
        let played = play_server(&Script::new(), &endpoint);
        let head = server.join().expect("no panic");
        assert!(head.contains("\r\nCookie: a=51d2\r\n"), "{head}");
        assert_eq!(head.matches("ost: ").count(), 1, "{head}");
        let lines = format!("{:?}", played.lines);
        assert!(lines.contains("Cookie: [hidden]"), "{lines}");
        assert!(!lines.contains("51d2"), "{lines}");
    }

    #[test]
    fn responses_have_a_limit_until_the_connection_is_open() {
        with_player(|mut player, _peer| {
            player.is_open = false;
            player.reader.input().resize(HEADS_BYTES_MAX, b'a');
            assert_eq!(words(player.within_limits()), None);
            player.reader.input().push(b'a');
            let words = words(player.within_limits()).expect("a failure");
            assert!(words.contains("without a response"), "{words}");
        });
    }

    #[test]
    fn bytes_behind_a_fault_are_dropped() {
        with_player(|mut player, mut peer| {
            peer.write_all(&[0x83, 0]).expect("it is open");
            assert!(matches!(
                player.wait_for(|player| player.is_over()),
                Ok(true)
            ));
            peer.write_all(&[0; 5000]).expect("it is open");
            drop(peer);
            let ended = |player: &Player| player.ended().is_some();
            assert!(matches!(player.wait_for(ended), Ok(true)));
            assert_eq!(player.reader.input().len(), 0);
        });
    }

    #[test]
    fn connection_has_a_time_limit() {
        with_player(|mut player, _peer| {
            player.until = Instant::now()
                .checked_sub(Duration::from_secs(1))
                .expect("a past");
            let stop = player.wait_for(|_| false).map(drop);
            assert_eq!(words(stop).as_deref(), Some("the case takes too long"));
        });
    }
}
