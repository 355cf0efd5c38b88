//! Members of rooms without a server: the messages that each connection receives.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::super::message_rate::MessageRate;
use super::super::moderating::SLOW_SECONDS_MAX;
use super::super::names::NAME_CHARACTERS_MAX;
use super::super::protocol::{Moderation, NAMES_LISTED_MAX};
use super::super::sanctions::SANCTION_SECONDS_MAX;
use super::super::sessions::SESSION_SECONDS;
use super::*;

const NOON: u64 = 1_767_225_600_000;

/// Connections to the room "lobby" and the messages that were sent to each.
struct Connections {
    rooms: RoomDirectory,
    members: Vec<Member>,
    deliveries: Deliveries,
}

#[derive(Default)]
struct Deliveries {
    inboxes: Vec<Vec<String>>,
    topics: BTreeMap<String, BTreeSet<usize>>,
    waits_for_password: bool,
}

struct TestSink<'a> {
    deliveries: &'a mut Deliveries,
    own: usize,
}

impl Sink for TestSink<'_> {
    fn send(&mut self, json: &str) {
        self.deliveries.inboxes[self.own].push(json.to_owned());
    }

    fn publish(&mut self, topic: &str, json: &str) {
        for member in self.deliveries.topics.get(topic).into_iter().flatten() {
            self.deliveries.inboxes[*member].push(json.to_owned());
        }
    }

    fn publish_except(&mut self, topic: &str, json: &str) {
        for member in self
            .deliveries
            .topics
            .get(topic)
            .into_iter()
            .flatten()
            .filter(|member| **member != self.own)
        {
            self.deliveries.inboxes[*member].push(json.to_owned());
        }
    }

    fn join(&mut self, topic: &str) {
        self.deliveries
            .topics
            .entry(topic.to_owned())
            .or_default()
            .insert(self.own);
    }

    fn leave(&mut self, topic: &str) {
        self.deliveries
            .topics
            .entry(topic.to_owned())
            .or_default()
            .remove(&self.own);
    }

    fn join_from(&mut self, topic: &str, _: Replay) {
        self.join(topic);
    }

    fn join_notices(&mut self, topic: &str) {
        self.join(topic);
    }

    fn connection(&self) -> Option<ConnectionId> {
        None
    }

    fn address(&self) -> Option<IpAddr> {
        None
    }

    fn wait_for_password(&mut self) {
        self.deliveries.waits_for_password = true;
    }

    fn close_removed(&mut self, _: ConnectionId) {
        unreachable!("no connection has a name")
    }

    fn refuse_join(&mut self) {}
}

impl Connections {
    fn of(connections: usize) -> Connections {
        let inboxes = vec![Vec::new(); connections];
        Connections {
            rooms: RoomDirectory::default(),
            members: (0..connections)
                .map(|_| Member::new("lobby", Rights::ALL, None, Version::One))
                .collect(),
            deliveries: Deliveries {
                inboxes,
                ..Deliveries::default()
            },
        }
    }

    /// Connections that have joined with these names and received everything so far.
    fn with(names: &[&str]) -> Connections {
        let mut connections = Connections::of(names.len());
        for (own, name) in names.iter().enumerate() {
            connections.sends(
                own,
                &ClientMessage::Join {
                    name: (*name).into(),
                }
                .to_json(),
            );
        }
        connections
            .deliveries
            .inboxes
            .iter_mut()
            .for_each(Vec::clear);
        connections
    }

    fn sends(&mut self, own: usize, json: &str) {
        let mut sink = TestSink {
            deliveries: &mut self.deliveries,
            own,
        };
        self.members[own].handle_text(json, NOON, &self.rooms, &mut sink);
    }

    /// The messages since the last call.
    fn received(&mut self, own: usize) -> Vec<String> {
        std::mem::take(&mut self.deliveries.inboxes[own])
    }

    /// The code of the only message since the last call, an error.
    fn error(&mut self, own: usize) -> ErrorCode {
        let read = self.received(own);
        assert_eq!(read.len(), 1, "{read:?}");
        match serde_json::from_str(&read[0]).unwrap() {
            ServerMessage::Error(reply) => reply.code,
            other => panic!("not an error: {other:?}"),
        }
    }

    fn closes(&mut self, own: usize) {
        let member = std::mem::replace(
            &mut self.members[own],
            Member::new("lobby", Rights::ALL, None, Version::One),
        );
        self.deliveries.topics.values_mut().for_each(|topic| {
            topic.remove(&own);
        });
        member.closed(
            &self.rooms,
            &mut TestSink {
                deliveries: &mut self.deliveries,
                own,
            },
        );
    }
}

