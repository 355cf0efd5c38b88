//! The settings of a run of the suite.

use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ServerConfig};

use crate::case::{Case, Depth, Setting};
use crate::cases;
use crate::peer::Peer;

/// What is run, and how: built from the defaults by its methods.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub(crate) depth: Depth,
    pub(crate) only: Vec<String>,
    pub(crate) except: Vec<String>,
    pub(crate) patience: Duration,
    pub(crate) at_once: usize,
    pub(crate) message_bytes_max: Option<usize>,
    pub(crate) silence_max: Duration,
    pub(crate) idle_max: Duration,
    pub(crate) agent: Option<String>,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) tls: Option<TlsSettings<ClientConfig>>,
    pub(crate) accept_tls: Option<TlsSettings<ServerConfig>>,
    pub(crate) options: String,
}

/// Settings of TLS, which are equal if they are the same value.
#[derive(Debug)]
pub(crate) struct TlsSettings<T>(pub Arc<T>);

impl<T> Clone for TlsSettings<T> {
    fn clone(&self) -> TlsSettings<T> {
        TlsSettings(self.0.clone())
    }
}

impl<T> PartialEq for TlsSettings<T> {
    fn eq(&self, other: &TlsSettings<T>) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            depth: Depth::Default,
            only: Vec::new(),
            except: Vec::new(),
            patience: Duration::from_secs(2),
            at_once: 32,
            message_bytes_max: None,
            silence_max: Duration::from_secs(60),
            idle_max: Duration::MAX,
            agent: None,
            fields: Vec::new(),
            tls: None,
            accept_tls: None,
            options: String::new(),
        }
    }
}

impl Plan {
    /// All cases but the longest ones, 32 connections at a time, 2 s of patience.
    pub fn new() -> Plan {
        Plan::default()
    }

    /// How much is tested.
    pub fn depth(mut self, depth: Depth) -> Plan {
        self.depth = depth;
        self
    }

    /// Only the cases that this pattern names. A pattern is an identifier of this suite or of
    /// the Autobahn suite; `*` stands for any text. Each further call adds a pattern.
    pub fn only(mut self, pattern: impl Into<String>) -> Plan {
        self.only.push(pattern.into());
        self
    }

    /// Without the cases that this pattern names.
    pub fn except(mut self, pattern: impl Into<String>) -> Plan {
        self.except.push(pattern.into());
        self
    }

    /// How long the peer may take for each thing that is expected of it.
    pub fn patience(mut self, patience: Duration) -> Plan {
        self.patience = patience;
        self
    }

    /// How many connections to a server are open at a time; at least 1.
    pub fn at_once(mut self, connections: usize) -> Plan {
        self.at_once = connections.max(1);
        self
    }

    /// The longest message that the peer accepts, in bytes: cases at this limit and past it.
    pub fn message_bytes_max(mut self, bytes: usize) -> Plan {
        self.message_bytes_max = Some(bytes);
        self
    }

    /// How long a server may keep a connection without a whole request; 60 s by default. The case
    /// is one of [`Depth::Full`], because a server that keeps it longer takes all of this time.
    pub fn silence_max(mut self, time: Duration) -> Plan {
        self.silence_max = time;
        self
    }

    /// How long the suite waits while no client is connected; without this, for ever.
    pub fn idle_max(mut self, time: Duration) -> Plan {
        self.idle_max = time;
        self
    }

    /// A field of each request to the server, such as `Authorization` or `Sec-WebSocket-Protocol`; a case that is about the
    /// field has its own. Each further call adds a field. With `Sec-WebSocket-Protocol` the cases that are about subprotocols are left
    /// out. The report does not have the value, which can be a secret.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<String>) -> Plan {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// How connections to a server of `wss` are secured: settings of rustls 0.23, which say which servers are trusted.
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Plan {
        self.tls = Some(TlsSettings(config));
        self
    }

