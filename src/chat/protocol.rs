//! The messages of the subprotocols [`yamabiko.chat.v2`](SUBPROTOCOL_V2) and [`yamabiko.chat.v1`](SUBPROTOCOL): JSON objects
//! with a `type`, one in each WebSocket text message. Version 2 is version 1 with history, resume and sessions.
//!
//! `docs/chat-protocol.md` is the specification; here are the types of both sides. `request`
//! parses the messages of a client.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::{NAME_CHARACTERS_MAX, NameError};

/// The name of version 1 of the subprotocol in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "yamabiko.chat.v1";
/// The name of version 2.
pub const SUBPROTOCOL_V2: &str = "yamabiko.chat.v2";
/// The Close code for a connection of somebody whom a moderator has removed.
pub const REMOVED: u16 = 4003;
/// The Close code for a connection whose tab has entered the room again by another connection.
pub const TAKEN_OVER: u16 = 4001;

/// Maximum bytes of JSON in a message to the server. The longest text with every byte escaped
/// (`\u0041`) takes 24 KiB; the rest is for fields of later versions.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Maximum bytes of UTF-8 in the text of a message.
pub const TEXT_BYTES_MAX: usize = 4096;
/// Maximum bytes of UTF-8 in the topic of a room.
pub const TOPIC_BYTES_MAX: usize = 512;
/// Maximum bytes of UTF-8 in the `id` of a request.
pub const ID_BYTES_MAX: usize = 64;
/// Bytes of a session, and of a tab: at least so many.
pub const SECRET_BYTES_MIN: usize = 16;
/// And at most so many.
pub const SECRET_BYTES_MAX: usize = 64;
/// Bytes of the password of a room: at least so many.
pub const PASSWORD_BYTES_MIN: usize = 8;
/// And at most so many.
pub const PASSWORD_BYTES_MAX: usize = 128;
/// Connections of one person in a room. A further one takes over from the oldest.
pub const TABS_MAX: usize = 16;
/// Maximum number of names in a list; `count` is the number of all members.
pub const NAMES_LISTED_MAX: usize = 1000;

/// A message of a client; [`Request::parse`](super::Request::parse) parses it.
///
/// ```
/// let join = yamabiko::chat::ClientMessage::Join { name: "Aiko".into() };
/// assert_eq!(join.to_json(), r#"{"type":"join","name":"Aiko"}"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[non_exhaustive]
pub enum ClientMessage<'a> {
    /// Join the room with this name.
    Join {
        /// As entered; the server normalises and checks it.
        name: Cow<'a, str>,
    },
    /// Version 2: join the room, with its history.
    Enter(Box<Enter<'a>>),
    /// Publish a text to all members of the room.
    Message {
        /// 1 to [`TEXT_BYTES_MAX`] bytes.
        text: Cow<'a, str>,
    },
    /// The same for a text that says what the member does: `/me waves`.
    Action {
        /// As in [`ClientMessage::Message`].
        text: Cow<'a, str>,
    },
    /// Version 2: tell the others that a text is being written.
    Typing,
    /// Version 2: go on under another name.
    Rename {
        /// As entered; the server normalises and checks it.
        name: Cow<'a, str>,
    },
    /// Version 2: set the topic of the room.
    Topic {
        /// At most [`TOPIC_BYTES_MAX`] bytes in one line; empty: none.
        text: Cow<'a, str>,
    },
    /// Leave the room; the connection stays open.
    Leave,
    /// Request the names of the members.
    Names,
    /// Version 2, for moderators: something that changes the room for others.
    #[serde(untagged)]
    Moderate(Moderation<'a>),
}

/// What a moderator does. In JSON each is a `type` of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Moderation<'a> {
    /// Let somebody write nothing.
    Mute {
        /// The name.
        name: Cow<'a, str>,
        /// For so long; 0 ends it.
        seconds: u64,
    },
    /// Remove somebody from the room.
    Kick {
        /// The name.
        name: Cow<'a, str>,
    },
    /// The same, and do not let the person in again.
    Ban {
        /// The name.
        name: Cow<'a, str>,
        /// For so long.
        seconds: u64,
    },
    /// Delete a message.
    Delete {
        /// The position of the message.
        position: Cow<'a, str>,
    },
    /// Let each person write one message in so many seconds.
    Slow {
        /// 0 ends it.
        seconds: u64,
    },
    /// Request an invitation to a private room.
    Invite {
        /// Valid for so long.
        seconds: u64,
    },
    /// Make all invitations void.
    Revoke,
}

