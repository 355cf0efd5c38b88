//! Members of rooms in a world without a server: what each connection reads.

use std::collections::{BTreeMap, BTreeSet};

use super::super::names::NAME_CHARACTERS_MAX;
use super::super::protocol::NAMES_LISTED_MAX;
use super::*;

const NOON: u64 = 1_767_225_600_000;

/// Some connections to the room "lobby" and what each has been sent.
struct World {
    rooms: Rooms,
    members: Vec<Member>,
    wires: Wires,
}

#[derive(Default)]
struct Wires {
    inboxes: Vec<Vec<String>>,
    topics: BTreeMap<String, BTreeSet<usize>>,
}

struct Wire<'a> {
    wires: &'a mut Wires,
    own: usize,
}

impl Outlet for Wire<'_> {
    fn send(&mut self, json: &str) {
        self.wires.inboxes[self.own].push(json.to_owned());
    }

    fn publish(&mut self, topic: &str, json: &str) {
        for member in self.wires.topics.get(topic).into_iter().flatten() {
            self.wires.inboxes[*member].push(json.to_owned());
        }
    }

    fn publish_except(&mut self, topic: &str, json: &str) {
        for member in self
            .wires
            .topics
            .get(topic)
            .into_iter()
            .flatten()
            .filter(|member| **member != self.own)
        {
            self.wires.inboxes[*member].push(json.to_owned());
        }
    }

    fn join(&mut self, topic: &str) {
        self.wires
            .topics
            .entry(topic.to_owned())
            .or_default()
            .insert(self.own);
    }

    fn leave(&mut self, topic: &str) {
        self.wires
            .topics
            .entry(topic.to_owned())
            .or_default()
            .remove(&self.own);
    }
}

impl World {
    fn of(connections: usize) -> World {
        let inboxes = vec![Vec::new(); connections];
        World {
            rooms: Rooms::default(),
            members: (0..connections).map(|_| Member::new("lobby")).collect(),
            wires: Wires {
                inboxes,
                ..Wires::default()
            },
        }
    }

    /// Connections that have joined under these names and read all of it.
    fn with(names: &[&str]) -> World {
        let mut world = World::of(names.len());
        for (own, name) in names.iter().enumerate() {
            world.says(
                own,
                &ClientMessage::Join {
                    name: (*name).into(),
                }
                .to_json(),
            );
        }
        world.wires.inboxes.iter_mut().for_each(Vec::clear);
        world
    }

    fn says(&mut self, own: usize, json: &str) {
        let mut outlet = Wire {
            wires: &mut self.wires,
            own,
        };
        self.members[own].text(json, NOON, &self.rooms, &mut outlet);
    }

    /// Everything since the last look.
    fn reads(&mut self, own: usize) -> Vec<String> {
        std::mem::take(&mut self.wires.inboxes[own])
    }

    /// The code of the one error that this connection has been sent.
    fn is_told(&mut self, own: usize) -> ErrorCode {
        let read = self.reads(own);
        assert_eq!(read.len(), 1, "{read:?}");
        match serde_json::from_str(&read[0]).unwrap() {
            ServerMessage::Error(complaint) => complaint.code,
            other => panic!("not an error: {other:?}"),
        }
    }

    fn goes(&mut self, own: usize) {
        let member = std::mem::replace(&mut self.members[own], Member::new("lobby"));
        self.wires.topics.values_mut().for_each(|topic| {
            topic.remove(&own);
        });
        member.gone(
            &self.rooms,
            &mut Wire {
                wires: &mut self.wires,
                own,
            },
        );
    }
}

