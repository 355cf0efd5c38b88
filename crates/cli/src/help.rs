//! The help texts: every flag with its unit and its default.

use super::arguments::Topic;
use super::bench;

/// The text of a topic, ending in a line break.
pub(super) fn text(topic: Topic) -> String {
    match topic {
        Topic::Yamabiko => YAMABIKO.to_owned(),
        Topic::Serve => format!("{SERVE}{}", server_flags("1MiB", "1MiB", SAME_HOST)),
        Topic::Echo => format!("{ECHO}{}", server_flags("16MiB", "64MiB", ANY_ON_LOOPBACK)),
        Topic::Chat => CHAT.to_owned(),
        Topic::Bench => bench::HELP.to_owned(),
    }
}

const YAMABIKO: &str = "\
yamabiko: WebSocket (RFC 6455), said once and heard by many

Usage: yamabiko [COMMAND] [FLAGS]

Commands:
  serve       the chat server and its page; the default
  echo        a server that sends every message back, for tests and load
  chat URL    a terminal client of the chat
  bench SCENARIO URL
              load on any WebSocket server, measured
  help [COMMAND]

Flags:
  -h, --help      this text; after a command, the flags of that command
  -V, --version   name and version

Examples:
  yamabiko                          serve on http://127.0.0.1:8080/
  yamabiko --listen 0.0.0.0:80 --allow-origin https://example.org
  yamabiko chat ws://127.0.0.1:8080/chat/lobby --name Aki
  yamabiko help serve

Exit status: 0 done; 1 it could not be done; 2 usage error;
130 ended at once by a second signal.
";

const SERVE: &str = "\
yamabiko serve: the chat server and its page

Usage: yamabiko [serve] [FLAGS]

Prints one line with its address when it is ready. Ctrl-C (SIGINT), SIGTERM or
SIGHUP (a terminal that closes; not under nohup) closes every connection with
1001 and ends with status 0 when all are gone, at the latest after
--drain-timeout; a second SIGINT or SIGTERM ends it at once with 130.

Flags (default in brackets; each may be given once, except --allow-origin):
  --listen IP:PORT          where to listen; port 0: any free [127.0.0.1:8080]
";

const ECHO: &str = "\
yamabiko echo: a server that sends every message back

Usage: yamabiko echo [FLAGS]

For conformance suites and load tests. Prints one line with its address when it
is ready; ends by signals as 'yamabiko serve' does.

Flags (default in brackets; each may be given once, except --allow-origin):
  --listen IP:PORT          where to listen; port 0: any free [127.0.0.1:9001]
";

const SAME_HOST: &str = "pages of the same host";
const ANY_ON_LOOPBACK: &str = "any page on a loopback address, otherwise
                            pages of the same host";

/// The flags of both servers, which differ in three defaults.
fn server_flags(message_bytes_max: &str, backlog_bytes_max: &str, origins: &str) -> String {
    format!(
        "  \
  --workers N               threads, each with its own event loop [one per core]
  --message-bytes-max N     longest message; a longer one closes
                            its connection with 1009 [{message_bytes_max}]
  --backlog-bytes-max N     how many bytes one client may be behind, in a room
                            and in what is for it alone [{backlog_bytes_max}]
  --slow-messages-max N     how many messages of a room one client may be behind
                            [no bound]
  --worker-backlog-bytes-max N
                            how many bytes of messages may be on the way from
                            one worker to another before publishers wait [1MiB]
  --slow-age-max S          how long a message may wait for a slow reader;
                            0: no bound [30]
  --slow-readers POLICY     beyond these bounds: disconnect (with 1013), skip
                            (to the newest, the gap is told), or latest (only
                            the newest is kept for those behind) [disconnect]
  --gather-delay S          seconds for which messages gather before they are
                            written, for fewer writes; 0: none [0]
  --connections-max N       maximum open connections; further ones get 503
                            [65536]
  --handshake-timeout S     seconds for the whole opening handshake [10]
  --ping-interval S         seconds of silence before a ping; 0: no pings [25]
  --pong-timeout S          seconds to wait for an answer to a ping [20]
  --close-timeout S         seconds for the closing handshake [5]
  --drain-timeout S         seconds for all connections to end at shutdown [5]
  --no-compress             no compression: by default it is there for clients
                            that offer it (permessage-deflate, RFC 7692)
  --compress-level N        from 1, the fastest, to 9, the smallest result [2]
  --compress-threshold N    bytes from which on a message is compressed [64]
  --compress-takeover BITS  let clients refer back to their earlier messages:
                            they send less, and each costs 2^BITS bytes of
                            memory, 32 KiB if it cannot be told less; 8 to 15
                            [not at all]
  --allow-origin ORIGIN     also let pages of this origin connect, such as
                            https://example.org, or of all subdomains, as in
                            'https://*.example.org'; '*': any page; may be
                            repeated; clients that are not browsers send no
                            origin and may always connect
                            [{origins}]
  -h, --help                this text
  -V, --version             name and version

Bytes may be written as 65536, 64KiB or 1MiB; seconds with decimals: 0.25.
"
    )
}

