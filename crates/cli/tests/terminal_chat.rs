//! `yamabiko chat` at a terminal: the test types into a pseudo terminal, and a terminal in
//! memory shows the screen of the user.
//!
//! Every server listens on a free port of the loopback interface, and every wait has a
//! limit.

#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use yamabiko::chat::{
    ClientMessage, Enter, Moderation, SUBPROTOCOL, SUBPROTOCOL_V2, ServerMessage, Visibility,
};
use yamabiko::client::{Client, OwnedMessage};
use yamabiko::websocket::Message;

use yamabiko_testing::port::ReservedPort;
use yamabiko_testing::waiting::{TIMEOUT, accepted, exit_status, joined};

const COLUMNS: u16 = 80;
const ROWS: u16 = 24;

const LEFT: &str = "\x1b[D";
const UP: &str = "\x1b[A";
const HOME: &str = "\x1b[H";
const END: &str = "\x1b[F";
const ENTER: &str = "\r";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";

/// A process, which is killed when the value is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.expect("kill exists").success());
    }
}

/// Starts `yamabiko serve`; with its `IP:PORT`.
fn server_at(listen: &str, flags: &[&str]) -> (Process, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_yamabiko"))
        .args(["serve", "--listen", listen])
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let output = child.stdout.take().expect("a pipe");
    let server = Process(child);
    let mut line = String::new();
    let mut output = BufReader::new(output);
    output.read_line(&mut line).expect("it prints its address");
    let (_, rest) = line.trim_end().split_once("://").expect("an address");
    (server, rest.trim_end_matches('/').to_owned())
}

fn server() -> (Process, String) {
    server_at("127.0.0.1:0", &[])
}

/// Another member of the room.
struct Member(Client);

impl Member {
    /// It is in the room when this returns.
    fn join(address: &str, name: &str) -> Member {
        let client = Client::builder(&format!("ws://{address}/chat/lobby"))
            .subprotocol(SUBPROTOCOL)
            .read_timeout(TIMEOUT)
            .connect();
        let mut other = Member(client.expect("it listens"));
        other.send(&ClientMessage::Join { name: name.into() });
        other.read_until("welcome");
        other
    }

    fn send(&mut self, message: &ClientMessage<'_>) {
        let json = message.to_json();
        self.0.send(Message::Text(&json)).expect("open");
    }

    fn send_text(&mut self, text: &str) {
        self.send(&ClientMessage::Message { text: text.into() });
    }