#[test]
fn joiner_is_welcomed_and_the_others_hear_of_it() {
    let mut world = World::of(2);
    world.says(0, r#"{"type":"join","name":" Aiko ","id":"j"}"#);
    let limits =
        r#""limits":{"name_characters_max":32,"text_bytes_max":4096,"message_bytes_max":65536}"#;
    let welcome = format!(
        r#"{{"type":"welcome","id":"j","you":"Aiko","room":"lobby","names":["Aiko"],"count":1,"revision":1,{limits}}}"#
    );
    assert_eq!(world.reads(0), [welcome]);

    world.says(1, r#"{"type":"join","name":"Bo"}"#);
    assert_eq!(
        world.reads(0),
        [r#"{"type":"joined","name":"Bo","revision":2}"#]
    );
    let welcome = format!(
        r#"{{"type":"welcome","you":"Bo","room":"lobby","names":["Aiko","Bo"],"count":2,"revision":2,{limits}}}"#
    );
    assert_eq!(world.reads(1), [welcome]);
}

#[test]
fn message_reaches_everyone_in_the_room_its_sender_too() {
    let mut world = World::with(&["Aiko", "Bo"]);
    world.says(0, r#"{"type":"message","text":"Yo-ho!\n\"山\"","id":"1"}"#);
    let message =
        r#"{"type":"message","id":"1","from":"Aiko","text":"Yo-ho!\n\"山\"","time":1767225600000}"#;
    assert_eq!(world.reads(0), [message]);
    assert_eq!(world.reads(1), [message]);
}

#[test]
fn message_stays_in_its_room() {
    let mut world = World::of(2);
    world.members[1] = Member::new("attic");
    world.says(0, r#"{"type":"join","name":"Aiko"}"#);
    world.says(1, r#"{"type":"join","name":"Aiko"}"#);
    world.reads(1);
    world.says(0, r#"{"type":"message","text":"Yo-ho!"}"#);
    assert!(world.reads(1).is_empty());
}

#[test]
fn who_leaves_is_told_and_so_are_the_others_and_may_join_again() {
    let mut world = World::with(&["Aiko", "Bo"]);
    world.says(0, r#"{"type":"leave","id":"bye"}"#);
    assert_eq!(
        world.reads(0),
        [r#"{"type":"left","id":"bye","name":"Aiko","revision":3}"#]
    );
    assert_eq!(
        world.reads(1),
        [r#"{"type":"left","name":"Aiko","revision":3}"#]
    );

    world.says(1, r#"{"type":"message","text":"anyone?"}"#);
    assert!(world.reads(0).is_empty());
    world.says(0, r#"{"type":"join","name":"Chie"}"#);
    assert!(world.reads(0)[0].contains(r#""names":["Bo","Chie"]"#));
}

#[test]
fn who_is_gone_has_left() {
    let mut world = World::with(&["Aiko", "Bo"]);
    world.goes(0);
    assert_eq!(
        world.reads(1),
        [r#"{"type":"left","name":"Aiko","revision":3}"#]
    );
    world.goes(0);
    assert!(
        world.reads(1).is_empty(),
        "one who had not joined has nothing to leave"
    );
}

#[test]
fn names_are_listed_for_anyone_who_asks_joined_or_not() {
    let mut world = World::with(&["Bo", "aiko"]);
    world.says(0, r#"{"type":"names","id":"n"}"#);
    assert_eq!(
        world.reads(0),
        [r#"{"type":"names","id":"n","names":["aiko","Bo"],"count":2,"revision":2}"#]
    );

    world.says(0, r#"{"type":"leave"}"#);
    world.reads(0);
    world.says(0, r#"{"type":"names"}"#);
    assert_eq!(
        world.reads(0),
        [r#"{"type":"names","names":["aiko"],"count":1,"revision":3}"#]
    );

    let mut empty = World::of(1);
    empty.says(0, r#"{"type":"names"}"#);
    assert_eq!(
        empty.reads(0),
        [r#"{"type":"names","names":[],"count":0,"revision":0}"#]
    );
}

#[test]
fn list_is_cut_at_names_listed_max_and_the_count_is_not() {
    let mut world = World::of(NAMES_LISTED_MAX + 1);
    for own in 0..=NAMES_LISTED_MAX {
        world.says(own, &format!(r#"{{"type":"join","name":"n{own}"}}"#));
    }
    world.reads(0);
    world.says(0, r#"{"type":"names"}"#);
    match serde_json::from_str(&world.reads(0)[0]).unwrap() {
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
fn taken_name_is_refused_with_one_that_is_free() {
    let mut world = World::with(&["Aiko"]);
    world.members.push(Member::new("lobby"));
    world.wires.inboxes.push(Vec::new());
    world.says(1, r#"{"type":"join","name":"AIKO","id":"j"}"#);
    let error = r#"{"type":"error","id":"j","code":"name_taken","text":"Somebody in this room has this name, or one that looks like it.","about":"join","field":"name","suggestion":"AIKO 2"}"#;
    assert_eq!(world.reads(1), [error]);
    assert!(world.reads(0).is_empty());
}

#[test]
fn bad_name_is_told() {
    let mut world = World::of(1);
    for (name, code) in [
        ("  ".to_owned(), ErrorCode::NameEmpty),
        ("a\\u0007".to_owned(), ErrorCode::NameInvalid),
        ("x".repeat(NAME_CHARACTERS_MAX + 1), ErrorCode::NameTooLong),
    ] {
        world.says(0, &format!(r#"{{"type":"join","name":"{name}"}}"#));
        assert_eq!(world.is_told(0), code);
    }
}

#[test]
fn nobody_joins_twice() {
    let mut world = World::with(&["Aiko"]);
    world.says(0, r#"{"type":"join","name":"Bo"}"#);
    assert_eq!(world.is_told(0), ErrorCode::AlreadyJoined);
}

#[test]
fn who_has_not_joined_can_neither_speak_nor_leave() {
    let mut world = World::of(1);
    for json in [
        r#"{"type":"message","text":"hello"}"#,
        r#"{"type":"leave"}"#,
    ] {
        world.says(0, json);
        assert_eq!(world.is_told(0), ErrorCode::NotJoined);
    }
}

#[test]
fn text_may_have_text_bytes_max_and_not_one_more() {
    let mut world = World::with(&["Aiko"]);
    let say = |bytes: usize| {
        ClientMessage::Message {
            text: "x".repeat(bytes).into(),
        }
        .to_json()
    };
    world.says(0, &say(TEXT_BYTES_MAX));
    assert!(world.reads(0)[0].starts_with(r#"{"type":"message""#));
    world.says(0, &say(TEXT_BYTES_MAX + 1));
    assert_eq!(world.is_told(0), ErrorCode::TextTooLong);
}

#[test]
fn text_needs_something_to_see_and_no_control_characters() {
    let mut world = World::with(&["Aiko"]);
    for (text, code) in [
        ("", ErrorCode::TextEmpty),
        (r" \n\t\u3000", ErrorCode::TextEmpty),
        (r"\u001b[2J", ErrorCode::TextInvalid),
        (r"a\u0000", ErrorCode::TextInvalid),
    ] {
        world.says(0, &format!(r#"{{"type":"message","text":"{text}"}}"#));
        assert_eq!(world.is_told(0), code, "{text}");
    }
    world.says(0, r#"{"type":"message","text":"  two\r\n\tlines "}"#);
    assert!(
        world.reads(0)[0].contains(r#""text":"  two\r\n\tlines ""#),
        "the text is passed on as it is"
    );
}

#[test]
fn binary_message_and_nonsense_are_told_and_change_nothing() {
    let mut world = World::with(&["Aiko", "Bo"]);
    world.members[0].binary(&mut Wire {
        wires: &mut world.wires,
        own: 0,
    });
    assert_eq!(world.is_told(0), ErrorCode::Binary);
    world.says(0, "hello");
    assert_eq!(world.is_told(0), ErrorCode::NotJson);
    world.says(0, r#"{"type":"message","text":"still here"}"#);
    assert!(world.reads(1)[0].contains("still here"));
}

/// Something happens in the moment between asking whether a name is free and
/// taking it: when the connection is subscribed.
struct Meanwhile<'a, F> {
    wire: Wire<'a>,
    happens: F,
}

impl<F: FnMut()> Outlet for Meanwhile<'_, F> {
    fn send(&mut self, json: &str) {
        self.wire.send(json);
    }

    fn publish(&mut self, topic: &str, json: &str) {
        self.wire.publish(topic, json);
    }

    fn publish_except(&mut self, topic: &str, json: &str) {
        self.wire.publish_except(topic, json);
    }

    fn join(&mut self, topic: &str) {
        self.wire.join(topic);
        (self.happens)();
    }

    fn leave(&mut self, topic: &str) {
        self.wire.leave(topic);
    }
}

impl World {
    fn says_while(&mut self, own: usize, json: &str, mut happens: impl FnMut(&Rooms)) {
        let rooms = &self.rooms;
        let mut outlet = Meanwhile {
            wire: Wire {
                wires: &mut self.wires,
                own,
            },
            happens: || happens(rooms),
        };
        self.members[own].text(json, NOON, rooms, &mut outlet);
    }
}

#[test]
fn who_loses_a_name_in_the_last_moment_is_refused_and_hears_nothing_of_the_room() {
    let mut world = World::with(&["Bo"]);
    world.members.push(Member::new("lobby"));
    world.wires.inboxes.push(Vec::new());
    world.says_while(1, r#"{"type":"join","name":"Aiko"}"#, |rooms| {
        let other = Name::parse("AIKO").expect("a name");
        rooms.join("lobby", &other).expect("it is free");
    });
    assert_eq!(world.is_told(1), ErrorCode::NameTaken);
    world.says(0, r#"{"type":"message","text":"anyone?"}"#);
    assert!(world.reads(1).is_empty());
    world.says(1, r#"{"type":"join","name":"Chie"}"#);
    assert!(world.reads(1)[0].contains(r#""names":["AIKO","Bo","Chie"]"#));
}

#[test]
fn panic_while_somebody_joins_leaves_no_name_behind() {
    let mut world = World::with(&["Bo"]);
    world.members.push(Member::new("lobby"));
    world.wires.inboxes.push(Vec::new());
    let join = r#"{"type":"join","name":"Aiko"}"#;
    let panics = std::panic::AssertUnwindSafe(|| {
        world.says_while(1, join, |_| std::panic::resume_unwind(Box::new(())));
    });
    assert!(std::panic::catch_unwind(panics).is_err());
    world.goes(1);
    assert!(world.reads(0).is_empty(), "nothing has changed");
    world.reads(1);
    world.says(1, join);
    assert!(world.reads(1)[0].contains(r#""names":["Aiko","Bo"],"count":2,"revision":2"#));
}