/// Who may enter a room that was created, and who finds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Visibility {
    /// It is in the list of rooms.
    #[default]
    Listed,
    /// It is not in the list; who knows its name may enter.
    Unlisted,
    /// Who has its password or an invitation may enter.
    Private,
    /// A visibility that this version does not know.
    #[serde(other)]
    Unknown,
}

impl Visibility {
    fn is_listed(&self) -> bool {
        *self == Visibility::Listed
    }
}

/// A request of version 2 to join a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Enter<'a> {
    /// As entered; the server normalises and checks it.
    pub name: Cow<'a, str>,
    /// The session of the last welcome; or a secret that the client has made, [`SECRET_BYTES_MIN`] to [`SECRET_BYTES_MAX`] random bytes
    /// of text. Who knows it is the same person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Cow<'a, str>>,
    /// A random name of the tab, of the same length: a second connection of a tab takes over from the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tab: Option<Cow<'a, str>>,
    /// The position of the last message that this client has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Cow<'a, str>>,
    /// Without `after`: how many of the newest messages it wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<u64>,
    /// Whether it wants to know who is writing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub typing: bool,
    /// Create the room, which must not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create: Option<Visibility>,
    /// The password of a private room, [`PASSWORD_BYTES_MIN`] to [`PASSWORD_BYTES_MAX`] bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Cow<'a, str>>,
    /// An invitation to a private room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invitation: Option<Cow<'a, str>>,
}

impl<'a> Enter<'a> {
    /// A request under this name, without anything else.
    pub fn new(name: impl Into<Cow<'a, str>>) -> Enter<'a> {
        Enter {
            name: name.into(),
            session: None,
            tab: None,
            after: None,
            history: None,
            typing: false,
            create: None,
            password: None,
            invitation: None,
        }
    }
}

/// The messages of the past that follow a welcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Past<'a> {
    /// The place in front of the first one.
    pub position: Cow<'a, str>,
    /// How many follow: texts, joins and leaves.
    pub messages: u64,
    /// Whether messages are missing in front of them.
    pub gap: PastGap,
}

/// The topic of a room, as it is when a member enters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Topic<'a> {
    /// One line.
    pub text: Cow<'a, str>,
    /// The member that has set it.
    pub by: Cow<'a, str>,
    /// When: milliseconds since 1970-01-01 UTC.
    pub time: u64,
    /// The number of this topic in the room: a lower one is older.
    pub revision: u64,
}

/// Whether messages are missing between the position that a client has named and those that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PastGap {
    /// No.
    None,
    /// Some may be: the room does not keep them any more.
    Forgotten,
    /// The position is from before a restart of the server.
    OtherEpoch,
    /// A reason that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A message of the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[non_exhaustive]
