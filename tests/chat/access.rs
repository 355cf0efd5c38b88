//! Tokens of the chat's clients: who may read a room, who may write, and what is open.

use std::num::NonZeroUsize;

use yamabiko::chat::{Access, Chat};
use yamabiko::client::{Client, ClientError, OwnedMessage};
use yamabiko::server::Config;
use yamabiko::tokens::Tokens;
use yamabiko::websocket::frame::CloseCode;

use yamabiko_testing::socket::TestServer;
use yamabiko_testing::waiting::TIMEOUT;

const EVERYTHING: &str = "everything-0123456789";
const READER: &str = "reader-0123456789abc";
const WRITER: &str = "writer-0123456789abc";

fn start(chat: Access, broadcast: Access) -> TestServer {
    let keys = format!(
        "{EVERYTHING}\n{READER} subscribe=/chat/tea,/broadcast/*\n{WRITER} publish=/broadcast/a,/chat/tea"
    );
    let tokens = Tokens::new().shared_keys(&keys).expect("keys");
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        workers: NonZeroUsize::new(2).expect("not 0"),
        tokens: Some(tokens.optional(true)),
        ..Config::default()
    };
    let chat = Chat::new().chat_access(chat).broadcast_access(broadcast);
    TestServer::start(config, chat)
}

/// A client with this token, or the status of the refusal.
fn connect(server: &TestServer, path: &str, token: Option<&str>) -> Result<Client, u16> {
    let mut builder = Client::builder(&server.url(path)).read_timeout(TIMEOUT);
    if let Some(token) = token {
        builder = builder.field("Authorization", &format!("Bearer {token}"));
    }
    builder.connect().map_err(|error| match error {
        ClientError::Refused(refusal) => refusal.response.status,
        error => panic!("{error}"),
    })
}

fn text(client: &mut Client) -> String {
    match client.read().expect("a message") {
        Some(OwnedMessage::Text(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn room_needs_a_token_that_grants_it() {
    let server = start(Access::Token, Access::Token);
    for (path, token, status) in [
        ("/chat/tea", None, 401),
        ("/broadcast/a", None, 401),
        ("/chat/tea", Some("guessed-0123456789"), 401),
        ("/chat/tea", Some(WRITER), 403),
        ("/chat/other", Some(READER), 403),
        ("/broadcast/b", Some(WRITER), 403),
    ] {
        assert_eq!(
            connect(&server, path, token).err(),
            Some(status),
            "{path} {token:?}"
        );
    }
    for (path, token) in [
        ("/chat/other", EVERYTHING),
        ("/chat/tea", READER),
        ("/broadcast/b", READER),
        ("/broadcast/a", WRITER),
    ] {
        assert!(connect(&server, path, Some(token)).is_ok(), "{path}");
    }
}

#[test]
fn reader_of_a_broadcast_gets_messages_and_is_closed_with_3003_when_it_sends_one() {
    let server = start(Access::Token, Access::Token);
    let mut reader = connect(&server, "/broadcast/a", Some(READER)).expect("granted");
    let mut other = connect(&server, "/broadcast/a", Some(READER)).expect("granted");
    let mut writer = connect(&server, "/broadcast/a", Some(WRITER)).expect("granted");
    writer.send("first").expect("it is open");
    assert_eq!(text(&mut reader), "first");
    assert_eq!(text(&mut other), "first");
    reader.send("mine").expect("it is open");
    assert!(reader.read().expect("a Close").is_none());
    let code = reader
        .ended()
        .and_then(|ended| CloseCode::new(ended.code()));
    assert_eq!(code, Some(CloseCode::FORBIDDEN));
    // The writer is not subscribed; the others got nothing of the refused message.
    writer.send("second").expect("it is open");
    assert_eq!(text(&mut other), "second");
}

#[test]
fn reader_of_the_chat_joins_and_may_not_write() {
    let server = start(Access::Token, Access::Off);
    let mut reader = connect(&server, "/chat/tea", Some(READER)).expect("granted");
    reader
        .send(r#"{"type":"join","name":"Aki"}"#)
        .expect("it is open");
    assert!(text(&mut reader).contains("\"welcome\""));
    reader
        .send(r#"{"type":"message","text":"hi"}"#)
        .expect("it is open");
    let reply = text(&mut reader);
    assert!(reply.contains("\"forbidden\""), "{reply}");
    let mut member = connect(&server, "/chat/tea", Some(EVERYTHING)).expect("granted");
    member
        .send(r#"{"type":"join","name":"Bo"}"#)
        .expect("it is open");
    assert!(text(&mut member).contains("\"welcome\""));
    member
        .send(r#"{"type":"message","text":"hi"}"#)
        .expect("it is open");
    assert!(text(&mut reader).contains("\"joined\""));
    assert!(text(&mut reader).contains("\"hi\""));
}

#[test]
fn path_that_is_off_does_not_exist_and_the_other_one_stays_open() {
    let server = start(Access::Open, Access::Off);
    for token in [None, Some(EVERYTHING)] {
        assert_eq!(connect(&server, "/broadcast/a", token).err(), Some(404));
        assert!(connect(&server, "/chat/tea", token).is_ok());
    }
    let server = start(Access::Off, Access::Open);
    assert_eq!(connect(&server, "/chat/tea", None).err(), Some(404));
    assert!(connect(&server, "/broadcast/a", None).is_ok());
}
