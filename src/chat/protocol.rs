//! The messages of the subprotocol [`yamabiko.chat.v1`](SUBPROTOCOL): JSON
//! objects with a `type`, one in each WebSocket text message.
//!
//! `docs/chat-protocol.md` is the specification; this is its vocabulary, for both
//! sides. What a client says is read with care in `request`.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::{NAME_CHARACTERS_MAX, NameError};

/// The name of the subprotocol in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "yamabiko.chat.v1";

/// The most bytes of JSON in a message to the server. The longest text with
/// every byte escaped (`\u0041`) takes 24 KiB of it; the rest is for fields of
/// later versions.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// The most bytes of UTF-8 in what is said.
pub const TEXT_BYTES_MAX: usize = 4096;
/// The most bytes of UTF-8 in the `id` of a request.
pub const ID_BYTES_MAX: usize = 64;
/// The most names in a list; `count` tells how many there are.
pub const NAMES_LISTED_MAX: usize = 1000;

/// What a client may say; [`Request::parse`](super::Request::parse) reads it.
///
/// ```
/// let join = yamabiko::chat::ClientMessage::Join { name: "Aiko".into() };
/// assert_eq!(join.to_json(), r#"{"type":"join","name":"Aiko"}"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ClientMessage<'a> {
    /// Enter the room under this name.
    Join {
        /// As typed; the server normalises and checks it.
        name: Cow<'a, str>,
    },
    /// Say something to everyone in the room.
    Message {
        /// 1 to [`TEXT_BYTES_MAX`] bytes.
        text: Cow<'a, str>,
    },
    /// Leave the room; the connection stays.
    Leave,
    /// Ask who is in the room.
    Names,
}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ServerMessage<'a> {
    /// You have joined.
    Welcome {
        /// The `id` of the join.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<Cow<'a, str>>,
        /// Your name, as everyone sees it.
        you: Cow<'a, str>,
        /// The room's name.
        room: Cow<'a, str>,
        /// Who is here, you included: at most [`NAMES_LISTED_MAX`].
        names: Vec<Cow<'a, str>>,
        /// How many are here.
        count: usize,
        /// Which revision of the room's names this is.
        revision: u64,
        /// What the server takes.
        limits: Limits,
    },
    /// Somebody else has joined.
    Joined {
        /// Who.
        name: Cow<'a, str>,
        /// The revision of the room's names in which this is so.
        revision: u64,
    },
    /// Somebody has left; with your own name: you have.
    Left {
        /// The `id` of the leave; for the one who asked only.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<Cow<'a, str>>,
        /// Who.
        name: Cow<'a, str>,
        /// The revision of the room's names in which this is so.
        revision: u64,
    },
    /// Somebody, perhaps you, said something.
    Message {
        /// The `id` that its sender gave it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<Cow<'a, str>>,
        /// Who.
        from: Cow<'a, str>,
        /// What.
        text: Cow<'a, str>,
        /// When the server received it: milliseconds since 1970-01-01 UTC.
        time: u64,
    },
    /// Who is here.
    Names {
        /// The `id` of the request.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<Cow<'a, str>>,
        /// At most [`NAMES_LISTED_MAX`] of them.
        names: Vec<Cow<'a, str>>,
        /// How many are here.
        count: usize,
        /// Which revision of the room's names this is.
        revision: u64,
    },
    /// You read too slowly and have missed something of the room, here.
    Missed {
        /// How many messages of the server: what was said, who came and went.
        messages: u64,
    },
    /// A message of yours was not carried out.
    Error(Box<Complaint<'a>>),
    /// A type that this version does not know: to be passed over.
    #[serde(other)]
    Unknown,
}

/// The bounds that a client should know before it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// [`NAME_CHARACTERS_MAX`].
    pub name_characters_max: usize,
    /// [`TEXT_BYTES_MAX`].
    pub text_bytes_max: usize,
    /// [`MESSAGE_BYTES_MAX`].
    pub message_bytes_max: usize,
}

impl Limits {
    /// What this server takes.
    pub const OURS: Limits = Limits {
        name_characters_max: NAME_CHARACTERS_MAX,
        text_bytes_max: TEXT_BYTES_MAX,
        message_bytes_max: MESSAGE_BYTES_MAX,
    };
}

/// Why a message was not carried out. The connection goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint<'a> {
    /// The `id` of the message, if it could be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<Cow<'a, str>>,
    /// For programs.
    pub code: ErrorCode,
    /// For people: one English sentence.
    pub text: Cow<'a, str>,
    /// The `type` of the message, if it was a known one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub about: Option<Cow<'a, str>>,
    /// The field that is at fault, if one is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<Cow<'a, str>>,
    /// With [`ErrorCode::NameTaken`]: a name that was free.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub suggestion: Option<Cow<'a, str>>,
}

/// What can be wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// A binary message.
    Binary,
    /// More than [`MESSAGE_BYTES_MAX`] bytes.
    TooLong,
    /// Not a JSON object.
    NotJson,
    /// `type` is none of `join`, `message`, `leave`, `names`.
    UnknownType,
    /// A field that this type needs is not there.
    MissingField,
    /// A field is not a string, or `id` is too long.
    WrongField,
    /// Join first.
    NotJoined,
    /// Leave first.
    AlreadyJoined,
    /// Nothing to be seen in the name.
    NameEmpty,
    /// More than [`NAME_CHARACTERS_MAX`] characters.
    NameTooLong,
    /// Control, invisible, private-use or unassigned characters.
    NameInvalid,
    /// Somebody here has it, or one that looks like it.
    NameTaken,
    /// Nothing in the text is visible.
    TextEmpty,
    /// More than [`TEXT_BYTES_MAX`] bytes.
    TextTooLong,
    /// Control characters other than tab and line ends.
    TextInvalid,
    /// A code that this version does not know.
    #[serde(other)]
    Unknown,
}

