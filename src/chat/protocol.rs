//! The messages of the subprotocol [`yamabiko.chat.v1`](SUBPROTOCOL): JSON
//! objects with a `type`, one in each WebSocket text message.
//!
//! `docs/chat-protocol.md` is the specification; this file is its grammar, for
//! both sides. A [`ClientMessage`] is read with care: whatever is wrong with it
//! becomes a [`Complaint`] that names the fault, and fields that are not known
//! are passed over, so that a later version may add some. Reading costs one pass
//! over the text and copies nothing, unless a string holds an escape.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

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

/// What a client asks for, and the `id` it gave the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// What it asks for.
    pub message: ClientMessage<'a>,
    /// Comes back in the answer; at most [`ID_BYTES_MAX`] bytes.
    pub id: Option<Cow<'a, str>>,
}

/// What a client may say. Serialises to the JSON that [`Request::parse`] reads.
///
/// ```
/// use yamabiko::chat::{ClientMessage, Request};
///
/// let request = Request::parse(r#"{"type":"message","text":"Yo-ho!","colour":7}"#)?;
/// assert_eq!(request.message, ClientMessage::Message { text: "Yo-ho!".into() });
/// assert!(Request::parse(r#"{"type":"message"}"#).is_err());
/// # Ok::<(), yamabiko::chat::Complaint<'static>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ClientMessage<'a> {
    /// Enter the room under this name.
    Join {
        /// As typed; the server trims and checks it.
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
    /// A message of yours was not carried out.
    Error(Complaint<'a>),
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
    /// Control, invisible or direction-changing characters.
    NameInvalid,
    /// Somebody here has it.
    NameTaken,
    /// Nothing but white space.
    TextEmpty,
    /// More than [`TEXT_BYTES_MAX`] bytes.
    TextTooLong,
    /// Control characters other than tab and line ends.
    TextInvalid,
    /// A code that this version does not know.
    #[serde(other)]
    Unknown,
}

impl<'a> Request<'a> {
    /// Reads a client's message: its form only, not whether it can be carried
    /// out now.
    ///
    /// # Errors
    /// The complaint to send back; it has the message's `id` and `type` as far
    /// as they could be read.
    pub fn parse(json: &'a str) -> Result<Request<'a>, Complaint<'a>> {
        if json.len() > MESSAGE_BYTES_MAX {
            return Err(Complaint::new(ErrorCode::TooLong));
        }
        let fields: Fields<'a> = serde_json::from_str(json).map_err(|_| Complaint::new(ErrorCode::NotJson))?;
        let id = fields.id.optional("id")?;
        if id.as_ref().is_some_and(|id| id.len() > ID_BYTES_MAX) {
            return Err(Complaint::new(ErrorCode::WrongField).field("id"));
        }
        let kind = fields.kind.required("type").map_err(|complaint| complaint.id(id.clone()))?;
        let message = match kind.as_ref() {
            "join" => fields.name.required("name").map(|name| ClientMessage::Join { name }),
            "message" => fields.text.required("text").map(|text| ClientMessage::Message { text }),
            "leave" => Ok(ClientMessage::Leave),
            "names" => Ok(ClientMessage::Names),
            _ => return Err(Complaint::new(ErrorCode::UnknownType).field("type").id(id)),
        };
        match message {
            Ok(message) => Ok(Request { message, id }),
            Err(complaint) => Err(complaint.about(kind).id(id)),
        }
    }
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
    /// With the sentence that belongs to the code.
    pub fn new(code: ErrorCode) -> Complaint<'a> {
        Complaint { id: None, code, text: code.text(), about: None, field: None, suggestion: None }
    }

    pub(super) fn id(self, id: Option<Cow<'a, str>>) -> Complaint<'a> {
        Complaint { id, ..self }
    }

    pub(super) fn about(self, kind: impl Into<Cow<'a, str>>) -> Complaint<'a> {
        Complaint { about: Some(kind.into()), ..self }
    }

    pub(super) fn field(self, field: &'static str) -> Complaint<'a> {
        Complaint { field: Some(field.into()), ..self }
    }

    pub(super) fn suggestion(self, suggestion: Option<String>) -> Complaint<'a> {
        Complaint { suggestion: suggestion.map(Cow::Owned), ..self }
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
            ErrorCode::TooLong => format!("A message may have at most {MESSAGE_BYTES_MAX} bytes.").into(),
            ErrorCode::NotJson => "This is not a JSON object.".into(),
            ErrorCode::UnknownType => "The type must be join, message, leave or names.".into(),
            ErrorCode::MissingField => "A field is missing.".into(),
            ErrorCode::WrongField => {
                format!("A field is not a string, or its id has more than {ID_BYTES_MAX} bytes.").into()
            }
            ErrorCode::NotJoined => "Join the room first.".into(),
            ErrorCode::AlreadyJoined => "You have joined already; leave first.".into(),
            ErrorCode::NameEmpty => "A name needs something that can be seen.".into(),
            ErrorCode::NameTooLong => format!("A name may have at most {NAME_CHARACTERS_MAX} characters.").into(),
            ErrorCode::NameInvalid => "A name may not have control or invisible characters.".into(),
            ErrorCode::NameTaken => "Somebody in this room has this name.".into(),
            ErrorCode::TextEmpty => "There is nothing in this text.".into(),
            ErrorCode::TextTooLong => format!("A text may have at most {TEXT_BYTES_MAX} bytes.").into(),
            ErrorCode::TextInvalid => "A text may not have control characters but tabs and line ends.".into(),
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

impl ClientMessage<'_> {
    /// As it travels.
    pub fn to_json(&self) -> String {
        json(self)
    }
}

/// Strings, numbers and lists of them always have a JSON form: there is no
/// error to hand on.
fn json(message: &impl Serialize) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

/// The fields that any client message may have, each as it was found. Where one
/// is given twice the last counts, as in every browser.
#[derive(Default)]
struct Fields<'a> {
    kind: Field<'a>,
    id: Field<'a>,
    name: Field<'a>,
    text: Field<'a>,
}

/// One field: its type is judged only if the message needs it.
#[derive(Default)]
enum Field<'a> {
    #[default]
    Missing,
    Text(Cow<'a, str>),
    /// A number, a list …: read to its end and dropped.
    Other,
}

impl<'a> Field<'a> {
    fn optional(self, field: &'static str) -> Result<Option<Cow<'a, str>>, Complaint<'a>> {
        match self {
            Field::Missing => Ok(None),
            Field::Text(text) => Ok(Some(text)),
            Field::Other => Err(Complaint::new(ErrorCode::WrongField).field(field)),
        }
    }

    fn required(self, field: &'static str) -> Result<Cow<'a, str>, Complaint<'a>> {
        self.optional(field)?.ok_or_else(|| Complaint::new(ErrorCode::MissingField).field(field))
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Type,
    Id,
    Name,
    Text,
    #[serde(other)]
    Unknown,
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key()? {
            match key {
                Key::Type => fields.kind = map.next_value()?,
                Key::Id => fields.id = map.next_value()?,
                Key::Name => fields.name = map.next_value()?,
                Key::Text => fields.text = map.next_value()?,
                Key::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}

impl<'de> Deserialize<'de> for Field<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Field<'de>, E> {
        Ok(Field::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Field<'de>, E> {
        Ok(Field::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Field<'de>, E> {
        Ok(Field::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Field<'de>, E> {
        Ok(Field::Other)
    }

    fn visit_unit<E>(self) -> Result<Field<'de>, E> {
        Ok(Field::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Field<'de>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Field<'de>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(json: &str) -> (ErrorCode, Option<String>, Option<String>, Option<String>) {
        let complaint = Request::parse(json).unwrap_err();
        let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        (complaint.code, owned(complaint.about), owned(complaint.field), owned(complaint.id))
    }

    #[test]
    fn every_client_message_is_read_back_as_it_was_written() {
        for message in [
            ClientMessage::Join { name: "Aiko \"山\"".into() },
            ClientMessage::Message { text: "one\ntwo \\ \u{1F3D4}".into() },
            ClientMessage::Leave,
            ClientMessage::Names,
        ] {
            assert_eq!(Request::parse(&message.to_json()), Ok(Request { message: message.clone(), id: None }));
            assert!(message.to_json().starts_with(&format!("{{\"type\":\"{}\"", message.kind())));
        }
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        let request = Request::parse(r#"{"type":"message","text":"Yo-ho!","id":"7"}"#).unwrap();
        assert!(matches!(request.message, ClientMessage::Message { text: Cow::Borrowed("Yo-ho!") }));
        assert!(matches!(request.id, Some(Cow::Borrowed("7"))));
    }

    #[test]
    fn unknown_fields_and_fields_of_other_types_are_ignored() {
        let json = r#"{"v":[{"deep":[1.5,null]}],"type":"leave","text":{"not":"needed"},"name":[1,"x"]}"#;
        assert_eq!(Request::parse(json).unwrap().message, ClientMessage::Leave);
    }

    #[test]
    fn what_is_not_a_json_object_is_not_json() {
        let not_json = ["", "hello", "{", "[]", r#"["leave"]"#, "7", "null", r#""leave""#, r#"{"type":"leave"} x"#, "{'type':'leave'}"];
        for json in not_json {
            assert_eq!(complaint(json), (ErrorCode::NotJson, None, None, None), "{json}");
        }
        let lone_surrogate = r#"{"type":"message","text":"\ud800"}"#;
        assert_eq!(complaint(lone_surrogate).0, ErrorCode::NotJson);
    }

    #[test]
    fn deep_nesting_is_answered_and_not_followed() {
        let deep = format!(r#"{{"type":"leave","x":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(Request::parse(&deep).unwrap().message, ClientMessage::Leave);
        let in_a_known_field = format!(r#"{{"type":{}"#, "[".repeat(60_000));
        assert_eq!(complaint(&in_a_known_field).0, ErrorCode::NotJson);
    }

    #[test]
    fn unknown_and_missing_types_are_told() {
        let type_field = Some("type".to_owned());
        assert_eq!(complaint("{}"), (ErrorCode::MissingField, None, type_field.clone(), None));
        assert_eq!(complaint(r#"{"type":4}"#), (ErrorCode::WrongField, None, type_field.clone(), None));
        assert_eq!(complaint(r#"{"type":"Join","id":"a"}"#), (ErrorCode::UnknownType, None, type_field, Some("a".into())));
    }

    #[test]
    fn missing_and_wrong_fields_are_told_by_name_with_the_type_and_the_id() {
        let told = |code, about: &str, field: &str| (code, Some(about.to_owned()), Some(field.to_owned()), Some("9".to_owned()));
        assert_eq!(complaint(r#"{"id":"9","type":"join"}"#), told(ErrorCode::MissingField, "join", "name"));
        assert_eq!(complaint(r#"{"id":"9","type":"join","name":null}"#), told(ErrorCode::WrongField, "join", "name"));
        assert_eq!(complaint(r#"{"id":"9","type":"message","text":7}"#), told(ErrorCode::WrongField, "message", "text"));
    }

    #[test]
    fn message_may_have_message_bytes_max_and_not_one_more() {
        let filled = |bytes: usize| format!(r#"{{"type":"leave","x":"{}"}}"#, "x".repeat(bytes - 23));
        assert_eq!(filled(MESSAGE_BYTES_MAX).len(), MESSAGE_BYTES_MAX);
        assert!(Request::parse(&filled(MESSAGE_BYTES_MAX)).is_ok());
        assert_eq!(complaint(&filled(MESSAGE_BYTES_MAX + 1)).0, ErrorCode::TooLong);
    }

    #[test]
    fn longest_text_fits_into_the_longest_message_with_every_byte_escaped() {
        let json = format!(r#"{{"type":"message","text":"{}"}}"#, r"\u0041".repeat(TEXT_BYTES_MAX));
        let message = Request::parse(&json).unwrap().message;
        assert_eq!(message, ClientMessage::Message { text: "A".repeat(TEXT_BYTES_MAX).into() });
    }

    #[test]
    fn id_may_have_id_bytes_max_and_not_one_more() {
        let with_id = |bytes: usize| format!(r#"{{"type":"names","id":"{}"}}"#, "i".repeat(bytes));
        assert!(Request::parse(&with_id(ID_BYTES_MAX)).is_ok());
        assert_eq!(complaint(&with_id(ID_BYTES_MAX + 1)), (ErrorCode::WrongField, None, Some("id".into()), None));
    }

    #[test]
    fn client_passes_over_types_codes_and_fields_of_later_versions() {
        let read = |json| serde_json::from_str::<ServerMessage<'_>>(json).unwrap();
        assert_eq!(read(r#"{"type":"typing","name":"Bo"}"#), ServerMessage::Unknown);
        let joined = ServerMessage::Joined { name: "Bo".into(), revision: 2 };
        assert_eq!(read(r#"{"type":"joined","name":"Bo","revision":2,"avatar":"x"}"#), joined);
        let error = read(r#"{"type":"error","code":"too_fast","text":"Slow down."}"#);
        assert!(matches!(error, ServerMessage::Error(Complaint { code: ErrorCode::Unknown, .. })));
    }
}
