//! Parsing the messages of a client: their form, not whether they can be executed now.
//!
//! Each error becomes an [`ErrorReply`] that names it. A field is checked only if the message
//! needs it. Unknown fields are parsed and discarded, so that a later version can add some.
//! Parsing is one pass over the text, and copies a string only if it contains an escape.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::invitations::INVITATION_BYTES_MAX;
use super::protocol::{
    ClientMessage, Enter, ErrorCode, ErrorReply, ID_BYTES_MAX, MESSAGE_BYTES_MAX, Moderation,
    PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN, SECRET_BYTES_MAX, SECRET_BYTES_MIN, Visibility,
};
use crate::server::Position;

/// A client's message and its `id`.
///
/// ```
/// use yamabiko::chat::{ClientMessage, Request};
///
/// let request = Request::parse(r#"{"type":"message","text":"Yo-ho!","colour":7}"#)?;
/// assert_eq!(request.message, ClientMessage::Message { text: "Yo-ho!".into() });
/// assert!(Request::parse(r#"{"type":"message"}"#).is_err());
/// # Ok::<(), Box<yamabiko::chat::ErrorReply<'static>>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The message.
    pub message: ClientMessage<'a>,
    /// Returned in the reply; at most [`ID_BYTES_MAX`] bytes.
    pub id: Option<Cow<'a, str>>,
}

impl<'a> Request<'a> {
    /// Parses a client's message: its form only, not whether it can be executed now.
    ///
    /// # Errors
    /// The reply to send; it contains the message's `id` and `type` if they could be parsed.
    pub fn parse(json: &'a str) -> Result<Request<'a>, Box<ErrorReply<'a>>> {
        if json.len() > MESSAGE_BYTES_MAX {
            return Err(ErrorReply::of(ErrorCode::TooLong));
        }
        let fields: Fields<'a> =
            serde_json::from_str(json).map_err(|_| ErrorReply::of(ErrorCode::NotJson))?;
        let mut fields = fields;
        let id = std::mem::take(&mut fields.id).optional("id")?;
        if id.as_ref().is_some_and(|id| id.len() > ID_BYTES_MAX) {
            return Err(ErrorReply::of(ErrorCode::WrongField).with_field("id"));
        }
        match message_of(fields) {
            Ok(message) => Ok(Request { message, id }),
            Err(reply) => Err(reply.with_id(id)),
        }
    }
}

fn message_of<'a>(fields: Fields<'a>) -> Result<ClientMessage<'a>, Box<ErrorReply<'a>>> {
    let mut fields = fields;
    let kind = std::mem::take(&mut fields.kind).required("type")?;
    let (name, text) = (
        std::mem::take(&mut fields.name),
        std::mem::take(&mut fields.text),
    );
    match kind.as_ref() {
        "join" => match name.required("name") {
            Ok(name) => Ok(ClientMessage::Join { name }),
            Err(reply) => Err(reply.with_about("join")),
        },
        "enter" => match enter(Fields { name, ..fields }) {
            Ok(enter) => Ok(ClientMessage::Enter(Box::new(enter))),
            Err(reply) => Err(reply.with_about("enter")),
        },
        "message" => match text.required("text") {
            Ok(text) => Ok(ClientMessage::Message { text }),
            Err(reply) => Err(reply.with_about("message")),
        },
        "action" => match text.required("text") {
            Ok(text) => Ok(ClientMessage::Action { text }),
            Err(reply) => Err(reply.with_about("action")),
        },
        "rename" => match name.required("name") {
            Ok(name) => Ok(ClientMessage::Rename { name }),
            Err(reply) => Err(reply.with_about("rename")),
        },
        "topic" => match text.required("text") {
            Ok(text) => Ok(ClientMessage::Topic { text }),
            Err(reply) => Err(reply.with_about("topic")),
        },
        "typing" => Ok(ClientMessage::Typing),
        "leave" => Ok(ClientMessage::Leave),
        "names" => Ok(ClientMessage::Names),
        kind => match MODERATIONS.iter().find(|known| **known == kind) {
            Some(kind) => moderation(kind, Fields { name, ..fields })
                .map(ClientMessage::Moderate)
                .map_err(|reply| reply.with_about(kind)),
            None => Err(ErrorReply::of(ErrorCode::UnknownType).with_field("type")),
        },
    }
}

