//! Texts of the help that belong to no single option: units, examples, the end of a command.
//!
//! A paragraph is one line: it is broken for the width of the terminal when it is shown.

/// The order of the help of a command, or of the program.
pub(super) fn template(name: &str) -> String {
    format!("{name}: {{about}}\n\n{{usage-heading}} {{usage}}\n\n{{all-args}}{{after-help}}")
}

/// A command line of this command with all arguments that it needs; `None`: it needs none.
pub(super) fn example(command: &str) -> Option<&'static str> {
    match command {
        "chat" => Some("yamabiko chat ws://127.0.0.1:8080/chat/lobby"),
        "bench" => Some("yamabiko bench fan-out ws://127.0.0.1:8080/broadcast/bench"),
        "conform" => Some("yamabiko conform server ws://127.0.0.1:9001/"),
        "trace" => Some("yamabiko trace ws://127.0.0.1:9001/"),
        "completions" => Some("yamabiko completions bash"),
        "man" => Some("yamabiko man ./man1"),
        _ => None,
    }
}

pub(super) const YAMABIKO: &str = "\
Without a command, yamabiko runs 'serve'. Its options can follow directly.

Examples:
  yamabiko                          serve on http://127.0.0.1:8080/
  yamabiko --listen 0.0.0.0:80 --allow-origin https://example.org
  yamabiko chat ws://127.0.0.1:8080/chat/lobby --name Aki
  yamabiko help serve               the options of serve

Exit status: 0 success; 1 failure; 2 usage error; 3 a server has \
cut off connections at its end; 130 ended at once by a second signal.";

macro_rules! serve_examples {
    () => {
        "\
Examples:
  yamabiko serve --listen :8080 --drain 5
  yamabiko serve --listen 127.0.0.1:8080 --allow-host chat.example.org --proxy 127.0.0.1
  yamabiko serve --listen :443 --tls-cert chat.pem --tls-key chat.key
  yamabiko serve --admin-listen 127.0.0.1:9100 --log-format json
  yamabiko serve --trace-room lobby
  yamabiko serve --config yamabiko.toml --check

"
    };
}

macro_rules! paths {
    () => {
        "\
Paths:
  /                   the page of the chat; /#ROOM opens it in a room
  /chat/ROOM          the chat: a WebSocket for clients of its protocol
  /broadcast/ROOM     a WebSocket: all clients of the room get each message
  /app/KEY            with --app: the WebSocket of an app's Pusher clients
  /apps/ID/...        with --app: the HTTP API of an app
  /playground/        with --playground: a WebSocket, byte by byte
  /health             200 and 'ok', for load balancers and monitoring
  /ready              200 while the server takes new clients, otherwise 503
  /version            name and version, as JSON
  /metrics            metrics for Prometheus: with --metrics or --admin-listen

"
    };
}

macro_rules! server {
    () => {
        "\
Bytes are written as 65536, 64KiB or 1MiB; seconds may have decimals: 0.25.

Each option can be set by an environment variable: --ping-interval by YAMABIKO_PING_INTERVAL, \
--no-compress by YAMABIKO_NO_COMPRESS=true. An empty variable counts as not set. The command \
line wins. Each option may be given once, except those that may be repeated."
    };
}

macro_rules! reload {
    () => {
        "

With --config, SIGHUP ends nothing: the settings and the certificates are read again, and the log \
says what has changed and what needs a restart."
    };
}

macro_rules! shutdown {
    () => {
        "

The server prints one line with its address when it is ready. Ctrl-C (SIGINT) closes every \
connection with 1001. SIGTERM or SIGHUP (a terminal that closes; not under nohup) does so over the \
time of --drain. The program ends when all connections have ended, with status 0, or after \
--drain-timeout, with status 3 if connections were cut off. A second SIGINT or SIGTERM ends it at \
once with 130."
    };
}