pub enum ServerMessage<'a> {
    /// You have joined.
    Welcome {
        /// The `id` of the join.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<Cow<'a, str>>,
        /// Your name as it is displayed.
        you: Cow<'a, str>,
        /// The room's name.
        room: Cow<'a, str>,
        /// The names of the members, including yours: at most [`NAMES_LISTED_MAX`].
        names: Vec<Cow<'a, str>>,
        /// The number of members.
        count: usize,
        /// The revision of the room's names in this list.
        revision: u64,
        /// The limits of the server.
        limits: ChatLimits,
        /// The topic of the room, if it has one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        topic: Option<Topic<'a>>,
        /// Who may enter the room.
        #[serde(skip_serializing_if = "Visibility::is_listed", default)]
        visibility: Visibility,
        /// The least time between two messages of a person, in seconds.
        #[serde(skip_serializing_if = "is_zero", default)]
        slow_seconds: u64,
        /// You moderate the room.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        moderator: bool,
        /// Version 2: your session, to be shown by the next `enter`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        session: Option<Cow<'a, str>>,
        /// Until when the session is valid: milliseconds since 1970-01-01 UTC.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        session_until: Option<u64>,
        /// Version 2: the messages of the past that follow.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        history: Option<Past<'a>>,
    },
    /// Another member has joined.
    Joined {
        /// The `id` of the rename.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<Cow<'a, str>>,
        /// The name of the member.
        name: Cow<'a, str>,
        /// The revision of the room's names after this change.
        revision: u64,
        /// The member was here before, under this name.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        was: Option<Cow<'a, str>>,
        /// Its place in the room's history.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        position: Option<Cow<'a, str>>,
    },
    /// A member has left; if it is your name: you have left.
    Left {
        /// The `id` of the leave; sent only to the member that asked.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<Cow<'a, str>>,
        /// The name of the member.
        name: Cow<'a, str>,
        /// The revision of the room's names after this change.
        revision: u64,
        /// The member has not left the room: it goes on under this name.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        to: Option<Cow<'a, str>>,
        /// Its place in the room's history.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        position: Option<Cow<'a, str>>,
    },
    /// A text of a member, possibly your own.
    Message {
        /// The `id` of the sender's request.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<Cow<'a, str>>,
        /// The name of the sender.
        from: Cow<'a, str>,
        /// The text.
        text: Cow<'a, str>,
        /// When the server received it: milliseconds since 1970-01-01 UTC.
        time: u64,
        /// It says what the sender does: `Aiko waves`.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        action: bool,
        /// Its place in the room's history.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        position: Option<Cow<'a, str>>,
    },
    /// A member is writing a text.
    Typing {
        /// The name of the member.
        name: Cow<'a, str>,
    },
    /// A member has set the topic of the room.
    Topic {
        /// The `id` of the request.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<Cow<'a, str>>,
        /// One line; empty: the room has none any more.
        text: Cow<'a, str>,
        /// The name of the member.
        by: Cow<'a, str>,
        /// When: milliseconds since 1970-01-01 UTC.
        time: u64,
        /// The number of this topic in the room: a lower one is older.
        revision: u64,
        /// Its place in the room's history.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        position: Option<Cow<'a, str>>,
    },
    /// A moderator has changed something for others.
    Moderated {
        /// The `id` of the request.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<Cow<'a, str>>,
        /// The `type` of the request.
        action: Cow<'a, str>,
        /// The name of the moderator.
        by: Cow<'a, str>,
        /// The name of the person that it is about.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        name: Option<Cow<'a, str>>,
        /// For so long, or the least time between two messages; 0: it has ended.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        seconds: Option<u64>,
        /// The position of the message that was deleted.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        target: Option<Cow<'a, str>>,
        /// Its place in the room's history.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        position: Option<Cow<'a, str>>,
    },
    /// In the place of a message of the past that a moderator has deleted.
    Deleted {
        /// Its place in the room's history.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        position: Option<Cow<'a, str>>,
    },
    /// An invitation to the private room, for the moderator that has asked for it.
    Invitation {
        /// The `id` of the request.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<Cow<'a, str>>,
        /// For `enter`.
        invitation: Cow<'a, str>,
        /// How long it is valid, in milliseconds since 1970-01-01 UTC.
        until: u64,
    },
    /// The names of the members.
    Names {
        /// The `id` of the request.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<Cow<'a, str>>,
        /// At most [`NAMES_LISTED_MAX`] names.
        names: Vec<Cow<'a, str>>,
        /// The number of members.
        count: usize,
        /// The revision of the room's names in this list.
        revision: u64,
    },
    /// You read too slowly: messages of the room were skipped at this position.
    Missed {
        /// The number of skipped messages: texts, and members who joined or left.
        messages: u64,
    },
    /// A request of yours was not executed.
    Error(Box<ErrorReply<'a>>),
    /// A type that this version does not know: ignore it.
    #[serde(other)]
    Unknown,
}