fn enter(fields: Fields<'_>) -> Result<Enter<'_>, Box<ErrorReply<'_>>> {
    Ok(Enter {
        name: fields.name.required("name")?,
        session: fields.session.secret("session")?,
        tab: fields.tab.secret("tab")?,
        after: fields.after.position("after")?,
        history: fields.history.number("history")?,
        typing: fields.typing.flag("typing")?,
        create: fields.create.visibility("create")?,
        password: fields
            .password
            .of_length("password", PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX)?,
        invitation: fields
            .invitation
            .of_length("invitation", 1..=INVITATION_BYTES_MAX)?,
    })
}

/// The types of [`Moderation`].
const MODERATIONS: [&str; 7] = ["mute", "kick", "ban", "delete", "slow", "invite", "revoke"];

/// `kind`: one of [`MODERATIONS`].
fn moderation<'a>(kind: &str, fields: Fields<'a>) -> Result<Moderation<'a>, Box<ErrorReply<'a>>> {
    let Fields {
        name,
        seconds,
        position,
        ..
    } = fields;
    let missing = || ErrorReply::of(ErrorCode::MissingField).with_field("seconds");
    let seconds = seconds
        .number("seconds")
        .and_then(|seconds| seconds.ok_or_else(missing));
    Ok(match kind {
        "mute" => Moderation::Mute {
            name: name.required("name")?,
            seconds: seconds?,
        },
        "kick" => Moderation::Kick {
            name: name.required("name")?,
        },
        "ban" => Moderation::Ban {
            name: name.required("name")?,
            seconds: seconds?,
        },
        "delete" => Moderation::Delete {
            position: match position.position("position")? {
                Some(position) => position,
                None => return Err(ErrorReply::of(ErrorCode::MissingField).with_field("position")),
            },
        },
        "slow" => Moderation::Slow { seconds: seconds? },
        "invite" => Moderation::Invite { seconds: seconds? },
        _ => Moderation::Revoke,
    })
}

/// The fields that client messages have. Of a duplicate field the last one counts, as in
/// every browser.
#[derive(Default)]
struct Fields<'a> {
    kind: Field<'a>,
    id: Field<'a>,
    name: Field<'a>,
    text: Field<'a>,
    session: Field<'a>,
    tab: Field<'a>,
    after: Field<'a>,
    history: Field<'a>,
    typing: Field<'a>,
    create: Field<'a>,
    password: Field<'a>,
    invitation: Field<'a>,
    seconds: Field<'a>,
    position: Field<'a>,
}

/// One field: its type is checked only if the message needs it.
#[derive(Default)]
enum Field<'a> {
    #[default]
    Missing,
    Text(Cow<'a, str>),
    /// A whole number that is not negative.
    Number(u64),
    Flag(bool),
    /// Another number, a list …: parsed and discarded.
    Other,
}

impl<'a> Field<'a> {
    fn optional(self, field: &'static str) -> Result<Option<Cow<'a, str>>, Box<ErrorReply<'a>>> {
        match self {
            Field::Missing => Ok(None),
            Field::Text(text) => Ok(Some(text)),
            Field::Number(_) | Field::Flag(_) | Field::Other => Err(wrong(field)),
        }
    }