    /// The next message of this type.
    fn read_until(&mut self, kind: &str) -> serde_json::Value {
        loop {
            let Some(OwnedMessage::Text(json)) = self.0.read().expect("in time") else {
                panic!("the server has closed the connection");
            };
            let message: serde_json::Value = serde_json::from_str(&json).expect("JSON");
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// The next message of the room: its sender and its text.
    fn receive(&mut self) -> (String, String) {
        loop {
            let Some(OwnedMessage::Text(json)) = self.0.read().expect("in time") else {
                panic!("the server has closed the connection");
            };
            let message = serde_json::from_str(&json).expect("the protocol");
            if let ServerMessage::Message { from, text, .. } = message {
                return (from.into_owned(), text.into_owned());
            }
        }
    }
}

/// The program at a terminal of 80 columns and 24 rows.
struct Terminal {
    chat: Process,
    keyboard: File,
    output: Receiver<Vec<u8>>,
    seen: vt100::Parser,
    written_bytes: usize,
}

impl Terminal {
    fn chat(url: &str, flags: &[&str]) -> Terminal {
        Terminal::start("exec \"$@\"", url, flags)
    }

    /// `prelude`: commands of a shell, the last of which starts the program.
    fn start(prelude: &str, url: &str, flags: &[&str]) -> Terminal {
        let flags_of_master = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags_of_master).expect("a terminal");
        grantpt(&master).expect("ours");
        unlockpt(&master).expect("ours");
        let size = Winsize {
            ws_row: ROWS,
            ws_col: COLUMNS,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).expect("a terminal");
        let name = ptsname(&master, Vec::new()).expect("a terminal");
        let name = name.to_str().expect("ASCII");
        let side = || {
            let file = File::options().read(true).write(true).open(name);
            Stdio::from(file.expect("the other side"))
        };
        // In a new session, whose terminal is this one.
        let chat = Command::new("setsid")
            .args(["--ctty", "sh", "-c", prelude, "sh"])
            .args([env!("CARGO_BIN_EXE_yamabiko"), "chat", url])
            .args(flags)
            .env("TERM", "xterm-256color")
            .stdin(side())
            .stdout(side())
            .stderr(side())
            .spawn()
            .expect("the program starts");
        let chat = Process(chat);
        let keyboard = File::from(master);
        let (sender, output) = channel();
        let mut screen = keyboard.try_clone().expect("a file");
        thread::spawn(move || {
            let mut piece = [0; 4_096];
            // An error: the program has ended.
            while let Ok(length @ 1..) = screen.read(&mut piece) {
                if sender.send(piece[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let cells = |cells| NonZero::new(cells).expect("some");
        Terminal {
            chat,
            keyboard,
            output,
            seen: vt100::Parser::new(cells(ROWS), cells(COLUMNS), 10_000),
            written_bytes: 0,
        }
    }

    /// A chat that has joined the room as Aki, with an empty prompt.
    fn aki(address: &str) -> Terminal {
        let url = format!("ws://{address}/chat/lobby");
        let mut terminal = Terminal::chat(&url, &["--name", "Aki"]);
        terminal.wait_for("* you are Aki in lobby");
        terminal
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("it runs");
    }

    /// Pastes as a terminal with bracketed paste does.
    fn paste(&mut self, text: &str) {
        self.press(&format!("\x1b[200~{text}\x1b[201~"));
    }

    fn show(&mut self, bytes: &[u8]) {
        self.written_bytes += bytes.len();
        self.seen.process(bytes);
    }

    fn rows(&self) -> Vec<String> {
        self.seen.screen().rows(0, COLUMNS).collect()
    }

    fn shows(&self, text: &str) -> bool {
        self.rows().iter().any(|row| row.contains(text))
    }

    /// Waits until the screen meets a condition.
    fn wait_until(&mut self, what: &str, holds: impl Fn(&Terminal) -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        while !holds(self) {
            let rest = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(rest) {
                Ok(bytes) => self.show(&bytes),
                Err(_) => panic!("{what}: never on the screen:\n{}", self.rows().join("\n")),
            }
        }
    }

    fn wait_for(&mut self, text: &str) {
        self.wait_until(text, |terminal| terminal.shows(text));
    }

    /// Waits until the row of the cursor has this text.
    fn wait_for_prompt(&mut self, row: &str) {
        self.wait_until(row, |terminal| {
            let at = terminal.seen.screen().cursor_position().0;
            terminal.rows()[usize::from(at)] == row
        });
    }

    /// Waits for the end of the program. Returns its exit code.
    fn end(&mut self) -> Option<i32> {
        let code = exit_status(&mut self.chat.0, TIMEOUT).code();
        while let Ok(bytes) = self.output.recv_timeout(TIMEOUT) {
            self.show(&bytes);
        }
        code
    }

    /// Whether the kernel edits lines and echoes, as it does for a shell.
    fn is_restored(&self) -> bool {
        let modes = tcgetattr(&self.keyboard).expect("a terminal").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }
}

#[test]
fn half_typed_text_stays_visible_when_a_message_arrives_and_is_sent_once_and_whole() {
    let (_server, address) = server();
    let mut bo = Member::join(&address, "Bo");
    let mut aki = Terminal::aki(&address);
    aki.press("a secret");
    aki.wait_for_prompt("> a secret");
    bo.send_text("hello");
    aki.wait_for("<Bo> hello");
    aki.wait_for_prompt("> a secret");
    aki.press(&format!("{HOME}not {END}, ok{ENTER}"));
    assert_eq!(bo.receive().1, "hello");
    assert_eq!(bo.receive(), ("Aki".into(), "not a secret, ok".into()));
    aki.press(&format!("next{ENTER}"));
    assert_eq!(bo.receive().1, "next");
    aki.wait_for("> not a secret, ok");
}

#[test]
fn arrows_escape_and_history_edit_the_line_and_are_not_sent() {
    let (_server, address) = server();
    let mut bo = Member::join(&address, "Bo");
    let mut aki = Terminal::aki(&address);
    aki.press(&format!("helo{LEFT}l{ENTER}"));
    assert_eq!(bo.receive().1, "hello");
    aki.press("half");
    aki.wait_for_prompt("> half");
    // Escape alone is a key, and not the start of a sequence. The line is drawn again.
    let before = aki.written_bytes;
    aki.press("\x1b");
    aki.wait_until("Escape", |aki| aki.written_bytes > before);
    aki.press(UP);
    aki.wait_for_prompt("> hello");
    aki.press(&format!(" again{ENTER}"));
    assert_eq!(bo.receive().1, "hello again");
    aki.wait_for_prompt("> half");
    aki.press(&format!(" done{ENTER}"));
    assert_eq!(bo.receive().1, "half done");
}

#[test]
fn paste_of_10_000_bytes_arrives_whole_however_the_terminal_sends_it() {
    let (_server, address) = server();
    let url = format!("ws://{address}/broadcast/paste");
    let mut other = Client::builder(&url)
        .read_timeout(TIMEOUT)
        .connect()
        .expect("it listens");
    other.send(Message::Text("here")).expect("open");
    let mut receive = || match other.read().expect("in time") {
        Some(OwnedMessage::Text(text)) => text,
        message => panic!("{message:?}"),
    };
    assert_eq!(receive(), "here");
    let mut aki = Terminal::chat(&url, &[]);
    aki.wait_for_prompt("> ");
    let text: String = (0..2_000).map(|number| format!("{number:04} ")).collect();
    assert_eq!(text.len(), 10_000);
    aki.paste(&text);
    aki.press(ENTER);
    assert!(receive() == text);
    aki.press(&text);
    aki.press(ENTER);
    assert!(receive() == text);
}

#[test]
fn paste_of_several_lines_is_one_message_and_is_visible_before_it_is_sent() {
    let (_server, address) = server();
    let mut bo = Member::join(&address, "Bo");
    let mut aki = Terminal::aki(&address);
    aki.paste("one\rtwo\r\nthree");
    aki.wait_for_prompt("  three");
    aki.press(&format!("!{ENTER}"));
    assert_eq!(bo.receive().1, "one\ntwo\nthree!");
    bo.send_text("line\n<Aki> forged\x1b");
    bo.send_text("line\n<Aki> forged");
    aki.wait_for("  <Aki> forged");
    assert!(!aki.rows().iter().any(|row| row.starts_with("<Aki>")));
}

#[test]
fn commands_are_never_sent_to_the_room_and_two_slashes_send_one() {
    let (_server, address) = server();
    let mut bo = Member::join(&address, "Bo");
    let mut aki = Terminal::aki(&address);
    aki.press(&format!("/help{ENTER}"));
    aki.wait_for("* /who   the names of the members of the room");
    aki.press(&format!("/who{ENTER}"));
    aki.wait_for("* 2 here: Aki, Bo");
    aki.press(&format!("/shout hello{ENTER}"));
    aki.wait_for("! there is no command /shout; nothing was sent.");
    aki.wait_for_prompt("> /shout hello");
    aki.press(&format!("{HOME}/{ENTER}"));
    assert_eq!(bo.receive(), ("Aki".into(), "/shout hello".into()));
    aki.press(&format!("/nick{ENTER}"));
    aki.wait_for("! write /nick NAME; nothing was sent");
    aki.press("\x15");
    aki.press(&format!("last message{ENTER}/quit{ENTER}"));
    assert_eq!(bo.receive().1, "last message");
    assert_eq!(aki.end(), Some(0));
    assert!(aki.is_restored());
}

#[test]
fn commands_tell_what_the_user_does_and_change_the_name_and_the_topic() {
    let (_server, address) = server();
    let mut bo = Member::join(&address, "Bo");
    let mut aki = Terminal::aki(&address);
    aki.press(&format!("/me waves{ENTER}"));
    assert_eq!(bo.receive(), ("Aki".into(), "waves".into()));
    aki.press(&format!("/nick Cy{ENTER}"));
    aki.wait_for("* Aki is now Cy");
    aki.press(&format!("hello{ENTER}"));
    assert_eq!(bo.receive(), ("Cy".into(), "hello".into()));
    aki.press(&format!("/nick Bo{ENTER}"));
    aki.wait_for("! A member of this room has this name, or a name that looks like it.");
    aki.press(&format!("/topic Tea at four{ENTER}"));
    aki.wait_for("* Cy has set the topic: Tea at four");
    aki.press(&format!("/topic{ENTER}"));
    aki.wait_for("* topic: Tea at four");
    aki.press(&format!("/topic -{ENTER}"));
    aki.wait_for("* Cy has removed the topic");
    bo.send(&ClientMessage::Action {
        text: "nods".into(),
    });
    aki.wait_for("* Bo nods");
}

/// A file with a secret, which is removed at the end.
struct SecretFile(PathBuf);

impl SecretFile {
    fn new(name: &str, text: &str) -> SecretFile {
        let file = format!("yamabiko-terminal-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(file);
        fs::write(&path, text).expect("a temporary file");
        SecretFile(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn moderators_have_commands_and_others_are_told_that_they_may_not() {
    let operator = "operator-0123456789abc";
    let keys = format!("{operator} publish=/chat/*,/moderate/* subscribe=/chat/*");
    let keys = SecretFile::new("keys", &keys);
    let token = SecretFile::new("token", operator);
    let flags = ["--shared-keys-file", keys.path(), "--chat", "open"];
    let (_server, address) = server_at("127.0.0.1:0", &flags);
    let url = format!("ws://{address}/chat/lobby");
    let mut aki = Terminal::chat(&url, &["--name", "Aki", "--token-file", token.path()]);
    aki.wait_for("* you are Aki in lobby");
    let mut bo = Member::join(&address, "Bo");
    aki.wait_for("* Bo is here");
    for (line, shown) in [
        ("/mute Bo 10", "* Aki has muted Bo for 600 seconds"),
        ("/mute bo 0", "* Aki lets Bo write again"),
        (
            "/slow 30",
            "* Aki has set slow mode: a message in 30 seconds",
        ),
        ("/slow 0", "* Aki has ended slow mode"),
        ("/invite 1", "! Only a private room has invitations."),
        ("/kick Zoe", "! Nobody in this room has this name."),
    ] {
        aki.press(&format!("{line}{ENTER}"));
        aki.wait_for(shown);
    }
    bo.send_text("oops");
    aki.wait_for("<Bo> oops");
    aki.press(&format!("/delete bo{ENTER}"));
    aki.wait_for("* Aki has deleted a message");
    aki.press(&format!("/delete bo{ENTER}"));
    aki.wait_for("! no message of bo is here; nothing was sent");
    aki.press("\x15");
    let mut cy = Terminal::chat(&url, &["--name", "Cy"]);
    cy.wait_for("* you are Cy in lobby");
    cy.press(&format!("/kick Aki{ENTER}"));
    cy.wait_for("! Only the creator of the room and the operator may do this.");
    aki.press(&format!("/kick Cy{ENTER}"));
    assert_eq!(cy.end(), Some(1));
    aki.press(&format!("/ban Bo 1{ENTER}"));
    aki.wait_for("* Aki has banned Bo for 60 seconds");
    aki.press(CTRL_D);
    assert_eq!(aki.end(), Some(0));
}

#[test]
fn private_room_is_entered_with_the_password_of_a_file_or_by_an_invitation() {
    let (_server, address) = server();
    let url = format!("ws://{address}/chat/den");
    let creator = Client::builder(&url).subprotocol(SUBPROTOCOL_V2);
    let mut creator = Member(creator.read_timeout(TIMEOUT).connect().expect("it listens"));
    let mut create = Enter::new("Bo");
    create.create = Some(Visibility::Private);
    create.password = Some("open sesame".into());
    creator.send(&ClientMessage::Enter(Box::new(create)));
    creator.read_until("welcome");

    let right = SecretFile::new("right", "open sesame\n");
    let mut aki = Terminal::chat(&url, &["--name", "Aki", "--password-file", right.path()]);
    aki.wait_for("* you are Aki in den; 2 here");
    let wrong = SecretFile::new("wrong", "open barley\n");
    let mut cy = Terminal::chat(&url, &["--name", "Cy", "--password-file", wrong.path()]);
    assert_eq!(cy.end(), Some(1));
    assert!(cy.shows("cannot join as Cy: This is not the password of the room."));

    let invite = Moderation::Invite { seconds: 3600 };
    creator.send(&ClientMessage::Moderate(invite));
    let invitation = creator.read_until("invitation")["invitation"].clone();
    let page = format!(
        "http://{address}/#den?{}",
        invitation.as_str().expect("a text")
    );
    let mut cy = Terminal::chat(&page, &["--name", "Cy"]);
    cy.wait_for("* you are Cy in den; 3 here");
    aki.wait_for("* Cy is here");
}

#[test]
fn tab_completes_commands_and_names_of_members() {
    let (_server, address) = server();
    let mut bo = Member::join(&address, "Boris");
    let mut aki = Terminal::aki(&address);
    aki.press("/wh\t");
    aki.wait_for_prompt("> /who ");
    aki.press(ENTER);
    aki.wait_for("* 2 here: Aki, Boris");
    aki.press("hi @bo\t");
    aki.wait_for_prompt("> hi @Boris ");
    aki.press(&format!("!{ENTER}"));
    assert_eq!(bo.receive().1, "hi @Boris !");
}

#[test]
fn messages_have_a_time_and_names_a_colour_unless_no_color_is_set() {
    let (_server, address) = server();
    let mut bo = Member::join(&address, "Bo");
    let url = format!("ws://{address}/chat/lobby");
    for (prelude, is_coloured) in [
        ("TZ=UTC exec \"$@\"", true),
        ("TZ=UTC NO_COLOR=1 exec \"$@\"", false),
    ] {
        let mut aki = Terminal::start(prelude, &url, &["--name", "Aki"]);
        aki.wait_for("* you are Aki in lobby");
        bo.send_text("what time is it?");
        aki.wait_for("<Bo> what time is it?");
        let is_message = |row: &String| row.contains("<Bo> what");
        let row = aki
            .rows()
            .iter()
            .rposition(is_message)
            .expect("the message");
        let text = &aki.rows()[row];
        let (clock, _) = text.split_once(" <Bo>").expect("a time in front");
        let digits: Vec<bool> = clock.chars().map(|c| c.is_ascii_digit()).collect();
        assert_eq!(digits, [true, true, false, true, true], "{text}");
        let screen = aki.seen.screen();
        let name = screen
            .cell(u16::try_from(row).expect("short"), 7)
            .expect("a cell");
        assert_eq!(name.fgcolor() != vt100::Color::Default, is_coloured);
        aki.press(CTRL_C);
        assert_eq!(aki.end(), Some(0));
    }
}

#[test]
fn text_that_is_refused_is_at_the_prompt_again() {
    let (_server, address) = server();
    let mut bo = Member::join(&address, "Bo");
    let mut aki = Terminal::aki(&address);
    let long = format!("{}end", "x".repeat(4_094));
    aki.paste(&long);
    aki.press(ENTER);
    aki.wait_for("! not sent: a text may have at most 4096 bytes, and this has 4097");
    aki.press(&format!("\x7f{ENTER}"));
    assert!(bo.receive().1 == long[..4_096]);
    // The server refuses this text.
    aki.paste("a\x07b");
    aki.wait_for(r"a\u{7}b");
    aki.press(ENTER);
    aki.wait_for("control characters");
    aki.wait_until("the text again", |aki| {
        let row = aki.seen.screen().cursor_position().0;
        aki.rows()[usize::from(row)].contains(r"a\u{7}b")
    });
    aki.press("\x15fine\r");
    loop {
        let (_, text) = bo.receive();
        assert!(!text.contains('\x07'));
        if text == "fine" {
            break;
        }
    }
}

#[test]
fn text_entered_without_a_connection_is_marked_and_reported_when_it_is_sent() {
    let port = ReservedPort::new();
    let address = port.address().to_string();
    let (server, _) = server_at(&address, &[]);
    let mut bo = Member::join(&address, "Bo");
    let mut aki = Terminal::aki(&address);
    aki.press(&format!("before{ENTER}"));
    assert_eq!(bo.receive().1, "before");
    server.signal("TERM");
    aki.wait_for("the server closed the connection: it is going away (1001); again in");
    aki.press(&format!("still here{ENTER}"));
    aki.wait_for("* not connected: queued, and sent when the connection is back (1 waiting)");
    drop(server);
    let (_server, _) = server_at(&address, &[]);
    let mut bo = Member::join(&address, "Bo");
    aki.wait_for("* sent: \"still here\"");
    aki.press(&format!("and now{ENTER}"));
    while bo.receive().1 != "and now" {}
}

#[test]
fn text_that_was_never_sent_is_reported_at_the_end_with_status_1() {
    let port = ReservedPort::new();
    let address = port.address().to_string();
    let (server, _) = server_at(&address, &[]);
    let mut aki = Terminal::aki(&address);
    server.signal("TERM");
    aki.wait_for("again in");
    aki.press(&format!("too late{ENTER}"));
    aki.wait_for("queued");
    aki.press(CTRL_C);
    assert_eq!(aki.end(), Some(1));
    assert!(aki.shows("yamabiko: not sent: \"too late\""));
    assert!(aki.is_restored());
}

#[test]
fn terminal_is_restored_however_the_chat_ends() {
    let port = ReservedPort::new();
    let address = port.address().to_string();
    let (server, _) = server_at(&address, &[]);
    for keys in [CTRL_C, CTRL_D] {
        let mut aki = Terminal::aki(&address);
        assert!(!aki.is_restored());
        aki.press(keys);
        assert_eq!(aki.end(), Some(0));
        assert!(aki.is_restored());
    }
    let mut aki = Terminal::aki(&address);
    aki.press("half-typed");
    aki.wait_for_prompt("> half-typed");
    aki.chat.signal("TERM");
    assert_eq!(aki.end(), Some(0));
    assert!(aki.is_restored());
    assert!(aki.shows("> half-typed"));
    // Another program now uses the server's address.
    let mut aki = Terminal::aki(&address);
    server.signal("TERM");
    aki.wait_for("again in");
    drop(server);
    let stranger = std::net::TcpListener::bind(&address).expect("free again");
    let answering = thread::spawn(move || {
        let mut stream = accepted(&stranger);
        let mut request = [0; 4_096];
        let _ = stream.read(&mut request);
        let answer = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).expect("open");
    });
    assert_eq!(aki.end(), Some(1));
    assert!(aki.shows("yamabiko: the server answered 401 Unauthorized"));
    assert!(aki.is_restored());
    joined("the answer", answering);
}

#[test]
fn prompt_is_redrawn_when_the_window_changes_its_size() {
    let (_server, address) = server();
    let mut bo = Member::join(&address, "Bo");
    let mut aki = Terminal::aki(&address);
    aki.press("half");
    aki.wait_for_prompt("> half");
    let size = Winsize {
        ws_row: ROWS,
        ws_col: 10,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&aki.keyboard, size).expect("a terminal");
    // The rest is broken at the tenth column.
    aki.press("-typed");
    aki.wait_until("two rows", |aki| {
        let row = usize::from(aki.seen.screen().cursor_position().0);
        row > 0 && aki.rows()[row - 1] == "> half-typ" && aki.rows()[row] == "ed"
    });
    aki.press(ENTER);
    assert_eq!(bo.receive().1, "half-typed");
}

#[test]
fn terminal_that_is_gone_ends_the_chat_even_if_sighup_is_ignored() {
    let (_server, address) = server();
    let url = format!("ws://{address}/chat/lobby");
    let mut bo = Member::join(&address, "Bo");
    for prelude in ["exec \"$@\"", "trap '' HUP; exec \"$@\""] {
        let mut aki = Terminal::start(prelude, &url, &["--name", "Aki"]);
        aki.wait_for("* you are Aki in lobby");
        let Terminal {
            mut chat,
            keyboard,
            output,
            ..
        } = aki;
        // The reading thread keeps the terminal open until its next read fails.
        drop((keyboard, output));
        bo.send_text("hello");
        exit_status(&mut chat.0, TIMEOUT);
    }
}
