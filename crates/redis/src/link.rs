//! One connection to Redis: commands out, answers and pushes in.
//!
//! Every wait has a limit ([`RedisSettings::silence_max`]); beyond it the connection is given up, because an answer that comes
//! late cannot be told from the next one. A connection belongs to one process of Redis, whose *generation* it knows: the
//! `run_id`, another one after each start and on each replica. The scripts compare it with the generation in which a room was numbered last.

use std::fmt;

use redis::{Cmd, Connection, RedisError, ServerErrorKind, Value};

use crate::scripts::{self, Script};
use crate::settings::RedisSettings;

pub(crate) struct Link {
    connection: Connection,
    /// Names the process of Redis.
    pub(crate) generation: String,
    /// The scripts' names on Redis.
    pub(crate) publish: String,
    pub(crate) read: String,
    pub(crate) erase: String,
}

/// Why a connection could not be made, or is given up. The text has no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinkError(String);

/// What has come.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message on this channel.
    Message(Vec<u8>, Vec<u8>),
    /// The answer to the oldest command that has none; `Err`: Redis has refused the command.
    Answer(Result<Value, Refused>),
    /// Redis confirms a subscription.
    Confirmation,
}

/// Redis has refused a command; the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) String);

impl Link {
    /// Connects, under a name for Redis' list of clients.
    pub(crate) fn connect(settings: &RedisSettings, name: &str) -> Result<Link, LinkError> {
        let limit = settings.silence_max;
        let connection = settings.client()?.get_connection_with_timeout(limit)?;
        connection.set_read_timeout(Some(limit))?;
        connection.set_write_timeout(Some(limit))?;
        let mut link = Link {
            connection,
            generation: String::new(),
            publish: String::new(),
            read: String::new(),
            erase: String::new(),
        };
        link.ask(redis::cmd("CLIENT").arg("SETNAME").arg(name))?;
        let information = link.ask(redis::cmd("INFO").arg("server"))?;
        link.generation = run_id(&text(&information)?)?.to_owned();
        link.publish = link.load(scripts::PUBLISH)?;
        link.read = link.load(scripts::READ)?;
        link.erase = link.load(scripts::ERASE)?;
        Ok(link)
    }

    /// Writes commands; their answers come in the same order.
    pub(crate) fn send(&mut self, commands: &[u8]) -> Result<(), LinkError> {
        match commands {
            [] => Ok(()),
            commands => Ok(self.connection.send_packed_command(commands)?),
        }
    }

    /// Waits for what comes next.
    pub(crate) fn receive(&mut self) -> Result<Incoming, LinkError> {
        match self.connection.recv_response()? {
            Value::Push { kind, data } => Ok(push(kind, data)),
            Value::ServerError(error) => {
                let error = RedisError::from(error);
                match is_of_the_connection(&error) {
                    true => Err(error.into()),
                    false => Ok(Incoming::Answer(Err(Refused(without_secrets(&error))))),
                }
            }
            value => Ok(Incoming::Answer(Ok(value))),
        }
    }

    fn load(&mut self, script: Script) -> Result<String, LinkError> {
        let name = self.ask(redis::cmd("SCRIPT").arg("LOAD").arg(script.text))?;
        text(&name)
    }

    /// One command and its answer, while nothing else is on the way.
    fn ask(&mut self, command: &mut Cmd) -> Result<Value, LinkError> {
        self.send(&command.get_packed_command())?;
        loop {
            match self.receive()? {
                Incoming::Answer(answer) => {
                    return answer.map_err(|Refused(reason)| LinkError(reason));
                }
                Incoming::Message(..) | Incoming::Confirmation => {}
            }
        }
    }
}

fn push(kind: redis::PushKind, data: Vec<Value>) -> Incoming {
    let mut data = data.into_iter();
    match (kind, data.next(), data.next()) {
        (
            redis::PushKind::Message,
            Some(Value::BulkString(channel)),
            Some(Value::BulkString(message)),
        ) => Incoming::Message(channel, message),
        _ => Incoming::Confirmation,
    }
}

/// Whether the error is not that of one command: another connection is needed, perhaps to another process.
fn is_of_the_connection(error: &RedisError) -> bool {
    use redis::ErrorKind::Server;
    matches!(
        error.kind(),
        Server(
            ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::NoScript
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::TryAgain
        )
    ) || matches!(error.code(), Some("BUSY" | "NOAUTH" | "NOREPLICAS"))
}

/// An answer as text.
fn text(value: &Value) -> Result<String, LinkError> {
    let bytes = match value {
        Value::BulkString(bytes) => bytes.as_slice(),
        Value::SimpleString(text) => text.as_bytes(),
        Value::VerbatimString { text, .. } => text.as_bytes(),
        _ => &[],
    };
    let text = str::from_utf8(bytes).ok().filter(|text| !text.is_empty());
    text.map(str::to_owned)
        .ok_or_else(|| LinkError::unexpected("a text"))
}

fn run_id(information: &str) -> Result<&str, LinkError> {
    let mut lines = information.lines();
    let id = lines.find_map(|line| line.strip_prefix("run_id:"));
    let id = id.filter(|id| !id.is_empty());
    id.ok_or_else(|| LinkError::unexpected("the run_id in INFO"))
}

impl LinkError {
    pub(crate) fn unexpected(expected: &str) -> LinkError {
        LinkError(format!("Redis has not answered with {expected}"))
    }

    pub(crate) fn refused(Refused(reason): &Refused) -> LinkError {
        LinkError(format!("Redis has refused a command: {reason}"))
    }
}

impl From<getrandom::Error> for LinkError {
    fn from(error: getrandom::Error) -> LinkError {
        LinkError(format!("no random numbers: {error}"))
    }
}

impl From<RedisError> for LinkError {
    fn from(error: RedisError) -> LinkError {
        LinkError(match error.is_timeout() {
            true => "Redis does not answer".to_owned(),
            false => without_secrets(&error),
        })
    }
}

/// In one line. An error of the crate has no credentials in it; what Redis answers may have anything.
fn without_secrets(error: &RedisError) -> String {
    let line = error.to_string().replace(['\r', '\n'], " ");
    line.chars().take(REASON_CHARACTERS_MAX).collect()
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const REASON_CHARACTERS_MAX: usize = 200;