    fn number(self, field: &'static str) -> Result<Option<u64>, Box<ErrorReply<'a>>> {
        match self {
            Field::Missing => Ok(None),
            Field::Number(number) => Ok(Some(number)),
            Field::Text(_) | Field::Flag(_) | Field::Other => Err(wrong(field)),
        }
    }

    /// `false` if it is missing.
    fn flag(self, field: &'static str) -> Result<bool, Box<ErrorReply<'a>>> {
        match self {
            Field::Missing => Ok(false),
            Field::Flag(flag) => Ok(flag),
            Field::Text(_) | Field::Number(_) | Field::Other => Err(wrong(field)),
        }
    }

    fn secret(self, field: &'static str) -> Result<Option<Cow<'a, str>>, Box<ErrorReply<'a>>> {
        self.of_length(field, SECRET_BYTES_MIN..=SECRET_BYTES_MAX)
    }

    fn of_length(
        self,
        field: &'static str,
        lengths: std::ops::RangeInclusive<usize>,
    ) -> Result<Option<Cow<'a, str>>, Box<ErrorReply<'a>>> {
        match self.optional(field)? {
            Some(text) if !lengths.contains(&text.len()) => Err(wrong(field)),
            text => Ok(text),
        }
    }

    fn visibility(self, field: &'static str) -> Result<Option<Visibility>, Box<ErrorReply<'a>>> {
        match self.optional(field)?.as_deref() {
            None => Ok(None),
            Some("listed") => Ok(Some(Visibility::Listed)),
            Some("unlisted") => Ok(Some(Visibility::Unlisted)),
            Some("private") => Ok(Some(Visibility::Private)),
            Some(_) => Err(wrong(field)),
        }
    }

    fn position(self, field: &'static str) -> Result<Option<Cow<'a, str>>, Box<ErrorReply<'a>>> {
        let position = self.optional(field)?;
        match position {
            Some(position) if position.parse::<Position>().is_err() => Err(wrong(field)),
            position => Ok(position),
        }
    }

    fn required(self, field: &'static str) -> Result<Cow<'a, str>, Box<ErrorReply<'a>>> {
        self.optional(field)?
            .ok_or_else(|| ErrorReply::of(ErrorCode::MissingField).with_field(field))
    }
}

fn wrong<'a>(field: &'static str) -> Box<ErrorReply<'a>> {
    ErrorReply::of(ErrorCode::WrongField).with_field(field)
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Type,
    Id,
    Name,
    Text,
    Session,
    Tab,
    After,
    History,
    Typing,
    Create,
    Password,
    Invitation,
    Seconds,
    Position,
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
                Key::Session => fields.session = map.next_value()?,
                Key::Tab => fields.tab = map.next_value()?,
                Key::After => fields.after = map.next_value()?,
                Key::History => fields.history = map.next_value()?,
                Key::Typing => fields.typing = map.next_value()?,
                Key::Create => fields.create = map.next_value()?,
                Key::Password => fields.password = map.next_value()?,
                Key::Invitation => fields.invitation = map.next_value()?,
                Key::Seconds => fields.seconds = map.next_value()?,
                Key::Position => fields.position = map.next_value()?,
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

    fn visit_bool<E>(self, flag: bool) -> Result<Field<'de>, E> {
        Ok(Field::Flag(flag))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Field<'de>, E> {
        Ok(Field::Other)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Field<'de>, E> {
        Ok(Field::Number(number))
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
    use super::super::protocol::TEXT_BYTES_MAX;
    use super::*;

    fn reply(json: &str) -> (ErrorCode, Option<String>, Option<String>, Option<String>) {
        let reply = Request::parse(json).unwrap_err();
        let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        (
            reply.code,
            owned(reply.about),
            owned(reply.field),
            owned(reply.id),
        )
    }

    #[test]
    fn every_client_message_is_parsed_as_it_was_written() {
        for message in [
            ClientMessage::Join {
                name: "Aiko \"山\"".into(),
            },
            ClientMessage::Message {
                text: "one\ntwo \\ \u{1F3D4}".into(),
            },
            ClientMessage::Leave,
            ClientMessage::Names,
            ClientMessage::Enter(Box::new(Enter::new("Aiko"))),
            ClientMessage::Enter(Box::new(Enter {
                name: "Aiko".into(),
                session: Some("s".repeat(SECRET_BYTES_MIN).into()),
                tab: Some("t".repeat(SECRET_BYTES_MAX).into()),
                after: Some("00a1b2c3d4e5f607-42".into()),
                history: Some(200),
                typing: true,
                create: Some(Visibility::Private),
                password: Some("p".repeat(PASSWORD_BYTES_MIN).into()),
                invitation: Some("i".repeat(INVITATION_BYTES_MAX).into()),
            })),
            ClientMessage::Moderate(Moderation::Mute {
                name: "Bo".into(),
                seconds: 60,
            }),
            ClientMessage::Moderate(Moderation::Kick { name: "Bo".into() }),
            ClientMessage::Moderate(Moderation::Ban {
                name: "Bo".into(),
                seconds: 60,
            }),
            ClientMessage::Moderate(Moderation::Delete {
                position: "00a1b2c3d4e5f607-42".into(),
            }),
            ClientMessage::Moderate(Moderation::Slow { seconds: 0 }),
            ClientMessage::Moderate(Moderation::Invite { seconds: 60 }),
            ClientMessage::Moderate(Moderation::Revoke),
            ClientMessage::Action {
                text: "waves".into(),
            },
            ClientMessage::Rename { name: "Bo".into() },
            ClientMessage::Topic { text: "".into() },
            ClientMessage::Typing,
        ] {
            assert_eq!(
                Request::parse(&message.to_json()),
                Ok(Request {
                    message: message.clone(),
                    id: None
                })
            );
            assert!(
                message
                    .to_json()
                    .starts_with(&format!("{{\"type\":\"{}\"", message.kind()))
            );
        }
    }

    #[test]
    fn strings_are_borrowed_from_the_input_and_copied_only_for_an_escape() {
        let json = r#"{"type":"message","text":"Yo-ho!","id":"7"}"#;
        let is_in_json = |text: &str| json.as_bytes().as_ptr_range().contains(&text.as_ptr());
        let request = Request::parse(json).unwrap();
        let ClientMessage::Message { text } = request.message else {
            panic!("{:?}", request.message);
        };
        assert_eq!((&*text, request.id.as_deref()), ("Yo-ho!", Some("7")));
        assert!(is_in_json(&text) && request.id.as_deref().is_some_and(is_in_json));

        let json = r#"{"type":"join","name":"Ai\u006bo","id":"7\n"}"#;
        let request = Request::parse(json).unwrap();
        let ClientMessage::Join { name } = request.message else {
            panic!("{:?}", request.message);
        };
        assert_eq!((&*name, request.id.as_deref()), ("Aiko", Some("7\n")));
        assert!(matches!(name, Cow::Owned(_)) && matches!(request.id, Some(Cow::Owned(_))));
    }

    #[test]
    fn unknown_fields_and_fields_of_other_types_are_ignored() {
        let json =
            r#"{"v":[{"deep":[1.5,null]}],"type":"leave","text":{"not":"needed"},"name":[1,"x"]}"#;
        assert_eq!(Request::parse(json).unwrap().message, ClientMessage::Leave);
    }

    #[test]
    fn text_that_is_not_a_json_object_is_not_json() {
        let not_json = [
            "",
            "hello",
            "{",
            "[]",
            r#"["leave"]"#,
            "7",
            "null",
            r#""leave""#,
            r#"{"type":"leave"} x"#,
            "{'type':'leave'}",
        ];
        for json in not_json {
            assert_eq!(
                reply(json),
                (ErrorCode::NotJson, None, None, None),
                "{json}"
            );
        }
        let lone_surrogate = r#"{"type":"message","text":"\ud800"}"#;
        assert_eq!(reply(lone_surrogate).0, ErrorCode::NotJson);
    }

    #[test]
    fn deep_nesting_is_answered_without_recursion() {
        let deep = format!(
            r#"{{"type":"leave","x":{}{}}}"#,
            "[".repeat(30_000),
            "]".repeat(30_000)
        );
        assert_eq!(Request::parse(&deep).unwrap().message, ClientMessage::Leave);
        let in_a_known_field = format!(r#"{{"type":{}"#, "[".repeat(60_000));
        assert_eq!(reply(&in_a_known_field).0, ErrorCode::NotJson);
    }

    #[test]
    fn unknown_and_missing_types_are_reported() {
        let type_field = Some("type".to_owned());
        assert_eq!(
            reply("{}"),
            (ErrorCode::MissingField, None, type_field.clone(), None)
        );
        assert_eq!(
            reply(r#"{"type":4}"#),
            (ErrorCode::WrongField, None, type_field.clone(), None)
        );
        assert_eq!(
            reply(r#"{"type":"Join","id":"a"}"#),
            (ErrorCode::UnknownType, None, type_field, Some("a".into()))
        );
    }

    #[test]
    fn missing_and_wrong_fields_are_reported_with_their_name_the_type_and_the_id() {
        let expected = |code, about: &str, field: &str| {
            (
                code,
                Some(about.to_owned()),
                Some(field.to_owned()),
                Some("9".to_owned()),
            )
        };
        assert_eq!(
            reply(r#"{"id":"9","type":"join"}"#),
            expected(ErrorCode::MissingField, "join", "name")
        );
        assert_eq!(
            reply(r#"{"id":"9","type":"join","name":null}"#),
            expected(ErrorCode::WrongField, "join", "name")
        );
        assert_eq!(
            reply(r#"{"id":"9","type":"message","text":7}"#),
            expected(ErrorCode::WrongField, "message", "text")
        );
    }

    #[test]
    fn fields_of_enter_are_checked_and_each_is_named() {
        let wrong = |fields: &str, field: &str| {
            let json = format!(r#"{{"type":"enter","name":"Aiko",{fields}}}"#);
            let (code, about, named, _) = reply(&json);
            assert_eq!(code, ErrorCode::WrongField, "{json}");
            assert_eq!(
                (about.as_deref(), named.as_deref()),
                (Some("enter"), Some(field))
            );
        };
        for bytes in [SECRET_BYTES_MIN - 1, SECRET_BYTES_MAX + 1] {
            let secret = "s".repeat(bytes);
            wrong(&format!(r#""session":"{secret}""#), "session");
            wrong(&format!(r#""tab":"{secret}""#), "tab");
        }
        wrong(r#""session":7"#, "session");
        wrong(r#""after":"42""#, "after");
        wrong(r#""after":42"#, "after");
        wrong(r#""history":"42""#, "history");
        wrong(r#""history":-1"#, "history");
        wrong(r#""typing":1"#, "typing");
        wrong(r#""create":"secret""#, "create");
        for bytes in [PASSWORD_BYTES_MIN - 1, PASSWORD_BYTES_MAX + 1] {
            wrong(
                &format!(r#""password":"{}""#, "p".repeat(bytes)),
                "password",
            );
        }
        for bytes in [0, INVITATION_BYTES_MAX + 1] {
            wrong(
                &format!(r#""invitation":"{}""#, "i".repeat(bytes)),
                "invitation",
            );
        }
        assert_eq!(reply(r#"{"type":"enter"}"#).0, ErrorCode::MissingField);
    }

    #[test]
    fn fields_of_moderators_are_checked_and_each_is_named() {
        let of = |kind: &str, fields: &str| {
            let (code, about, field, _) = reply(&format!(r#"{{"type":"{kind}"{fields}}}"#));
            assert_eq!(about.as_deref(), Some(kind));
            (code, field.unwrap_or_default())
        };
        let missing = |field: &str| (ErrorCode::MissingField, field.to_owned());
        let wrong = |field: &str| (ErrorCode::WrongField, field.to_owned());
        assert_eq!(of("mute", r#","seconds":5"#), missing("name"));
        assert_eq!(of("mute", r#","name":"Bo""#), missing("seconds"));
        assert_eq!(of("ban", r#","name":"Bo","seconds":"5""#), wrong("seconds"));
        assert_eq!(of("kick", ""), missing("name"));
        assert_eq!(of("slow", r#","seconds":-1"#), wrong("seconds"));
        assert_eq!(of("invite", ""), missing("seconds"));
        assert_eq!(of("delete", ""), missing("position"));
        assert_eq!(of("delete", r#","position":"42""#), wrong("position"));
    }

    #[test]
    fn message_may_have_message_bytes_max_and_no_more() {
        let filled =
            |bytes: usize| format!(r#"{{"type":"leave","x":"{}"}}"#, "x".repeat(bytes - 23));
        assert_eq!(filled(MESSAGE_BYTES_MAX).len(), MESSAGE_BYTES_MAX);
        assert!(Request::parse(&filled(MESSAGE_BYTES_MAX)).is_ok());
        assert_eq!(reply(&filled(MESSAGE_BYTES_MAX + 1)).0, ErrorCode::TooLong);
    }

    #[test]
    fn longest_text_fits_into_the_longest_message_with_every_byte_escaped() {
        let json = format!(
            r#"{{"type":"message","text":"{}"}}"#,
            r"\u0041".repeat(TEXT_BYTES_MAX)
        );
        let message = Request::parse(&json).unwrap().message;
        assert_eq!(
            message,
            ClientMessage::Message {
                text: "A".repeat(TEXT_BYTES_MAX).into()
            }
        );
    }

    #[test]
    fn id_may_have_id_bytes_max_and_no_more() {
        let with_id = |bytes: usize| format!(r#"{{"type":"names","id":"{}"}}"#, "i".repeat(bytes));
        assert!(Request::parse(&with_id(ID_BYTES_MAX)).is_ok());
        assert_eq!(
            reply(&with_id(ID_BYTES_MAX + 1)),
            (ErrorCode::WrongField, None, Some("id".into()), None)
        );
    }
}
