//! The scripts that Redis runs, each as one step: nothing comes between its commands. They are texts of `scripts/`.

use yamabiko::server::NodeId;

use crate::command::Command;

/// A script of Redis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    pub(crate) text: &'static str,
}

/// Numbers, keeps and publishes messages.
pub(crate) const PUBLISH: Script = Script {
    text: include_str!("scripts/publish.lua"),
};

/// Tells where a room is, and messages that a node does not have.
pub(crate) const READ: Script = Script {
    text: include_str!("scripts/read.lua"),
};

/// Puts another message in the place of one that a log keeps.
pub(crate) const ERASE: Script = Script {
    text: include_str!("scripts/erase.lua"),
};

/// The names of a prefix's keys and channels.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    rooms: String,
    logs: String,
    nodes: String,
    erasures: String,
}

impl Names {
    pub(crate) fn new(prefix: &str) -> Names {
        Names {
            rooms: format!("{prefix}:room:"),
            logs: format!("{prefix}:log:"),
            nodes: format!("{prefix}:node:"),
            erasures: format!("{prefix}:erase:"),
        }
    }

    /// The channel of a room, and the key of its record.
    pub(crate) fn room(&self, room: &str) -> String {
        format!("{}{room}", self.rooms)
    }

    /// The key of the room's log.
    pub(crate) fn log(&self, room: &str) -> String {
        format!("{}{room}", self.logs)
    }

    /// The key of the log that a node writes when it erases a message of the room.
    pub(crate) fn erasure(&self, room: &str, node: NodeId) -> String {
        format!("{}{node}:{room}", self.erasures)
    }

    /// The room of a channel.
    pub(crate) fn room_of<'a>(&self, channel: &'a [u8]) -> Option<&'a str> {
        let channel = str::from_utf8(channel).ok()?;
        channel.strip_prefix(&self.rooms)
    }

    /// The channel of a node: what the node itself publishes there tells it that both its connections work.
    pub(crate) fn node(&self, node: &str) -> String {
        format!("{}{node}", self.nodes)
    }
}

/// A call of a script for a room, with the first argument. `further`: so many follow.
pub(crate) fn call<'b>(
    bytes: &'b mut Vec<u8>,
    script: &str,
    names: &Names,
    room: &str,
    generation: &str,
    further: usize,
) -> Command<'b> {
    Command::new(bytes, 6 + further)
        .arg("EVALSHA")
        .arg(script)
        .number(2)
        .arg(names.room(room))
        .arg(names.log(room))
        .arg(generation)
}

/// A call of [`ERASE`] by a node. Six arguments follow.
pub(crate) fn call_erase<'b>(
    bytes: &'b mut Vec<u8>,
    script: &str,
    names: &Names,
    room: &str,
    generation: &str,
    node: NodeId,
) -> Command<'b> {
    Command::new(bytes, 7 + 6)
        .arg("EVALSHA")
        .arg(script)
        .number(3)
        .arg(names.room(room))
        .arg(names.log(room))
        .arg(names.erasure(room, node))
        .arg(generation)
}

/// An epoch that no room has had. A script uses it if it begins one.
pub(crate) fn random_epoch() -> Result<String, getrandom::Error> {
    let number = getrandom::u64()?;
    Ok(format!("{number:016x}"))
}