/// The limits that a client should know before it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChatLimits {
    /// [`NAME_CHARACTERS_MAX`].
    pub name_characters_max: usize,
    /// [`TEXT_BYTES_MAX`].
    pub text_bytes_max: usize,
    /// [`MESSAGE_BYTES_MAX`].
    pub message_bytes_max: usize,
}

impl ChatLimits {
    /// The limits of this server.
    pub const SERVER: ChatLimits = ChatLimits {
        name_characters_max: NAME_CHARACTERS_MAX,
        text_bytes_max: TEXT_BYTES_MAX,
        message_bytes_max: MESSAGE_BYTES_MAX,
    };
}

/// Why a request was not executed. The connection stays open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ErrorReply<'a> {
    /// The `id` of the request, if it could be parsed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<Cow<'a, str>>,
    /// For programs.
    pub code: ErrorCode,
    /// For users: one English sentence.
    pub text: Cow<'a, str>,
    /// The `type` of the request, if it is a known one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub about: Option<Cow<'a, str>>,
    /// The field that is invalid, if it is one field.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<Cow<'a, str>>,
    /// With [`ErrorCode::NameTaken`]: a free name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub suggestion: Option<Cow<'a, str>>,
    /// Try again after so many milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wait_ms: Option<u64>,
}

/// The error of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// A binary message.
    Binary,
    /// More than [`MESSAGE_BYTES_MAX`] bytes.
    TooLong,
    /// Not a JSON object.
    NotJson,
    /// `type` is none that the version of the connection has.
    UnknownType,
    /// A required field is missing.
    MissingField,
    /// A field has a wrong type, length or form.
    WrongField,
    /// The request needs a member of the room: join first.
    NotJoined,
    /// The connection has already joined: leave first.
    AlreadyJoined,
    /// The name has no visible character.
    NameEmpty,
    /// More than [`NAME_CHARACTERS_MAX`] characters.
    NameTooLong,
    /// Control, invisible, private-use or unassigned characters.
    NameInvalid,
    /// A member has this name, or a confusable one.
    NameTaken,
    /// The text has no visible character.
    TextEmpty,
    /// More than [`TEXT_BYTES_MAX`] bytes.
    TextTooLong,
    /// Control characters other than tab and line ends.
    TextInvalid,
    /// More than [`TOPIC_BYTES_MAX`] bytes.
    TopicTooLong,
    /// Control characters or line ends, or no visible character.
    TopicInvalid,
    /// The client's token allows to read the room only.
    Forbidden,
    /// The client has asked for too many names in a short time.
    TooOften,
    /// The person sends faster than the server allows.
    TooFast,
    /// The room is in slow mode.
    SlowMode,
    /// A moderator lets the person write nothing.
    Muted,
    /// A moderator has removed the person from the room.
    Removed,
    /// The person may not enter the room for a time.
    Banned,
    /// The room is private, and needs a password or an invitation.
    PasswordRequired,
    /// The password of the room is another one.
    PasswordWrong,
    /// There were too many wrong passwords: of the person, from its address, or for the room.
    TooManyPasswords,
    /// The room cannot be created: it exists.
    RoomExists,
    /// Only the creator of the room and operators may do this.
    NotModerator,
    /// Nobody in the room has this name.
    NoMember,
    /// The room is not private, so that it has no invitations.
    NotPrivate,
    /// The server cannot do this now.
    Busy,
    /// Where the server keeps messages, it cannot keep any now: one of this connection was not published.
    NotPublished,
    /// A code that this version does not know.
    #[serde(other)]
    Unknown,
}

impl ClientMessage<'_> {
    /// The `type` in its JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            ClientMessage::Join { .. } => "join",
            ClientMessage::Enter(_) => "enter",
            ClientMessage::Message { .. } => "message",
            ClientMessage::Action { .. } => "action",
            ClientMessage::Typing => "typing",
            ClientMessage::Rename { .. } => "rename",
            ClientMessage::Topic { .. } => "topic",
            ClientMessage::Moderate(moderation) => moderation.kind(),
            ClientMessage::Leave => "leave",
            ClientMessage::Names => "names",
        }
    }
}

