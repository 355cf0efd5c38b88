//! All behaviours, one file for each category.

mod access;
mod bodies;
mod broadcast;
mod chat;
mod closing;
mod combined;
mod compression;
mod control_frames;
mod deadlines;
mod fields;
mod fragments;
mod frames;
mod limits;
mod listeners;
mod paths;
mod pipelining;
mod presence;
mod proxies;
mod publishing;
mod pusher;
mod request_line;
mod tcp;
mod text;
mod tls;
mod upgrade;

use crate::programs::Settings;
use crate::steps::Step;
use yamabiko_testing::protocol::{Peer, Role, peer};

/// One behaviour: a client that does these steps gets these answers.
pub struct Behaviour {
    /// The rule, in a sentence.
    pub name: &'static str,
    pub settings: Settings,
    /// How far the program's memory may grow meanwhile. Measured on Linux only.
    pub memory_bytes_max: usize,
    pub steps: Vec<Step>,
}

/// All behaviours with their categories.
pub fn all() -> Vec<(&'static str, Behaviour)> {
    let categories = [
        ("request_line", request_line::behaviours()),
        ("fields", fields::behaviours()),
        ("paths", paths::behaviours()),
        ("access", access::behaviours()),
        ("bodies", bodies::behaviours()),
        ("pipelining", pipelining::behaviours()),
        ("upgrade", upgrade::behaviours()),
        ("frames", frames::behaviours()),
        ("control_frames", control_frames::behaviours()),
        ("fragments", fragments::behaviours()),
        ("text", text::behaviours()),
        ("closing", closing::behaviours()),
        ("compression", compression::behaviours()),
        ("tcp", tcp::behaviours()),
        ("chat", chat::behaviours()),
        ("broadcast", broadcast::behaviours()),
        ("limits", limits::behaviours()),
        ("deadlines", deadlines::behaviours()),
        ("publishing", publishing::behaviours()),
        ("presence", presence::behaviours()),
        ("listeners", listeners::behaviours()),
        ("proxies", proxies::behaviours()),
        ("pusher", pusher::behaviours()),
        ("tls", tls::behaviours()),
        ("combined", combined::behaviours()),
    ];
    let named = |(category, behaviours): (_, Vec<Behaviour>)| {
        behaviours
            .into_iter()
            .map(move |behaviour| (category, behaviour))
    };
    categories.into_iter().flat_map(named).collect()
}

/// A behaviour of the echo server.
fn echo(name: &'static str, steps: Vec<Step>) -> Behaviour {
    with(ECHO, name, steps)
}

/// A behaviour of the chat server and its page.
fn serve(name: &'static str, steps: Vec<Step>) -> Behaviour {
    with(SERVE, name, steps)
}

/// A behaviour of a program with these settings.
fn with(settings: Settings, name: &'static str, steps: Vec<Step>) -> Behaviour {
    Behaviour {
        name,
        settings,
        memory_bytes_max: 4 << 20,
        steps,
    }
}

impl Behaviour {
    /// A behaviour that needs more memory than the others.
    fn memory_bytes_max(self, memory_bytes_max: usize) -> Behaviour {
        Behaviour {
            memory_bytes_max,
            ..self
        }
    }
}

const ECHO: Settings = &[
    "echo",
    "--workers",
    "1",
    "--message-bytes-max",
    "1MiB",
    "--inflate-ratio-max",
    "256",
];

const SERVE: Settings = &["serve", "--workers", "1"];

/// Frames as a client sends them.
const CLIENT: Peer = peer(Role::Server);