    /// Clients connect by `wss`: settings of rustls 0.23, which have the certificate of the suite.
    pub fn accept_tls(mut self, config: Arc<ServerConfig>) -> Plan {
        self.accept_tls = Some(TlsSettings(config));
        self
    }

    /// Options of the program that the [command](crate::CaseReport::command) for a single case has, too.
    pub fn command_options(mut self, options: impl Into<String>) -> Plan {
        self.options = options.into();
        self
    }

    /// The peer's name in the report.
    pub fn agent(mut self, agent: impl Into<String>) -> Plan {
        self.agent = Some(agent.into());
        self
    }

    /// The longest message that a good peer sends back: the longest of the cases.
    pub(crate) fn answer_bytes_max(&self) -> usize {
        const OF_THE_CASES: usize = 16 << 20;
        OF_THE_CASES.max(self.message_bytes_max.unwrap_or_default().saturating_add(1))
    }

    pub(crate) fn setting(&self) -> Setting {
        Setting {
            depth: self.depth,
            message_bytes_max: self.message_bytes_max,
            silence_max: self.silence_max,
        }
    }

    /// The cases for this peer, in the order of the report.
    pub(crate) fn cases(&self, peer: Peer) -> Vec<Case> {
        let mut cases = cases::all();
        cases.retain(|case| case.peer.is_none_or(|only| only == peer));
        cases.retain(|case| case.depth <= self.depth || self.only.iter().any(|id| id == case.id));
        cases.retain(|case| self.only.is_empty() || is_named(case, &self.only));
        cases.retain(|case| !is_named(case, &self.except));
        if self.offers_subprotocols() {
            cases.retain(|case| !case.decides_subprotocols);
        }
        cases
    }

    fn offers_subprotocols(&self) -> bool {
        let mut names = self.fields.iter().map(|(name, _)| name);
        names.any(|name| name.eq_ignore_ascii_case("sec-websocket-protocol"))
    }
}

/// Whether any pattern names the case.
fn is_named(case: &Case, patterns: &[String]) -> bool {
    let names = case.old_ids();
    let names = || names.iter().map(String::as_str).chain([case.id]);
    patterns
        .iter()
        .any(|pattern| names().any(|name| matches(pattern, name)))
}

/// Whether the text has the form of the pattern, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            let starts = (0..=rest.len()).filter(|&at| rest.is_char_boundary(at));
            starts.into_iter().any(|at| matches(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(plan: &Plan) -> Vec<&'static str> {
        let cases = plan.cases(Peer::Server);
        cases.iter().map(|case| case.id).collect()
    }

    #[test]
    fn star_stands_for_any_text() {
        assert!(matches("*", "") && matches("*", "a/b"));
        assert!(matches("9.*", "9.1.1") && !matches("9.*", "19.1"));
        assert!(matches("a*b*c", "a-b-c") && !matches("a*b", "a"));
    }

    #[test]
    fn cases_are_selected_by_either_identifier() {
        let plan = Plan::new().only("framing/any-cut");
        assert_eq!(ids(&plan), ["framing/any-cut"]);
        assert_eq!(ids(&Plan::new().only("2.5")), ["control/over-125"]);
        assert!(!ids(&Plan::new().except("utf8/*")).contains(&"utf8/valid"));
    }

    #[test]
    fn cases_of_subprotocols_are_left_out_if_every_request_offers_one() {
        let about = "handshake/unknown-subprotocol";
        assert!(ids(&Plan::new().field("Cookie", "a=b")).contains(&about));
        let offers = Plan::new().field("sec-websocket-protocol", "chat");
        assert!(!ids(&offers).contains(&about));
        assert_eq!(ids(&offers).len() + 2, ids(&Plan::new()).len());
    }

    #[test]
    fn longest_cases_run_only_if_they_are_asked_for() {
        let long = "limits/many-messages";
        assert!(!ids(&Plan::new()).contains(&long));
        assert!(ids(&Plan::new().depth(Depth::Full)).contains(&long));
        assert_eq!(ids(&Plan::new().only(long)), [long]);
    }
}