impl Moderation<'_> {
    /// The `type` in its JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Moderation::Mute { .. } => "mute",
            Moderation::Kick { .. } => "kick",
            Moderation::Ban { .. } => "ban",
            Moderation::Delete { .. } => "delete",
            Moderation::Slow { .. } => "slow",
            Moderation::Invite { .. } => "invite",
            Moderation::Revoke => "revoke",
        }
    }
}

impl<'a> ErrorReply<'a> {
    /// With the sentence of the code. Boxed, because it is large and used as an error.
    pub fn of(code: ErrorCode) -> Box<ErrorReply<'a>> {
        let text = code.text();
        Box::new(ErrorReply {
            id: None,
            code,
            text,
            about: None,
            field: None,
            suggestion: None,
            wait_ms: None,
        })
    }

    pub(super) fn with_id(mut self: Box<Self>, id: Option<Cow<'a, str>>) -> Box<Self> {
        self.id = id;
        self
    }

    pub(super) fn with_about(mut self: Box<Self>, kind: &'static str) -> Box<Self> {
        self.about = Some(kind.into());
        self
    }

    pub(super) fn with_field(mut self: Box<Self>, field: &'static str) -> Box<Self> {
        self.field = Some(field.into());
        self
    }

    /// The sentence tells the time, too.
    pub(super) fn with_wait(mut self: Box<Self>, wait_ms: u64) -> Box<Self> {
        let seconds = wait_ms.div_ceil(1000);
        let wait = match seconds {
            1 => "1 second".to_owned(),
            ..120 => format!("{seconds} seconds"),
            seconds => format!("{} minutes", seconds.div_ceil(60)),
        };
        self.text = format!("{} Try again in {wait}.", self.text).into();
        self.wait_ms = Some(wait_ms);
        self
    }

    pub(super) fn with_suggestion(mut self: Box<Self>, suggestion: Option<String>) -> Box<Self> {
        self.suggestion = suggestion.map(Cow::Owned);
        self
    }
}

impl fmt::Display for ErrorReply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ErrorReply<'_> {}

