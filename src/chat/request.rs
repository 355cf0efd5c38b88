//! Reading what a client says: the form of it, not whether it can be carried
//! out now.
//!
//! Whatever is wrong becomes a [`Complaint`] that names the fault. A field is
//! judged only if the message needs it, and those that are not known are read
//! to their end and dropped, so that a later version may add some. It costs one
//! pass over the text and copies nothing, unless a string holds an escape.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::protocol::{ClientMessage, Complaint, ErrorCode, ID_BYTES_MAX, MESSAGE_BYTES_MAX};

/// What a client asks for, and the `id` it gave the request.
///
/// ```
/// use yamabiko::chat::{ClientMessage, Request};
///
/// let request = Request::parse(r#"{"type":"message","text":"Yo-ho!","colour":7}"#)?;
/// assert_eq!(request.message, ClientMessage::Message { text: "Yo-ho!".into() });
/// assert!(Request::parse(r#"{"type":"message"}"#).is_err());
/// # Ok::<(), Box<yamabiko::chat::Complaint<'static>>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// What it asks for.
    pub message: ClientMessage<'a>,
    /// Comes back in the answer; at most [`ID_BYTES_MAX`] bytes.
    pub id: Option<Cow<'a, str>>,
}

impl<'a> Request<'a> {
    /// Reads a client's message: its form only, not whether it can be carried
    /// out now.
    ///
    /// # Errors
    /// The complaint to send back; it has the message's `id` and `type` as far
    /// as they could be read.
    pub fn parse(json: &'a str) -> Result<Request<'a>, Box<Complaint<'a>>> {
        if json.len() > MESSAGE_BYTES_MAX {
            return Err(Complaint::of(ErrorCode::TooLong));
        }
        let fields: Fields<'a> =
            serde_json::from_str(json).map_err(|_| Complaint::of(ErrorCode::NotJson))?;
        let id = fields.id.optional("id")?;
        if id.as_ref().is_some_and(|id| id.len() > ID_BYTES_MAX) {
            return Err(Complaint::of(ErrorCode::WrongField).at("id"));
        }
        match message_of(fields.kind, fields.name, fields.text) {
            Ok(message) => Ok(Request { message, id }),
            Err(complaint) => Err(complaint.with_id(id)),
        }
    }
}