macro_rules! secrets {
    () => {
        "

Keys of tokens can also be in environment variables: YAMABIKO_JWT_KEYS (a JWK set, or PEM), \
YAMABIKO_JWT_SECRET (a secret of HS256) and YAMABIKO_SHARED_KEYS (lines). Of the options only --app takes a secret, and YAMABIKO_APP \
is better."
    };
}

pub(super) const SERVE: &str = concat!(serve_examples!(), paths!(), server!(), secrets!());

pub(super) const SERVE_LONG: &str = concat!(
    serve_examples!(),
    paths!(),
    server!(),
    secrets!(),
    shutdown!(),
    reload!()
);

pub(super) const CONFIG: &str = "\
Examples:
  yamabiko config --workers 4 > yamabiko.toml
  yamabiko serve --config yamabiko.toml

A key of the file is the name of an option of 'serve'. The command line wins over the \
environment, and the environment over the file. 'yamabiko serve --config FILE --check' checks \
a file without serving.";

pub(super) const ECHO: &str = server!();

pub(super) const ECHO_LONG: &str = concat!(server!(), shutdown!());

macro_rules! chat {
    () => {
        "\
Examples:
  yamabiko chat ws://127.0.0.1:8080/chat/lobby --name Aki
  yamabiko chat 127.0.0.1:8080/tea
  yamabiko chat 'https://chat.example.org/#lobby'
  tail -f build.log | yamabiko chat ws://127.0.0.1:8080/broadcast/builds
  yamabiko chat 127.0.0.1:8080/tea --listen-only --json

The URL is ws://HOST:PORT/chat/ROOM, or ws://HOST:PORT/broadcast/ROOM for a room of plain lines. \
HOST:PORT/ROOM is a room of the chat, and the address of its page in a browser does, too. \
Ctrl-C leaves the room with Close 1000. The environment variable YAMABIKO_NAME sets the name, \
too, unless it is empty; the command line wins."
    };
}

pub(super) const CHAT: &str = concat!(
    chat!(),
    "

The keys of the line editor and what a program can expect are in the long help: --help."
);

pub(super) const CHAT_LONG: &str = concat!(
    chat!(),
    "

At a terminal, messages of others appear above the line that is being typed. Enter sends the \
line. A paste of several lines is one message, and Alt-Enter begins a new line. The arrows, \
Home, End, Ctrl-A, -E, -U, -K, -W and -Y edit; Tab completes commands and names of members; arrow up \
and down go through the lines that were entered before; Ctrl-Z suspends. The prompt is '>' when \
all messages have come back from the room, and three dots while some are on their way. Names have \
colours unless NO_COLOR is set, and messages their local time. A line that begins with a slash is a command, which is never \
sent to the room:
  /help                     lists the commands
  /who                      lists the names of the members of the room
  /me TEXT                  says what you do
  /nick NAME                changes your name
  /topic                    shows the topic; /topic TEXT sets it, /topic - removes it
  /quit                     leaves the room, as Ctrl-D and Ctrl-C do
  //TEXT                    sends a text that begins with one slash

With --listen-only nothing is sent, and a connection that is lost is always opened again. With \
--json each message is the JSON object that the server has sent, on one line; a text of a room of \
plain lines becomes {\"type\":\"text\",\"text\":TEXT}.

From a program, each line of standard input is one message, and each message of others is one \
line, with a line feed as \\u{a}. A line of more than 64 KiB is sent as several messages, cut \
between two characters. Bytes that are not UTF-8 are sent as U+FFFD, with a warning. The program \
leaves when the input has ended and everything is sent. It ends with status 1 if a line was not \
sent, was refused or may be lost, if the server does not let it join within 10 seconds, or if the \
server closes with a code other than 1000 and 1001.

A connection that is lost is opened again: after 0 to 5 seconds, then after increasing pauses up \
to two minutes, and not before the server's Retry-After (up to an hour). An HTTP response of 3xx \
or 4xx ends the attempts, except 408, 425 and 429. At a terminal, a server that does not answer the request \
to join is tried again, too. Lines that are entered meanwhile are queued, and sent on the new \
connection."
);