const CHAT: &str = "\
yamabiko chat: a terminal client of the chat

Usage: yamabiko chat URL [--name NAME]

URL is ws://HOST:PORT/chat/ROOM, or ws://HOST:PORT/broadcast/ROOM for a room of
plain lines. What the others say is printed; Ctrl-C leaves with Close 1000.

At a terminal, what others say appears above the line that is being typed. Enter
sends it; a paste of several lines is one message, and Alt-Enter begins a line.
The arrows, Home, End, Ctrl-A, -E, -U, -K, -W and -Y edit, arrow up and down go
through what was entered before, and Ctrl-Z suspends. What begins with a slash
is a command, which never goes to the room:
  /help                     lists the commands
  /who                      the names of those in the room
  /quit                     leaves, as Ctrl-D does
  //TEXT                    says a text that begins with one slash

From a program, each line of standard input is one message as it is, and what
the others say is one line for each message, with a line feed as \\u{a}. A line
of more than 64 KiB is sent as several messages, cut between two characters;
bytes that are not UTF-8 are sent as U+FFFD, with a warning. The chat leaves
when the input has ended and all is sent. It ends with status 1 if a line was
not sent, was refused or may be lost, or if the server closes with a code other
than 1000 and 1001.

A connection that is lost is opened again: after 0 to 5 seconds, then after
longer and longer pauses up to two minutes, and not before the server's
Retry-After (up to an hour). An HTTP answer of 3xx or 4xx ends the attempts,
except 408, 425 and 429. What is entered meanwhile is queued, and sent then.

Flags (default in brackets):
  --name NAME               the name to be known by [guest and a number]
  -h, --help                this text
  -V, --version             name and version
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_fits_a_terminal_and_the_text_ends_in_a_line_break() {
        for topic in [
            Topic::Yamabiko,
            Topic::Serve,
            Topic::Echo,
            Topic::Chat,
            Topic::Bench,
        ] {
            let text = text(topic);
            assert!(text.ends_with('\n'));
            for line in text.lines() {
                assert!(line.len() <= 80, "{line}");
                assert_eq!(line.trim_end(), line);
            }
        }
    }

    #[test]
    fn both_servers_document_every_flag() {
        for flag in [
            "--listen",
            "--workers",
            "--message-bytes-max",
            "--backlog-bytes-max",
            "--worker-backlog-bytes-max",
            "--connections-max",
            "--handshake-timeout",
            "--ping-interval",
            "--pong-timeout",
            "--close-timeout",
            "--drain-timeout",
            "--no-compress",
            "--compress-level",
            "--compress-threshold",
            "--compress-takeover",
            "--allow-origin",
            "--help",
            "--version",
        ] {
            for topic in [Topic::Serve, Topic::Echo] {
                assert!(text(topic).contains(&format!("{flag} ")), "{flag}");
            }
        }
    }
}
