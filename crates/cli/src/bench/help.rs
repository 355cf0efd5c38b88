//! The help text of `bench`.

/// Every flag, with its unit and default.
pub(crate) const HELP: &str = "\
yamabiko bench: load on any WebSocket server, measured and checked

Usage: yamabiko bench SCENARIO ws://HOST[:PORT]/PATH [FLAGS]

Scenarios:
  fan-out    what one member says, all hear: a server that broadcasts
  slow       as fan-out, and a share of the members stops reading
  echo       what a connection says, it alone hears: a server that echoes
  idle       connections that say nothing

Every message carries its publisher, its number and its time in 40 bytes, as
text. Every number is checked at every member: what is lost, doubled,
out of order or changed makes the exit status 1. Latencies are from sending to
receiving, of every delivery; nothing is sampled. Messages of others in the same
room are not counted.

Load (default in brackets):
  --connections N           members [100; idle: 1000]
  --publishers N            the first so many members publish [10]
  --bytes N                 bytes of a message, 40 to 16MiB [64]
  --window N                closed loop: a publisher has so many messages on
                            their way, and sends the next when it hears its own
                            [64]
  --rate R                  open loop: so many messages a second, of all
                            publishers together; latency counts from when a
                            message was due, however late it was sent
  --payload KIND            letters, or json: a document of that size, with the
                            head in it, to be compressed [letters; json has
                            1024 bytes]
  --text, --binary          the kind of the messages [text]
  --no-echo                 publishers do not hear themselves: in closed loop
                            they go by what another member hears
  --slow-percent P          slow: members that stop reading when the measuring
                            begins, 1 to 99; their kernel reads on for 64 KiB
                            [10]
  --duration S              seconds that are measured [10]
  --warm-up S               seconds of load before that; 0: none [2]
  --drain S                 at the end, seconds of silence until what has not
                            come counts as lost [5]
  --threads N               threads, each with its share of the members [1]

Opening:
  --connect-rate R          connections a second [as fast as it goes]
  --opening-at-once N       connections between SYN and 101; 1 is what RFC 6455
                            asks of clients [32]
  --open-timeout S          seconds for TCP and handshake of each [10]
  --settle S                seconds between the last one and the load [0.2]
  --source-addresses N|IPS  connect from so many addresses in turn, from
                            127.0.0.2 on, or from these, with commas between:
                            each has some 28,000 ports
  --header 'NAME: VALUE'    a field of the request; may be repeated
  --origin ORIGIN           its Origin
  --subprotocol NAME        a subprotocol to offer; may be repeated
  --hello TEXT              a message that each connection sends when it is
                            open, to log in or to subscribe

  --compress                offer permessage-deflate (RFC 7692) without context
                            takeover: what comes may be compressed, and what is
                            sent is not; a server that declines is an error

Output:
  --pid PID                 the server's process on this machine: its CPU time
                            and resident memory (Linux)
  --json                    the report as JSON
  --progress, --no-progress one line on standard error [if it is a terminal]
  -h, --help                this text
  -V, --version             name and version

Bytes may be written as 65536, 64KiB or 1MiB; seconds with decimals: 0.25.
Ctrl-C ends the measuring and prints what there is. Exit status: 0 all was well;
1 the server failed, or there was none; 2 usage error.

Examples:
  yamabiko bench fan-out ws://127.0.0.1:8080/broadcast/bench --connections 1000
  yamabiko bench echo ws://127.0.0.1:9001/ --rate 5000 --connections 50
  yamabiko bench idle ws://127.0.0.1:8080/broadcast/bench --connections 10000 \\
      --pid $(pgrep -x yamabiko)
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Command, parse};

    /// A value that each flag takes; an empty one where it takes none.
    const FLAGS: [(&str, &str); 29] = [
        ("--connections", "20"),
        ("--publishers", "1"),
        ("--bytes", "64"),
        ("--window", "1"),
        ("--rate", "1"),
        ("--payload", "json"),
        ("--compress", ""),
        ("--text", ""),
        ("--binary", ""),
        ("--no-echo", ""),
        ("--slow-percent", "10"),
        ("--duration", "1"),
        ("--warm-up", "0"),
        ("--drain", "1"),
        ("--threads", "1"),
        ("--connect-rate", "1"),
        ("--opening-at-once", "1"),
        ("--open-timeout", "1"),
        ("--settle", "0"),
        ("--source-addresses", "2"),
        ("--header", "a:b"),
        ("--origin", "https://a.example"),
        ("--subprotocol", "a"),
        ("--hello", "a"),
        ("--pid", "1"),
        ("--json", ""),
        ("--progress", ""),
        ("--no-progress", ""),
        ("--help", ""),
    ];

    #[test]
    fn every_flag_that_the_help_names_is_known_and_every_known_flag_is_named() {
        for (flag, value) in FLAGS {
            let words = ["bench", "slow", "ws://h/", flag, value];
            let words = words.into_iter().filter(|word| !word.is_empty());
            parse(words.map(Into::into)).expect(flag);
            assert!(HELP.contains(flag), "{flag}");
        }
        let named = HELP
            .split([' ', ',', '\n'])
            .filter(|word| word.starts_with("--"));
        for word in named.filter(|word| *word != "--version") {
            assert!(FLAGS.iter().any(|(flag, _)| *flag == word), "{word}");
        }
    }

    #[test]
    fn the_defaults_are_those_that_the_help_states() {
        let words = ["bench", "slow", "ws://h/"].map(Into::into);
        let Ok(Command::Bench(options)) = parse(words) else {
            panic!("a plan");
        };
        let plan = options.plan;
        let seconds = |time: std::time::Duration| time.as_secs_f64().to_string();
        for (flag, default) in [
            ("--connections", "100; idle: 1000".to_owned()),
            ("--publishers", plan.publishers().to_string()),
            ("--bytes", plan.message_bytes().to_string()),
            ("--window", "64".to_owned()),
            ("--slow-percent", plan.slow_members().to_string()),
            ("--duration", seconds(plan.duration())),
            ("--warm-up", seconds(plan.warm_up())),
            ("--drain", seconds(plan.drain())),
            ("--threads", plan.threads().to_string()),
            ("--opening-at-once", plan.opening_at_once().to_string()),
            ("--open-timeout", seconds(plan.open_timeout())),
            ("--settle", seconds(plan.settle())),
        ] {
            let paragraph = HELP
                .split("\n  --")
                .find(|part| part.starts_with(&flag[2..]));
            let paragraph = paragraph.expect(flag);
            assert!(
                paragraph.contains(&format!("[{default}]")),
                "{flag}: {default}"
            );
        }
    }
}