impl ErrorCode {
    fn text(self) -> Cow<'static, str> {
        match self {
            ErrorCode::Binary => "Binary messages are not supported.".into(),
            ErrorCode::TooLong => {
                format!("A message may have at most {MESSAGE_BYTES_MAX} bytes.").into()
            }
            ErrorCode::NotJson => "The message is not a JSON object.".into(),
            ErrorCode::UnknownType => {
                "The type must be join, message, action, leave or names; in version 2 also enter, rename, topic, typing or one for moderators.".into()
            }
            ErrorCode::MissingField => "A required field is missing.".into(),
            ErrorCode::WrongField => format!(
                "A field has a wrong type or form, or the id has more than {ID_BYTES_MAX} bytes."
            )
            .into(),
            ErrorCode::NotJoined => "Join the room first.".into(),
            ErrorCode::AlreadyJoined => "You have already joined; leave first.".into(),
            ErrorCode::NameEmpty => "A name needs a visible character.".into(),
            ErrorCode::NameTooLong => {
                format!("A name may have at most {NAME_CHARACTERS_MAX} characters.").into()
            }
            ErrorCode::NameInvalid => {
                "A name must not contain control, invisible or unknown characters.".into()
            }
            ErrorCode::NameTaken => {
                "A member of this room has this name, or a name that looks like it.".into()
            }
            ErrorCode::TextEmpty => "A text needs a visible character.".into(),
            ErrorCode::TextTooLong => {
                format!("A text may have at most {TEXT_BYTES_MAX} bytes.").into()
            }
            ErrorCode::TopicTooLong => {
                format!("A topic may have at most {TOPIC_BYTES_MAX} bytes.").into()
            }
            ErrorCode::TopicInvalid => {
                "A topic is one line of visible text, or empty.".into()
            }
            ErrorCode::Forbidden => "You may read this room, and not write in it.".into(),
            ErrorCode::TooOften => {
                "You have asked for this too often in a short time.".into()
            }
            ErrorCode::TextInvalid => {
                "A text must not contain control characters other than tabs and line ends.".into()
            }
            ErrorCode::TooFast => "You send too fast.".into(),
            ErrorCode::SlowMode => "The room is in slow mode.".into(),
            ErrorCode::Muted => "A moderator does not let you write here for a time.".into(),
            ErrorCode::Removed => "A moderator has removed you from this room.".into(),
            ErrorCode::Banned => "A moderator does not let you into this room for a time.".into(),
            ErrorCode::PasswordRequired => {
                "This room is private: it needs its password or an invitation.".into()
            }
            ErrorCode::PasswordWrong => "This is not the password of the room.".into(),
            ErrorCode::TooManyPasswords => "There were too many wrong passwords for this room.".into(),
            ErrorCode::RoomExists => "There is a room of this name already.".into(),
            ErrorCode::NotModerator => {
                "Only the creator of the room and the operator may do this.".into()
            }
            ErrorCode::NoMember => "Nobody in this room has this name.".into(),
            ErrorCode::NotPrivate => "Only a private room has invitations.".into(),
            ErrorCode::Busy => "The server cannot do this now. Try again in some seconds.".into(),
            ErrorCode::NotPublished => {
                "The server cannot keep messages now. Your last one was probably not sent.".into()
            }
            ErrorCode::Unknown => "The message is invalid.".into(),
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
    /// The message as JSON.
    pub fn to_json(&self) -> String {
        json(self)
    }
}

/// A message of the server with its position, as its last field.
pub(super) fn with_position(json: &str, position: impl fmt::Display) -> Option<String> {
    let fields = json.strip_suffix('}')?;
    Some(format!("{fields},\"position\":\"{position}\"}}"))
}

impl ServerMessage<'_> {
    /// The message as JSON. `names` is a JSON list, which replaces the empty one.
    pub(super) fn to_json_with_names(&self, names: &str) -> String {
        const EMPTY: &str = r#""names":[]"#;
        let json = self.to_json();
        // Within a JSON string a backslash precedes every quotation mark, so this occurs
        // only once.
        match json.split_once(EMPTY) {
            Some((before, after)) => [before, r#""names":"#, names, after].concat(),
            None => json,
        }
    }
}

impl ClientMessage<'_> {
    /// The message as JSON.
    pub fn to_json(&self) -> String {
        json(self)
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Strings, numbers and lists of them can always be written as JSON: there is no error to
/// return.
pub(super) fn json(message: &impl Serialize) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_list_of_names_replaces_the_empty_one() {
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
    fn position_is_added_as_the_message_would_have_it() {
        let joined = |position| ServerMessage::Joined {
            id: None,
            name: "}".into(),
            revision: 2,
            was: None,
            position,
        };
        let json = joined(None).to_json();
        let with = joined(Some("x-1".into())).to_json();
        assert_eq!(with_position(&json, "x-1"), Some(with));
        assert_eq!(with_position("no object", "x-1"), None);
    }

    #[test]
    fn client_ignores_types_codes_and_fields_of_later_versions() {
        let read = |json| serde_json::from_str::<ServerMessage<'_>>(json).unwrap();
        assert_eq!(
            read(r#"{"type":"reaction","name":"Bo"}"#),
            ServerMessage::Unknown
        );
        let joined = ServerMessage::Joined {
            id: None,
            name: "Bo".into(),
            revision: 2,
            was: None,
            position: None,
        };
        assert_eq!(
            read(r#"{"type":"joined","name":"Bo","revision":2,"avatar":"x"}"#),
            joined
        );
        let error = read(r#"{"type":"error","code":"too_odd","text":"Slow down."}"#);
        assert!(matches!(error, ServerMessage::Error(reply) if reply.code == ErrorCode::Unknown));
    }
}