impl ClientMessage<'_> {
    /// The `type` that it travels under.
    pub fn kind(&self) -> &'static str {
        match self {
            ClientMessage::Join { .. } => "join",
            ClientMessage::Message { .. } => "message",
            ClientMessage::Leave => "leave",
            ClientMessage::Names => "names",
        }
    }
}

impl<'a> Complaint<'a> {
    /// With the sentence that belongs to the code. Boxed, because complaints
    /// are rare and large, and travel as errors.
    pub fn of(code: ErrorCode) -> Box<Complaint<'a>> {
        let text = code.text();
        Box::new(Complaint {
            id: None,
            code,
            text,
            about: None,
            field: None,
            suggestion: None,
        })
    }

    pub(super) fn with_id(mut self: Box<Self>, id: Option<Cow<'a, str>>) -> Box<Self> {
        self.id = id;
        self
    }

    pub(super) fn about(mut self: Box<Self>, kind: &'static str) -> Box<Self> {
        self.about = Some(kind.into());
        self
    }

    pub(super) fn at(mut self: Box<Self>, field: &'static str) -> Box<Self> {
        self.field = Some(field.into());
        self
    }

    pub(super) fn suggesting(mut self: Box<Self>, suggestion: Option<String>) -> Box<Self> {
        self.suggestion = suggestion.map(Cow::Owned);
        self
    }
}

impl fmt::Display for Complaint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Complaint<'_> {}

impl ErrorCode {
    fn text(self) -> Cow<'static, str> {
        match self {
            ErrorCode::Binary => "Only text messages are understood here.".into(),
            ErrorCode::TooLong => {
                format!("A message may have at most {MESSAGE_BYTES_MAX} bytes.").into()
            }
            ErrorCode::NotJson => "This is not a JSON object.".into(),
            ErrorCode::UnknownType => "The type must be join, message, leave or names.".into(),
            ErrorCode::MissingField => "A field is missing.".into(),
            ErrorCode::WrongField => {
                format!("A field is not a string, or its id has more than {ID_BYTES_MAX} bytes.")
                    .into()
            }
            ErrorCode::NotJoined => "Join the room first.".into(),
            ErrorCode::AlreadyJoined => "You have joined already; leave first.".into(),
            ErrorCode::NameEmpty => "A name needs something that can be seen.".into(),
            ErrorCode::NameTooLong => {
                format!("A name may have at most {NAME_CHARACTERS_MAX} characters.").into()
            }
            ErrorCode::NameInvalid => {
                "A name may not have control or invisible characters, nor unknown ones.".into()
            }
            ErrorCode::NameTaken => {
                "Somebody in this room has this name, or one that looks like it.".into()
            }
            ErrorCode::TextEmpty => "There is nothing to be seen in this text.".into(),
            ErrorCode::TextTooLong => {
                format!("A text may have at most {TEXT_BYTES_MAX} bytes.").into()
            }
            ErrorCode::TextInvalid => {
                "A text may not have control characters but tabs and line ends.".into()
            }
            ErrorCode::Unknown => "Something is wrong with this message.".into(),
        }
    }
}

impl From<NameError> for ErrorCode {
    fn from(error: NameError) -> ErrorCode {
        match error {
            NameError::Empty => ErrorCode::NameEmpty,
            NameError::TooLong => ErrorCode::NameTooLong,
            NameError::Invalid => ErrorCode::NameInvalid,
        }
    }
}

impl ServerMessage<'_> {
    /// As it travels.
    pub fn to_json(&self) -> String {
        json(self)
    }
}

impl ServerMessage<'_> {
    /// As it travels, with a list of names that is JSON already in the place of
    /// an empty one.
    pub(super) fn to_json_with_names(&self, names: &str) -> String {
        const PLACE: &str = r#""names":[]"#;
        let json = self.to_json();
        // In a string every quotation mark has a backslash before it: this is
        // found nowhere else.
        match json.split_once(PLACE) {
            Some((before, after)) => [before, r#""names":"#, names, after].concat(),
            None => json,
        }
    }
}

impl ClientMessage<'_> {
    /// As it travels.
    pub fn to_json(&self) -> String {
        json(self)
    }
}

/// Strings, numbers and lists of them always have a JSON form: there is no
/// error to hand on.
pub(super) fn json(message: &impl Serialize) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_that_is_json_already_is_put_where_it_belongs() {
        let message = |names| ServerMessage::Names {
            id: Some(r#"","names":[],""#.into()),
            names,
            count: 1,
            revision: 1,
        };
        let name = r#"A"names":[]"#;
        assert_eq!(
            message(vec![]).to_json_with_names(&json(&[name])),
            message(vec![name.into()]).to_json()
        );
    }

    #[test]
    fn client_passes_over_types_codes_and_fields_of_later_versions() {
        let read = |json| serde_json::from_str::<ServerMessage<'_>>(json).unwrap();
        assert_eq!(
            read(r#"{"type":"typing","name":"Bo"}"#),
            ServerMessage::Unknown
        );
        let joined = ServerMessage::Joined {
            name: "Bo".into(),
            revision: 2,
        };
        assert_eq!(
            read(r#"{"type":"joined","name":"Bo","revision":2,"avatar":"x"}"#),
            joined
        );
        let error = read(r#"{"type":"error","code":"too_fast","text":"Slow down."}"#);
        assert!(
            matches!(error, ServerMessage::Error(complaint) if complaint.code == ErrorCode::Unknown)
        );
    }
}