fn message_of<'a>(
    kind: Field<'a>,
    name: Field<'a>,
    text: Field<'a>,
) -> Result<ClientMessage<'a>, Box<Complaint<'a>>> {
    match kind.required("type")?.as_ref() {
        "join" => match name.required("name") {
            Ok(name) => Ok(ClientMessage::Join { name }),
            Err(complaint) => Err(complaint.about("join")),
        },
        "message" => match text.required("text") {
            Ok(text) => Ok(ClientMessage::Message { text }),
            Err(complaint) => Err(complaint.about("message")),
        },
        "leave" => Ok(ClientMessage::Leave),
        "names" => Ok(ClientMessage::Names),
        _ => Err(Complaint::of(ErrorCode::UnknownType).at("type")),
    }
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
    fn optional(self, field: &'static str) -> Result<Option<Cow<'a, str>>, Box<Complaint<'a>>> {
        match self {
            Field::Missing => Ok(None),
            Field::Text(text) => Ok(Some(text)),
            Field::Other => Err(Complaint::of(ErrorCode::WrongField).at(field)),
        }
    }

    fn required(self, field: &'static str) -> Result<Cow<'a, str>, Box<Complaint<'a>>> {
        self.optional(field)?
            .ok_or_else(|| Complaint::of(ErrorCode::MissingField).at(field))
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
    use super::super::protocol::TEXT_BYTES_MAX;
    use super::*;

    fn complaint(json: &str) -> (ErrorCode, Option<String>, Option<String>, Option<String>) {
        let complaint = Request::parse(json).unwrap_err();
        let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        (
            complaint.code,
            owned(complaint.about),
            owned(complaint.field),
            owned(complaint.id),
        )
    }

    #[test]
    fn every_client_message_is_read_back_as_it_was_written() {
        for message in [
            ClientMessage::Join {
                name: "Aiko \"山\"".into(),
            },
            ClientMessage::Message {
                text: "one\ntwo \\ \u{1F3D4}".into(),
            },
            ClientMessage::Leave,
            ClientMessage::Names,
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
        let lies_in_json = |text: &str| json.as_bytes().as_ptr_range().contains(&text.as_ptr());
        let request = Request::parse(json).unwrap();
        let ClientMessage::Message { text } = request.message else {
            panic!("{:?}", request.message);
        };
        assert_eq!((&*text, request.id.as_deref()), ("Yo-ho!", Some("7")));
        assert!(lies_in_json(&text) && request.id.as_deref().is_some_and(lies_in_json));

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
    fn what_is_not_a_json_object_is_not_json() {
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
                complaint(json),
                (ErrorCode::NotJson, None, None, None),
                "{json}"
            );
        }
        let lone_surrogate = r#"{"type":"message","text":"\ud800"}"#;
        assert_eq!(complaint(lone_surrogate).0, ErrorCode::NotJson);
    }

    #[test]
    fn deep_nesting_is_answered_and_not_followed() {
        let deep = format!(
            r#"{{"type":"leave","x":{}{}}}"#,
            "[".repeat(30_000),
            "]".repeat(30_000)
        );
        assert_eq!(Request::parse(&deep).unwrap().message, ClientMessage::Leave);
        let in_a_known_field = format!(r#"{{"type":{}"#, "[".repeat(60_000));
        assert_eq!(complaint(&in_a_known_field).0, ErrorCode::NotJson);
    }

    #[test]
    fn unknown_and_missing_types_are_told() {
        let type_field = Some("type".to_owned());
        assert_eq!(
            complaint("{}"),
            (ErrorCode::MissingField, None, type_field.clone(), None)
        );
        assert_eq!(
            complaint(r#"{"type":4}"#),
            (ErrorCode::WrongField, None, type_field.clone(), None)
        );
        assert_eq!(
            complaint(r#"{"type":"Join","id":"a"}"#),
            (ErrorCode::UnknownType, None, type_field, Some("a".into()))
        );
    }

    #[test]
    fn missing_and_wrong_fields_are_told_by_name_with_the_type_and_the_id() {
        let told = |code, about: &str, field: &str| {
            (
                code,
                Some(about.to_owned()),
                Some(field.to_owned()),
                Some("9".to_owned()),
            )
        };
        assert_eq!(
            complaint(r#"{"id":"9","type":"join"}"#),
            told(ErrorCode::MissingField, "join", "name")
        );
        assert_eq!(
            complaint(r#"{"id":"9","type":"join","name":null}"#),
            told(ErrorCode::WrongField, "join", "name")
        );
        assert_eq!(
            complaint(r#"{"id":"9","type":"message","text":7}"#),
            told(ErrorCode::WrongField, "message", "text")
        );
    }

    #[test]
    fn message_may_have_message_bytes_max_and_not_one_more() {
        let filled =
            |bytes: usize| format!(r#"{{"type":"leave","x":"{}"}}"#, "x".repeat(bytes - 23));
        assert_eq!(filled(MESSAGE_BYTES_MAX).len(), MESSAGE_BYTES_MAX);
        assert!(Request::parse(&filled(MESSAGE_BYTES_MAX)).is_ok());
        assert_eq!(
            complaint(&filled(MESSAGE_BYTES_MAX + 1)).0,
            ErrorCode::TooLong
        );
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
    fn id_may_have_id_bytes_max_and_not_one_more() {
        let with_id = |bytes: usize| format!(r#"{{"type":"names","id":"{}"}}"#, "i".repeat(bytes));
        assert!(Request::parse(&with_id(ID_BYTES_MAX)).is_ok());
        assert_eq!(
            complaint(&with_id(ID_BYTES_MAX + 1)),
            (ErrorCode::WrongField, None, Some("id".into()), None)
        );
    }
}