#[test]
fn joiner_is_welcomed_and_announced_to_the_others() {
    let mut connections = Connections::of(2);
    connections.sends(0, r#"{"type":"join","name":" Aiko ","id":"j"}"#);
    let limits =
        r#""limits":{"name_characters_max":32,"text_bytes_max":4096,"message_bytes_max":65536}"#;
    let welcome = format!(
        r#"{{"type":"welcome","id":"j","you":"Aiko","room":"lobby","names":["Aiko"],"count":1,"revision":1,{limits}}}"#
    );
    assert_eq!(connections.received(0), [welcome]);

    connections.sends(1, r#"{"type":"join","name":"Bo"}"#);
    assert_eq!(
        connections.received(0),
        [r#"{"type":"joined","name":"Bo","revision":2}"#]
    );
    let welcome = format!(
        r#"{{"type":"welcome","you":"Bo","room":"lobby","names":["Aiko","Bo"],"count":2,"revision":2,{limits}}}"#
    );
    assert_eq!(connections.received(1), [welcome]);
}

#[test]
fn message_reaches_all_members_including_its_sender() {
    let mut connections = Connections::with(&["Aiko", "Bo"]);
    connections.sends(0, r#"{"type":"message","text":"Yo-ho!\n\"山\"","id":"1"}"#);
    let message =
        r#"{"type":"message","id":"1","from":"Aiko","text":"Yo-ho!\n\"山\"","time":1767225600000}"#;
    assert_eq!(connections.received(0), [message]);
    assert_eq!(connections.received(1), [message]);
}

#[test]
fn message_stays_in_its_room() {
    let mut connections = Connections::of(2);
    connections.members[1] = Member::new("attic", Rights::ALL, None, Version::One);
    connections.sends(0, r#"{"type":"join","name":"Aiko"}"#);
    connections.sends(1, r#"{"type":"join","name":"Aiko"}"#);
    connections.received(1);
    connections.sends(0, r#"{"type":"message","text":"Yo-ho!"}"#);
    assert!(connections.received(1).is_empty());
}

#[test]
fn leave_is_announced_to_all_and_the_member_may_join_again() {
    let mut connections = Connections::with(&["Aiko", "Bo"]);
    connections.sends(0, r#"{"type":"leave","id":"bye"}"#);
    assert_eq!(
        connections.received(0),
        [r#"{"type":"left","id":"bye","name":"Aiko","revision":3}"#]
    );
    assert_eq!(
        connections.received(1),
        [r#"{"type":"left","name":"Aiko","revision":3}"#]
    );

    connections.sends(1, r#"{"type":"message","text":"anyone?"}"#);
    assert!(connections.received(0).is_empty());
    connections.sends(0, r#"{"type":"join","name":"Chie"}"#);
    assert!(connections.received(0)[0].contains(r#""names":["Bo","Chie"]"#));
}

#[test]
fn closed_connection_leaves_its_room() {
    let mut connections = Connections::with(&["Aiko", "Bo"]);
    connections.closes(0);
    assert_eq!(
        connections.received(1),
        [r#"{"type":"left","name":"Aiko","revision":3}"#]
    );
    connections.closes(0);
    assert!(
        connections.received(1).is_empty(),
        "a connection that has not joined does not leave"
    );
}

#[test]
fn names_are_listed_for_members_and_others() {
    let mut connections = Connections::with(&["Bo", "aiko"]);
    connections.sends(0, r#"{"type":"names","id":"n"}"#);
    assert_eq!(
        connections.received(0),
        [r#"{"type":"names","id":"n","names":["aiko","Bo"],"count":2,"revision":2}"#]
    );

    connections.sends(0, r#"{"type":"leave"}"#);
    connections.received(0);
    connections.sends(0, r#"{"type":"names"}"#);
    assert_eq!(
        connections.received(0),
        [r#"{"type":"names","names":["aiko"],"count":1,"revision":3}"#]
    );

    let mut empty = Connections::of(1);
    empty.sends(0, r#"{"type":"names"}"#);
    assert_eq!(
        empty.received(0),
        [r#"{"type":"names","names":[],"count":0,"revision":0}"#]
    );
}

#[test]
fn list_is_truncated_at_names_listed_max_and_the_count_is_not() {
    let mut connections = Connections::of(NAMES_LISTED_MAX + 1);
    for own in 0..=NAMES_LISTED_MAX {
        connections.sends(own, &format!(r#"{{"type":"join","name":"n{own}"}}"#));
    }
    connections.received(0);
    connections.sends(0, r#"{"type":"names"}"#);
    match serde_json::from_str(&connections.received(0)[0]).unwrap() {
        ServerMessage::Names { names, count, .. } => {
            assert_eq!(
                (names.len(), count),
                (NAMES_LISTED_MAX, NAMES_LISTED_MAX + 1)
            );
        }
        other => panic!("not a list: {other:?}"),
    }
}

#[test]
fn taken_name_is_refused_with_a_free_suggestion() {
    let mut connections = Connections::with(&["Aiko"]);
    connections
        .members
        .push(Member::new("lobby", Rights::ALL, None, Version::One));
    connections.deliveries.inboxes.push(Vec::new());
    connections.sends(1, r#"{"type":"join","name":"AIKO","id":"j"}"#);
    let error = r#"{"type":"error","id":"j","code":"name_taken","text":"A member of this room has this name, or a name that looks like it.","about":"join","field":"name","suggestion":"AIKO 2"}"#;
    assert_eq!(connections.received(1), [error]);
    assert!(connections.received(0).is_empty());
}

#[test]
fn invalid_name_is_reported() {
    let mut connections = Connections::of(1);
    for (name, code) in [
        ("  ".to_owned(), ErrorCode::NameEmpty),
        ("a\\u0007".to_owned(), ErrorCode::NameInvalid),
        ("x".repeat(NAME_CHARACTERS_MAX + 1), ErrorCode::NameTooLong),
    ] {
        connections.sends(0, &format!(r#"{{"type":"join","name":"{name}"}}"#));
        assert_eq!(connections.error(0), code);
    }
}

#[test]
fn second_join_of_a_connection_is_refused() {
    let mut connections = Connections::with(&["Aiko"]);
    connections.sends(0, r#"{"type":"join","name":"Bo"}"#);
    assert_eq!(connections.error(0), ErrorCode::AlreadyJoined);
}

#[test]
fn connection_outside_the_room_can_neither_publish_nor_leave() {
    let mut connections = Connections::of(1);
    for json in [
        r#"{"type":"message","text":"hello"}"#,
        r#"{"type":"leave"}"#,
    ] {
        connections.sends(0, json);
        assert_eq!(connections.error(0), ErrorCode::NotJoined);
    }
}

#[test]
fn text_may_have_text_bytes_max_and_no_more() {
    let mut connections = Connections::with(&["Aiko"]);
    let message = |bytes: usize| {
        ClientMessage::Message {
            text: "x".repeat(bytes).into(),
        }
        .to_json()
    };
    connections.sends(0, &message(TEXT_BYTES_MAX));
    assert!(connections.received(0)[0].starts_with(r#"{"type":"message""#));
    connections.sends(0, &message(TEXT_BYTES_MAX + 1));
    assert_eq!(connections.error(0), ErrorCode::TextTooLong);
}

#[test]
fn text_needs_a_visible_character_and_no_control_characters() {
    let mut connections = Connections::with(&["Aiko"]);
    for (text, code) in [
        ("", ErrorCode::TextEmpty),
        (r" \n\t\u3000", ErrorCode::TextEmpty),
        (r"\u001b[2J", ErrorCode::TextInvalid),
        (r"a\u0000", ErrorCode::TextInvalid),
    ] {
        connections.sends(0, &format!(r#"{{"type":"message","text":"{text}"}}"#));
        assert_eq!(connections.error(0), code, "{text}");
    }
    connections.sends(0, r#"{"type":"message","text":"  two\r\n\tlines "}"#);
    assert!(
        connections.received(0)[0].contains(r#""text":"  two\r\n\tlines ""#),
        "the text is published unchanged"
    );
}

#[test]
fn binary_message_and_invalid_json_are_reported_and_change_nothing() {
    let mut connections = Connections::with(&["Aiko", "Bo"]);
    connections.members[0].handle_binary(&mut TestSink {
        deliveries: &mut connections.deliveries,
        own: 0,
    });
    assert_eq!(connections.error(0), ErrorCode::Binary);
    connections.sends(0, "hello");
    assert_eq!(connections.error(0), ErrorCode::NotJson);
    connections.sends(0, r#"{"type":"message","text":"still here"}"#);
    assert!(connections.received(1)[0].contains("still here"));
}

/// Executes an action between the question whether a name is free and the join: when the
/// connection is subscribed.
struct Interrupted<'a, F> {
    sink: TestSink<'a>,
    action: F,
}

impl<F: FnMut()> Sink for Interrupted<'_, F> {
    fn send(&mut self, json: &str) {
        self.sink.send(json);
    }

    fn publish(&mut self, topic: &str, json: &str) {
        self.sink.publish(topic, json);
    }

    fn publish_except(&mut self, topic: &str, json: &str) {
        self.sink.publish_except(topic, json);
    }

    fn join(&mut self, topic: &str) {
        self.sink.join(topic);
        (self.action)();
    }

    fn leave(&mut self, topic: &str) {
        self.sink.leave(topic);
    }

    fn join_from(&mut self, topic: &str, replay: Replay) {
        self.sink.join_from(topic, replay);
    }

    fn join_notices(&mut self, topic: &str) {
        self.sink.join_notices(topic);
    }

    fn connection(&self) -> Option<ConnectionId> {
        self.sink.connection()
    }

    fn address(&self) -> Option<IpAddr> {
        self.sink.address()
    }

    fn wait_for_password(&mut self) {
        self.sink.wait_for_password();
    }

    fn close_removed(&mut self, connection: ConnectionId) {
        self.sink.close_removed(connection);
    }

    fn refuse_join(&mut self) {
        self.sink.refuse_join();
    }
}

impl Connections {
    fn sends_while(&mut self, own: usize, json: &str, mut action: impl FnMut(&RoomDirectory)) {
        let rooms = &self.rooms;
        let mut sink = Interrupted {
            sink: TestSink {
                deliveries: &mut self.deliveries,
                own,
            },
            action: || action(rooms),
        };
        self.members[own].handle_text(json, NOON, rooms, &mut sink);
    }
}

#[test]
fn connection_that_loses_a_race_for_a_name_is_refused_and_receives_nothing_of_the_room() {
    let mut connections = Connections::with(&["Bo"]);
    connections
        .members
        .push(Member::new("lobby", Rights::ALL, None, Version::One));
    connections.deliveries.inboxes.push(Vec::new());
    connections.sends_while(1, r#"{"type":"join","name":"Aiko"}"#, |rooms| {
        let other = Name::parse("AIKO").expect("a name");
        rooms.join("lobby", &other).expect("it is free");
    });
    assert_eq!(connections.error(1), ErrorCode::NameTaken);
    connections.sends(0, r#"{"type":"message","text":"anyone?"}"#);
    assert!(connections.received(1).is_empty());
    connections.sends(1, r#"{"type":"join","name":"Chie"}"#);
    assert!(connections.received(1)[0].contains(r#""names":["AIKO","Bo","Chie"]"#));
}

#[test]
fn panic_during_a_join_leaves_no_name_behind() {
    let mut connections = Connections::with(&["Bo"]);
    connections
        .members
        .push(Member::new("lobby", Rights::ALL, None, Version::One));
    connections.deliveries.inboxes.push(Vec::new());
    let join = r#"{"type":"join","name":"Aiko"}"#;
    let panics = std::panic::AssertUnwindSafe(|| {
        connections.sends_while(1, join, |_| std::panic::resume_unwind(Box::new(())));
    });
    assert!(std::panic::catch_unwind(panics).is_err());
    connections.closes(1);
    assert!(connections.received(0).is_empty(), "nothing has changed");
    connections.received(1);
    connections.sends(1, join);
    assert!(connections.received(1)[0].contains(r#""names":["Aiko","Bo"],"count":2,"revision":2"#));
}

/// Connections of version 2 that have entered without a session and see who is writing.
fn entered(names: &[&str]) -> Connections {
    let mut connections = Connections::of(names.len());
    for (own, name) in names.iter().enumerate() {
        connections.members[own] = Member::new("lobby", Rights::ALL, None, Version::Two);
        connections.enters(own, name);
    }
    connections
        .deliveries
        .inboxes
        .iter_mut()
        .for_each(Vec::clear);
    connections
}

impl Connections {
    fn enters(&mut self, own: usize, name: &str) {
        let mut enter = Enter::new(name);
        enter.typing = true;
        self.enters_by(own, enter);
    }

    /// As far as it is let in without a password.
    fn enters_by(&mut self, own: usize, enter: Enter<'_>) {
        self.sends(own, &ClientMessage::Enter(Box::new(enter)).to_json());
        self.subscribed(own);
    }

    /// The same at another time.
    fn enters_at(&mut self, own: usize, enter: Enter<'_>, time: u64) {
        self.sends_at(own, &ClientMessage::Enter(Box::new(enter)).to_json(), time);
        self.subscribed_at(own, time);
    }

    /// A further connection of version 2, which is not in the room.
    fn add_outsider(&mut self) {
        let member = Member::new("lobby", Rights::ALL, None, Version::Two);
        self.members.push(member);
        self.deliveries.inboxes.push(Vec::new());
    }

    /// The subscription that was asked for has begun.
    fn subscribed(&mut self, own: usize) {
        self.subscribed_at(own, NOON);
    }

    fn subscribed_at(&mut self, own: usize, time: u64) {
        let replayed = Replayed {
            position: "00a1b2c3d4e5f607-0".parse().unwrap(),
            messages: 0,
            gap: Gap::None,
        };
        let mut sink = TestSink {
            deliveries: &mut self.deliveries,
            own,
        };
        self.members[own].joined(&replayed, time, &self.rooms, &mut sink);
    }

    fn sends_at(&mut self, own: usize, json: &str, time: u64) {
        let mut sink = TestSink {
            deliveries: &mut self.deliveries,
            own,
        };
        self.members[own].handle_text(json, time, &self.rooms, &mut sink);
    }
}

const TYPING: &str = r#"{"type":"typing"}"#;

#[test]
fn action_is_a_message_of_both_versions() {
    let mut connections = Connections::with(&["Aiko"]);
    connections.sends(0, r#"{"type":"action","text":"waves","id":"a"}"#);
    let message = r#"{"type":"message","id":"a","from":"Aiko","text":"waves","time":1767225600000,"action":true}"#;
    assert_eq!(connections.received(0), [message]);
    connections.sends(0, r#"{"type":"action","text":" "}"#);
    assert_eq!(connections.error(0), ErrorCode::TextEmpty);
}

#[test]
fn others_are_told_who_is_writing_at_most_every_two_seconds() {
    let mut connections = entered(&["Aiko", "Bo"]);
    let told = [r#"{"type":"typing","name":"Aiko"}"#];
    connections.sends_at(0, TYPING, NOON);
    assert_eq!(connections.received(1), told);
    connections.sends_at(0, TYPING, NOON + TYPING_INTERVAL_MS - 1);
    assert!(connections.received(1).is_empty());
    connections.sends_at(0, TYPING, NOON + TYPING_INTERVAL_MS);
    assert_eq!(connections.received(1), told);
    assert!(
        connections.received(0).is_empty(),
        "not the writer, and no answer"
    );
    // A member that has left the room is told nothing.
    connections.sends(1, r#"{"type":"leave"}"#);
    connections.received(1);
    connections.sends_at(0, TYPING, NOON + 9 * TYPING_INTERVAL_MS);
    assert!(connections.received(1).is_empty());
}

#[test]
fn nobody_is_told_who_is_writing_in_a_room_of_more_than_typing_members_max() {
    let names: Vec<String> = (0..=TYPING_MEMBERS_MAX).map(|n| format!("n{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut connections = entered(&names);
    connections.sends(0, TYPING);
    assert!(connections.received(1).is_empty());
    connections.closes(TYPING_MEMBERS_MAX);
    connections.received(1);
    connections.sends(0, TYPING);
    assert_eq!(connections.received(1).len(), 1);
}

#[test]
fn new_name_is_a_leave_and_a_join_for_all_and_later_messages_have_it() {
    let mut connections = entered(&["Aiko", "Bo"]);
    connections.sends(0, r#"{"type":"rename","name":"Aki","id":"r"}"#);
    let changes = [
        r#"{"type":"left","name":"Aiko","revision":3,"to":"Aki"}"#,
        r#"{"type":"joined","id":"r","name":"Aki","revision":4,"was":"Aiko"}"#,
    ];
    assert_eq!(connections.received(0), changes);
    assert_eq!(connections.received(1), changes);
    connections.sends(0, r#"{"type":"message","text":"yo"}"#);
    assert!(connections.received(1)[0].contains(r#""from":"Aki""#));
    connections.received(0);
    connections.sends(0, r#"{"type":"rename","name":"BO"}"#);
    assert_eq!(connections.error(0), ErrorCode::NameTaken);
    connections.closes(0);
    let left = r#"{"type":"left","name":"Aki","revision":5}"#;
    assert_eq!(connections.received(1), [left]);
}

#[test]
fn topic_is_published_and_in_the_welcome_of_later_members() {
    let mut connections = entered(&["Aiko", "Bo"]);
    connections.sends(1, r#"{"type":"leave"}"#);
    connections.received(0);
    connections.sends(0, r#"{"type":"topic","text":" Tea at four ","id":"t"}"#);
    let topic = r#"{"type":"topic","id":"t","text":"Tea at four","by":"Aiko","time":1767225600000,"revision":1}"#;
    assert_eq!(connections.received(0), [topic]);
    connections.received(1);
    connections.enters(1, "Bo");
    let in_welcome =
        r#""topic":{"text":"Tea at four","by":"Aiko","time":1767225600000,"revision":1}"#;
    assert!(connections.received(1)[0].contains(in_welcome));
    connections.received(0);
    connections.sends(1, r#"{"type":"topic","text":""}"#);
    assert!(connections.received(0)[0].contains(r#""text":"","by":"Bo""#));
}

#[test]
fn topic_may_have_topic_bytes_max_in_one_visible_line_and_no_more() {
    let mut connections = entered(&["Aiko"]);
    let topic = |text: &str| ClientMessage::Topic { text: text.into() }.to_json();
    connections.sends(0, &topic(&"x".repeat(TOPIC_BYTES_MAX)));
    assert!(connections.received(0)[0].starts_with(r#"{"type":"topic""#));
    connections.sends(0, &topic(&"x".repeat(TOPIC_BYTES_MAX + 1)));
    assert_eq!(connections.error(0), ErrorCode::TopicTooLong);
    for text in ["a\nb", "a\u{2028}b", "\u{1b}[2J", "\u{200B}"] {
        connections.sends(0, &topic(text));
        assert_eq!(connections.error(0), ErrorCode::TopicInvalid, "{text:?}");
    }
}

#[test]
fn requests_of_version_2_are_unknown_in_version_1_and_need_a_member() {
    let requests = [
        TYPING,
        r#"{"type":"rename","name":"Bo"}"#,
        r#"{"type":"topic","text":"tea"}"#,
    ];
    for json in requests {
        let mut connections = Connections::with(&["Aiko"]);
        connections.sends(0, json);
        assert_eq!(connections.error(0), ErrorCode::UnknownType, "{json}");
        connections.members[0] = Member::new("lobby", Rights::ALL, None, Version::Two);
        connections.sends(0, json);
        assert_eq!(connections.error(0), ErrorCode::NotJoined, "{json}");
    }
}

#[test]
fn reader_may_change_its_name_and_neither_topic_nor_typing() {
    let mut connections = Connections::of(1);
    let reader = Rights {
        publish: false,
        ..Rights::ALL
    };
    connections.members[0] = Member::new("lobby", reader, None, Version::Two);
    connections.enters(0, "Aiko");
    connections.received(0);
    for json in [TYPING, r#"{"type":"topic","text":"tea"}"#] {
        connections.sends(0, json);
        assert_eq!(connections.error(0), ErrorCode::Forbidden, "{json}");
    }
    connections.sends(0, r#"{"type":"rename","name":"Bo"}"#);
    assert_eq!(connections.received(0).len(), 2);
}

/// A request to enter with the session of this person.
fn as_person<'a>(name: &'a str) -> Enter<'a> {
    let mut enter = Enter::new(name);
    enter.session = Some(format!("{name:->16}").into());
    enter
}

/// The creator of a room and a guest.
fn created(visibility: Visibility) -> Connections {
    let mut connections = Connections::of(3);
    for own in 0..3 {
        connections.members[own] = Member::new("lobby", Rights::ALL, None, Version::Two);
    }
    let mut create = as_person("Aiko");
    create.create = Some(visibility);
    connections.enters_by(0, create);
    let welcome = connections.received(0);
    assert!(welcome[0].contains(r#""moderator":true"#), "{welcome:?}");
    connections
}

fn moderation(request: Moderation<'_>) -> String {
    ClientMessage::Moderate(request).to_json()
}

#[test]
fn room_is_created_once() {
    let mut connections = created(Visibility::Unlisted);
    let mut create = as_person("Bo");
    create.create = Some(Visibility::Listed);
    connections.enters_by(1, create.clone());
    assert_eq!(connections.error(1), ErrorCode::RoomExists);
    connections.enters_by(1, as_person("Bo"));
    let welcome = connections.received(1);
    assert!(welcome[0].contains(r#""visibility":"unlisted""#));
    assert!(!welcome[0].contains("moderator"));
}

#[test]
fn private_room_lets_nobody_in_and_tells_nobody_its_names_without_its_password_or_an_invitation() {
    let mut connections = created(Visibility::Private);
    connections.enters_by(1, as_person("Bo"));
    assert_eq!(connections.error(1), ErrorCode::PasswordRequired);
    connections.sends(1, r#"{"type":"names"}"#);
    assert_eq!(connections.error(1), ErrorCode::NotJoined);
    // Not even whether a name is taken.
    connections.enters_by(1, as_person("Aiko "));
    assert_eq!(connections.error(1), ErrorCode::PasswordRequired);
    connections.members[2] = Member::new("lobby", Rights::ALL, None, Version::One);
    connections.sends(2, r#"{"type":"join","name":"Chie"}"#);
    assert_eq!(connections.error(2), ErrorCode::PasswordRequired);

    connections.sends(0, &moderation(Moderation::Invite { seconds: 60 }));
    let reply = connections.received(0);
    let Ok(ServerMessage::Invitation {
        invitation, until, ..
    }) = serde_json::from_str(&reply[0])
    else {
        panic!("{reply:?}");
    };
    assert_eq!(until, NOON + 60_000);
    let mut enter = as_person("Bo");
    enter.invitation = Some(invitation);
    connections.enters_by(1, enter);
    assert!(connections.received(1)[0].contains(r#""visibility":"private""#));
    connections.received(0);
    connections.sends(0, r#"{"type":"message","text":"hello"}"#);
    assert!(connections.received(1)[0].contains("hello"));
    // The session was let in, and comes back without the invitation.
    connections.sends(1, r#"{"type":"leave"}"#);
    connections.received(1);
    connections.enters_by(1, as_person("Bo"));
    assert!(connections.received(1)[0].contains("welcome"));
}

#[test]
fn password_is_compared_and_a_wrong_one_is_refused_and_slows_further_ones_down() {
    let mut connections = Connections::of(2);
    for own in 0..2 {
        connections.members[own] = Member::new("lobby", Rights::ALL, None, Version::Two);
    }
    let mut create = as_person("Aiko");
    create.create = Some(Visibility::Private);
    create.password = Some("open sesame".into());
    connections.sends(0, &ClientMessage::Enter(Box::new(create)).to_json());
    connections.passes(0);
    connections.subscribed(0);
    assert!(connections.received(0)[0].contains(r#""moderator":true"#));

    let mut enter = as_person("Bo");
    enter.password = Some("open barley".into());
    let json = |enter: &Enter<'_>| ClientMessage::Enter(Box::new(enter.clone())).to_json();
    connections.sends(1, &json(&enter));
    connections.sends(1, r#"{"type":"message","text":"early"}"#);
    assert_eq!(connections.error(1), ErrorCode::NotJoined);
    connections.passes(1);
    assert_eq!(connections.error(1), ErrorCode::PasswordWrong);
    enter.password = Some("open sesame".into());
    connections.sends(1, &json(&enter));
    assert_eq!(connections.error(1), ErrorCode::TooOften);
    connections.sends_at(1, &json(&enter), NOON + PASSWORD_INTERVAL_MS);
    connections.passes(1);
    connections.subscribed(1);
    assert!(connections.received(1)[0].contains(r#""names":["Aiko","Bo"]"#));
}

impl Connections {
    /// Waits for the thread of the passwords, as the timer of the server does.
    fn passes(&mut self, own: usize) {
        let deadline = std::time::Instant::now() + yamabiko_testing::waiting::TIMEOUT;
        loop {
            let mut sink = TestSink {
                deliveries: &mut self.deliveries,
                own,
            };
            sink.deliveries.waits_for_password = false;
            self.members[own].look_at_password(NOON, &self.rooms, &mut sink);
            if !self.deliveries.waits_for_password {
                return;
            }
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
    }
}

#[test]
fn moderator_mutes_and_sets_slow_mode_and_the_room_is_told() {
    let mut connections = created(Visibility::Listed);
    connections.enters_by(1, as_person("Bo"));
    connections.received(1);
    connections.received(0);
    let mute = |seconds| Moderation::Mute {
        name: "bo".into(),
        seconds,
    };
    connections.sends(1, &moderation(mute(60)));
    assert_eq!(connections.error(1), ErrorCode::NotModerator);
    connections.sends(0, &moderation(mute(60)));
    let told = r#"{"type":"moderated","action":"mute","by":"Aiko","name":"Bo","seconds":60}"#;
    assert_eq!(connections.received(1), [told]);
    let hello = r#"{"type":"message","text":"hello"}"#;
    connections.sends(1, hello);
    let read = connections.received(1);
    let Ok(ServerMessage::Error(reply)) = serde_json::from_str(&read[0]) else {
        panic!("{read:?}");
    };
    assert_eq!(
        (reply.code, reply.wait_ms),
        (ErrorCode::Muted, Some(60_000))
    );
    assert!(
        reply.text.ends_with("Try again in 60 seconds."),
        "{}",
        reply.text
    );
    connections.sends(0, &moderation(mute(0)));
    connections.sends(0, &moderation(Moderation::Slow { seconds: 30 }));
    connections.received(1);
    for (time, code) in [
        (NOON, None),
        (NOON + 29_999, Some(ErrorCode::SlowMode)),
        (NOON + 30_000, None),
    ] {
        connections.sends_at(1, hello, time);
        match code {
            Some(code) => assert_eq!(connections.error(1), code),
            None => assert_eq!(connections.received(1).len(), 1),
        }
    }
    connections.received(0);
    for _ in 0..2 {
        connections.sends(0, hello);
    }
    assert_eq!(connections.received(0).len(), 2, "not for moderators");
    for request in [
        mute(SANCTION_SECONDS_MAX + 1),
        Moderation::Slow {
            seconds: SLOW_SECONDS_MAX + 1,
        },
    ] {
        connections.sends(0, &moderation(request));
        assert_eq!(connections.error(0), ErrorCode::WrongField);
    }
    connections.sends(0, &moderation(Moderation::Kick { name: "Zoe".into() }));
    assert_eq!(connections.error(0), ErrorCode::NoMember);
}

#[test]
fn removed_member_writes_nothing_any_more_and_a_banned_one_does_not_come_back() {
    let mut connections = created(Visibility::Listed);
    for (own, name) in [(1, "Bo"), (2, "Chie")] {
        connections.enters_by(own, as_person(name));
    }
    connections.sends(0, &moderation(Moderation::Kick { name: "Bo".into() }));
    connections.sends(
        0,
        &moderation(Moderation::Ban {
            name: "Chie".into(),
            seconds: 60,
        }),
    );
    for own in [1, 2] {
        connections.received(own);
        connections.sends(own, r#"{"type":"message","text":"hello"}"#);
        assert_eq!(connections.error(own), ErrorCode::Removed);
        connections.sends(own, r#"{"type":"leave"}"#);
        connections.received(own);
    }
    connections.enters_by(1, as_person("Bo"));
    assert!(connections.received(1)[0].contains("welcome"));
    connections.received(2);
    connections.enters_by(2, as_person("Chie"));
    assert_eq!(connections.error(2), ErrorCode::Banned);
    let delete = Moderation::Delete {
        position: "00a1b2c3d4e5f607-42".into(),
    };
    connections.received(0);
    connections.sends(0, &moderation(delete));
    let deleted =
        r#"{"type":"moderated","action":"delete","by":"Aiko","target":"00a1b2c3d4e5f607-42"}"#;
    assert_eq!(connections.received(0), [deleted]);
}

#[test]
fn account_is_one_person_whatever_session_its_connections_name() {
    let mut connections = Connections::of(2);
    for own in 0..2 {
        connections.members[own] = Member::new("lobby", Rights::ALL, Some("u1"), Version::Two);
        let mut enter = as_person("Aiko");
        enter.session = Some(format!("session-{own:->16}").into());
        connections.enters_by(own, enter);
        assert!(connections.received(own)[0].contains(r#""names":["Aiko"]"#));
    }
}

/// What a welcome says of the session: its text, and its end.
fn session_of(welcome: &[String]) -> Option<(String, u64)> {
    let Ok(ServerMessage::Welcome {
        session,
        session_until,
        ..
    }) = serde_json::from_str(&welcome[0])
    else {
        panic!("{welcome:?}");
    };
    Some((session?.into_owned(), session_until?))
}

#[test]
fn session_of_the_welcome_is_the_same_person_and_is_renewed_each_time() {
    let mut connections = entered(&["Aiko"]);
    for _ in 0..3 {
        connections.add_outsider();
    }
    connections.enters(1, "Bo");
    let (session, until) = session_of(&connections.received(1)).expect("a session");
    assert_eq!(until, NOON + 1000 * SESSION_SECONDS);
    let mut enter = Enter::new("Bo");
    enter.session = Some(session.as_str().into());
    let later = NOON + 1000 * (SESSION_SECONDS - 1);
    connections.enters_at(2, enter.clone(), later);
    let welcome = connections.received(2);
    assert!(
        welcome[0].contains(r#""names":["Aiko","Bo"]"#),
        "{welcome:?}"
    );
    let (renewed, until) = session_of(&welcome).expect("a session");
    assert_eq!(until, later + 1000 * SESSION_SECONDS);
    enter.session = Some(renewed.into());
    connections.enters_at(3, enter, later + 1000);
    assert!(connections.received(3)[0].contains(r#""count":2"#));
}

#[test]
fn session_that_was_made_up_changed_or_is_over_is_another_person() {
    let mut connections = entered(&["Aiko"]);
    connections.add_outsider();
    connections.sends(0, r#"{"type":"leave"}"#);
    connections.received(0);
    connections.enters(0, "Aiko");
    let (session, until) = session_of(&connections.received(0)).expect("a session");
    let changed = match session.strip_suffix('A') {
        Some(start) => format!("{start}Q"),
        None => format!("{}A", &session[..session.len() - 1]),
    };
    let made_up = format!("s1.{}", "A".repeat(54));
    for (session, time) in [(&session, until), (&changed, NOON), (&made_up, NOON)] {
        let mut enter = Enter::new("Aiko");
        enter.session = Some(session.as_str().into());
        connections.enters_at(1, enter.clone(), time);
        assert_eq!(connections.error(1), ErrorCode::NameTaken, "{session}");
        enter.name = "Bo".into();
        connections.enters_at(1, enter, time);
        let (new, _) = session_of(&connections.received(1)).expect("a session");
        assert_ne!(&new, session);
        connections.sends(1, r#"{"type":"leave"}"#);
        connections.received(1);
    }
}

#[test]
fn accounts_and_clients_with_a_secret_of_their_own_get_no_session() {
    let mut connections = Connections::of(2);
    connections.members[0] = Member::new("lobby", Rights::ALL, Some("u1"), Version::Two);
    connections.members[1] = Member::new("lobby", Rights::ALL, None, Version::Two);
    connections.enters(0, "Aiko");
    assert_eq!(session_of(&connections.received(0)), None);
    // A secret cannot be the person of an account.
    let mut enter = Enter::new("Aiko");
    enter.session = Some("account u1-------".into());
    connections.enters_by(1, enter.clone());
    assert_eq!(connections.error(1), ErrorCode::NameTaken);
    enter.name = "Bo".into();
    connections.enters_by(1, enter);
    assert_eq!(session_of(&connections.received(1)), None);
}

#[test]
fn passwords_beyond_the_limit_of_wrong_ones_get_the_time_to_wait_and_a_right_one_does_not_count() {
    let mut connections = Connections::of(5);
    for member in &mut connections.members {
        *member = Member::new("lobby", Rights::ALL, None, Version::Two);
    }
    let mut create = as_person("Aiko");
    create.create = Some(Visibility::Private);
    create.password = Some("open sesame".into());
    connections.sends(0, &ClientMessage::Enter(Box::new(create)).to_json());
    connections.passes(0);
    connections.subscribed(0);
    // Each on a connection of its own: the person is the same.
    let guess = |password: &'static str| {
        let mut enter = as_person("Bo");
        enter.password = Some(password.into());
        ClientMessage::Enter(Box::new(enter)).to_json()
    };
    for own in 1..4 {
        connections.sends(own, &guess("open barley"));
        connections.passes(own);
        assert_eq!(connections.error(own), ErrorCode::PasswordWrong);
    }
    connections.sends(4, &guess("open sesame"));
    let read = connections.received(4);
    let Ok(ServerMessage::Error(reply)) = serde_json::from_str(&read[0]) else {
        panic!("{read:?}");
    };
    assert_eq!(
        (reply.code, reply.wait_ms),
        (ErrorCode::TooManyPasswords, Some(4_000))
    );
    assert_eq!(
        reply.text,
        "There were too many wrong passwords for this room. Try again in 4 seconds."
    );
    connections.sends_at(4, &guess("open sesame"), NOON + 4_000);
    connections.passes(4);
    connections.subscribed(4);
    assert!(connections.received(4)[0].contains(r#""you":"Bo""#));
}

#[test]
fn messages_beyond_the_rate_get_the_time_to_wait() {
    let mut connections = Connections::with(&["Aiko"]);
    connections.rooms.message_rate = Some(MessageRate {
        per_second: 1,
        burst: 2,
    });
    let hello = r#"{"type":"message","text":"hello"}"#;
    for _ in 0..2 {
        connections.sends(0, hello);
    }
    assert_eq!(connections.received(0).len(), 2);
    connections.sends(0, hello);
    let too_fast = r#"{"type":"error","code":"too_fast","text":"You send too fast. Try again in 1 second.","about":"message","wait_ms":1000}"#;
    assert_eq!(connections.received(0), [too_fast]);
}
