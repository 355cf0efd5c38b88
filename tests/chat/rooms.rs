//! Created rooms over the wire: who is let in, what outsiders see, and what moderators do to others.

use serde_json::{Value, json};
use yamabiko::chat::REMOVED;
use yamabiko::server::Config;
use yamabiko_testing::socket::{Client, TestServer, config, with_1_and_3_workers};

use crate::person::{
    OPERATOR, chat, connect, enter, entered, entering, get, read, read_type, settings,
};

const PASSWORD: &str = "open sesame";

fn start(config: Config) -> TestServer {
    TestServer::start(settings(config), chat())
}

fn private(server: &TestServer) -> Client {
    let create = json!({"create": "private", "password": PASSWORD});
    entered(server, "den", "Aiko", create)
}

#[test]
fn private_room_lets_in_who_has_its_password_and_then_without_it() {
    with_1_and_3_workers(|config| {
        let server = start(config);
        let mut aiko = private(&server);
        aiko.text(r#"{"type":"message","text":"secret"}"#);
        read_type(&mut aiko, "message");
        for (more, code) in [
            (json!({}), "password_required"),
            (json!({"password": "open barley"}), "password_wrong"),
            (json!({"create": "listed"}), "room_exists"),
            (json!({"invitation": "6a1b3c80.00"}), "password_required"),
        ] {
            let (mut bo, answer) = entering(&server, "den", &enter("Bo", more));
            assert_eq!(answer["code"], code, "{answer}");
            bo.text(r#"{"type":"names"}"#);
            assert_eq!(read(&mut bo)["code"], "not_joined");
        }
        let mut bo = entered(&server, "den", "Bo", json!({"password": PASSWORD}));
        assert_eq!(read_type(&mut bo, "message")["text"], "secret");
        // A client of version 1 has no password to show.
        let mut old = Client::connect(server.address).upgraded_with("/chat/den", "");
        old.text(r#"{"type":"join","name":"Chie"}"#);
        assert_eq!(read(&mut old)["code"], "password_required");
        drop(bo);
        entered(&server, "den", "Bo", json!({}));
    });
}

#[test]
fn outsiders_see_listed_rooms_alone_and_nobody_of_a_private_one() {
    let server = start(config(1));
    let _aiko = private(&server);
    let _bo = entered(&server, "quiet", "Bo", json!({"create": "unlisted"}));
    let _chie = entered(&server, "open", "Chie", json!({"create": "listed"}));
    let get = |path: &str| get(&server, path);
    let listed = json!([{"room": "open", "members": 1}]);
    assert_eq!(get("/rooms")["chat"]["rooms"], listed);
    assert_eq!(get("/rooms/den")["members"], 0);
    assert_eq!(get("/rooms/quiet")["names"], json!(["Bo"]));
}

#[test]
fn invitation_lets_people_in_until_it_is_revoked() {
    let server = start(config(2));
    let mut aiko = private(&server);
    let mut invited = || {
        aiko.text(r#"{"type":"invite","seconds":60,"id":"i"}"#);
        let answer = read_type(&mut aiko, "invitation");
        assert_eq!(answer["id"], "i");
        json!({"invitation": answer["invitation"]})
    };
    let invitation = invited();
    let mut bo = entered(&server, "den", "Bo", invitation.clone());
    // Only moderators invite.
    bo.text(r#"{"type":"invite","seconds":60}"#);
    assert_eq!(read_type(&mut bo, "error")["code"], "not_moderator");
    aiko.text(r#"{"type":"revoke"}"#);
    assert_eq!(read_type(&mut bo, "moderated")["action"], "revoke");
    let (_, answer) = entering(&server, "den", &enter("Chie", invitation));
    assert_eq!(answer["code"], "password_required");
}

#[test]
fn removed_member_is_closed_with_4003_and_a_banned_one_does_not_come_back() {
    with_1_and_3_workers(|config| {
        let server = start(config);
        let mut aiko = entered(&server, "open", "Aiko", json!({"create": "listed"}));
        let mut bo = entered(&server, "open", "Bo", json!({}));
        aiko.text(r#"{"type":"ban","name":"Bo","seconds":600}"#);
        let told = read_type(&mut aiko, "moderated");
        assert_eq!(
            (&told["name"], &told["seconds"]),
            (&"Bo".into(), &600.into())
        );
        assert_eq!(bo.read_until_close().0, REMOVED);
        assert_eq!(read_type(&mut aiko, "left")["name"], "Bo");
        let (_, answer) = entering(&server, "open", &enter("Bo", json!({})));
        assert_eq!(answer["code"], "banned");
        // Another room does not know of it.
        entered(&server, "other", "Bo", json!({}));
    });
}

#[test]
fn operator_moderates_every_room_and_enters_private_ones() {
    let server = start(config(2));
    let _aiko = private(&server);
    let token = format!("Authorization: Bearer {OPERATOR}\r\n");
    let mut operator = connect(&server, "den", &token);
    operator.text(&enter("Op", json!({})));
    let welcome = read(&mut operator);
    assert_eq!(
        (&welcome["moderator"], &welcome["count"]),
        (&true.into(), &2.into())
    );
    operator.text(r#"{"type":"mute","name":"Aiko","seconds":60}"#);
    assert_eq!(read_type(&mut operator, "moderated")["name"], "Aiko");
    // Without a creator only an operator can.
    let mut bo = entered(&server, "lobby", "Bo", json!({}));
    bo.text(r#"{"type":"slow","seconds":5}"#);
    assert_eq!(read_type(&mut bo, "error")["code"], "not_moderator");
}

#[test]
fn deleted_message_is_gone_for_those_who_come_later_and_its_position_stays() {
    with_1_and_3_workers(|config| {
        let server = start(config);
        let mut aiko = entered(&server, "open", "Aiko", json!({"create": "listed"}));
        for text in ["one", "a secret", "three"] {
            aiko.text(&json!({"type": "message", "text": text}).to_string());
        }
        let [one, secret, _] = [0; 3].map(|_| read_type(&mut aiko, "message"));
        aiko.text(&json!({"type": "delete", "position": secret["position"]}).to_string());
        assert_eq!(
            read_type(&mut aiko, "moderated")["target"],
            secret["position"]
        );
        // Somebody new, and somebody who has missed it.
        for (name, from) in [("Bo", json!({})), ("Cy", json!({"after": one["position"]}))] {
            let (mut late, welcome) = entering(&server, "open", &enter(name, from));
            assert_eq!(welcome["history"]["gap"], "none");
            let past = welcome["history"]["messages"].as_u64().expect("a number");
            let past: Vec<Value> = (0..past).map(|_| read(&mut late)).collect();
            let of_secret = past
                .iter()
                .find(|one| one["position"] == secret["position"]);
            let deleted = json!({"type": "deleted", "position": secret["position"]});
            assert_eq!(of_secret, Some(&deleted));
            assert!(past.iter().any(|one| one["text"] == "three"), "{past:?}");
        }
    });
}
