//! The command line: commands, options, errors, help.

use super::settings::Settings;
use super::*;
use crate::tls::TrustSettings;

pub(crate) fn parse_line(line: &str) -> Result<Command, Stop> {
    parse(line.split_whitespace().map(OsString::from))
}

pub(crate) fn server(line: &str) -> Settings {
    match parse_line(line) {
        Ok(Command::Serve(settings)) => settings.settings,
        other => panic!("{line}: {other:?}"),
    }
}

pub(crate) fn error(line: &str) -> String {
    match parse_line(line) {
        Err(Stop::Usage(message)) => message,
        other => panic!("{line}: {other:?}"),
    }
}

fn help(line: &str) -> String {
    match parse_line(line) {
        Err(Stop::Help(text)) => text,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn description_of_the_command_line_is_consistent() {
    command().debug_assert();
}

#[test]
fn program_without_a_command_is_serve_with_every_default() {
    assert_eq!(parse_line(""), Ok(Command::Serve(ServeSettings::default())));
    assert_eq!(parse_line("serve"), parse_line(""));
    assert_eq!(
        parse_line("echo"),
        Ok(Command::Echo(EchoSettings::default()))
    );
}

#[test]
fn options_without_a_command_belong_to_serve() {
    let line = "--listen 127.0.0.1:0 --workers=3";
    assert_eq!(parse_line(line), parse_line(&format!("serve {line}")));
    let settings = server(line);
    assert_eq!(settings.listen, [([127, 0, 0, 1], 0).into()]);
    assert_eq!(settings.config.workers.get(), 3);
}

#[test]
fn option_that_is_given_twice_is_an_error_unless_it_may_be_repeated() {
    for line in [
        "serve --workers 1 --workers 2",
        "echo --ping-interval 1 --ping-interval=2",
        "chat ws://h/ --name A --name B",
        "bench echo ws://h/ --bytes 64 --bytes 65",
        "bench echo ws://h/ --json --json",
    ] {
        let error = error(line);
        assert!(
            error.contains("cannot be used multiple times (see"),
            "{error}"
        );
    }
    let listen = server("--listen :1 --listen [::1]:2,unix:/run/x").listen;
    assert_eq!(listen.len(), 3);
    let origins = server("--allow-origin null --allow-origin *").allow_origins;
    assert_eq!(origins.len(), 2);
    assert_eq!(server("--allow-origin null,*").allow_origins, origins);
}

#[test]
fn options_that_contradict_each_other_are_an_error() {
    for (line, one, other) in [
        ("bench echo ws://h/ --text --binary", "--text", "--binary"),
        (
            "bench echo ws://h/ --no-progress --progress",
            "--progress",
            "--no-progress",
        ),
        (
            "bench echo ws://h/ --window 3 --rate 3",
            "--window",
            "--rate",
        ),
    ] {
        let error = error(line);
        assert!(error.contains("cannot be used with"), "{error}");
        assert!(error.contains(one) && error.contains(other), "{error}");
    }
}

#[test]
fn chat_takes_one_url_and_a_name() {
    let chat = ChatSettings {
        trust: TrustSettings::default(),
        url: "ws://h/chat/a".into(),
        name: Some("Aki".into()),
        ..ChatSettings::default()
    };
    for line in [
        "chat ws://h/chat/a --name Aki",
        "chat --name=Aki ws://h/chat/a",
    ] {
        assert_eq!(parse_line(line), Ok(Command::Chat(chat.clone())));
    }
    assert!(error("chat ws://a ws://b").starts_with("unexpected argument 'ws://b' found"));
}

#[test]
fn chat_takes_fields_of_the_request_and_forms_of_output() {
    let chat = ChatSettings {
        url: "h:1/a".into(),
        listen_only: true,
        json: true,
        headers: vec![("X-A".into(), "b: c".into()), ("Y".into(), String::new())],
        origin: Some("https://h".into()),
        subprotocols: vec!["mqtt".into()],
        no_compress: true,
        ..ChatSettings::default()
    };
    let line = [
        "chat",
        "h:1/a",
        "--listen-only",
        "--json",
        "--header",
        "X-A: b: c",
        "--header=Y:",
        "--origin",
        "https://h",
        "--subprotocol",
        "mqtt",
        "--no-compress",
    ];
    let parsed = parse(line.map(std::ffi::OsString::from));
    assert_eq!(parsed, Ok(Command::Chat(chat)));
    assert!(error("chat h --header X").contains("expected NAME:VALUE"));
}

#[test]
fn help_is_about_the_command_that_was_named() {
    for (line, about) in [
        ("--help", "yamabiko: a WebSocket broadcast server"),
        ("-h", "yamabiko: a WebSocket broadcast server"),
        ("help", "yamabiko: a WebSocket broadcast server"),
        ("serve -h", "yamabiko serve: the chat server"),
        ("help serve", "yamabiko serve: the chat server"),
        ("echo --workers 2 --help", "yamabiko echo: a server that"),
        ("help echo", "yamabiko echo: a server that"),
        ("chat --help", "yamabiko chat: a terminal client"),
        ("help chat", "yamabiko chat: a terminal client"),
        ("bench --help", "yamabiko bench: load on any"),
        ("bench fan-out -h", "yamabiko bench: load on any"),
        ("help bench", "yamabiko bench: load on any"),
        ("conform -h", "yamabiko conform: a conformance suite"),
        ("help conform", "yamabiko conform: a conformance suite"),
        ("config -h", "yamabiko config: the settings of serve"),
        ("completions -h", "yamabiko completions: "),
        ("man -h", "yamabiko man: "),
    ] {
        assert!(help(line).starts_with(about), "{line}: {}", help(line));
    }
}

#[test]
fn every_command_in_the_help_is_described_in_the_same_form() {
    let text = help("--help");
    let (_, commands) = text.split_once("Commands:\n").expect("a list");
    let (commands, _) = commands.split_once("\n\n").expect("an end");
    for line in commands.lines() {
        let about = line.trim().split_once("  ").expect("a description").1;
        assert!(about.trim().starts_with(char::is_lowercase), "{line}");
    }
    assert!(commands.contains("  help         this text, or the help of a command"));
}

#[test]
fn version_is_asked_for_anywhere() {
    for line in [
        "--version",
        "-V",
        "serve --version",
        "echo -V",
        "chat -V",
        "bench -V",
        "conform -V",
    ] {
        assert_eq!(parse_line(line), Err(Stop::Version), "{line}");
    }
}

#[test]
fn every_line_of_the_help_fits_a_terminal_and_the_text_ends_in_a_line_break() {
    for name in [
        "",
        "serve",
        "config",
        "echo",
        "chat",
        "bench",
        "conform",
        "completions",
        "man",
    ] {
        for flag in ["-h", "--help"] {
            let text = help(format!("{name} {flag}").trim());
            assert!(text.ends_with('\n'));
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }
}

#[test]
fn every_option_has_a_help_text() {
    for command in command().get_subcommands() {
        for argument in command.get_arguments() {
            let text = argument.get_help().map(ToString::to_string);
            let name = argument.get_id();
            assert!(text.is_some_and(|text| !text.is_empty()), "{name}");
        }
    }
}

#[test]
fn error_names_the_argument_and_the_help_that_explains_it() {
    for (line, expected) in [
        (
            "sing",
            "unrecognized subcommand 'sing' (see 'yamabiko --help')",
        ),
        (
            "serv",
            "unrecognized subcommand 'serv'; a similar subcommand exists: 'serve' (see 'yamabiko --help')",
        ),
        (
            "help sing",
            "unrecognized subcommand 'sing' (see 'yamabiko --help')",
        ),
        (
            "--sing",
            "unexpected argument '--sing' found (see 'yamabiko serve --help')",
        ),
        (
            "echo --sing=1",
            "unexpected argument '--sing' found (see 'yamabiko echo --help')",
        ),
        (
            "echo -x",
            "unexpected argument '-x' found (see 'yamabiko echo --help')",
        ),
        (
            "serve 8080",
            "unexpected argument '8080' found (see 'yamabiko serve --help')",
        ),
        (
            "serve --listen",
            "a value is required for '--listen <ADDRESS>' but none was supplied (see 'yamabiko serve --help')",
        ),
        (
            "--workers 0",
            "--workers '0': expected a whole number from 1 to 1024 (see 'yamabiko serve --help')",
        ),
        (
            "--lag-action wait",
            "--lag-action 'wait': expected disconnect, skip or latest (see 'yamabiko serve --help')",
        ),
        (
            "completions sh",
            "SHELL 'sh': expected bash, elvish, fish, powershell or zsh (see 'yamabiko completions --help')",
        ),
    ] {
        assert_eq!(error(line), expected, "{line}");
    }
}

#[test]
fn error_about_a_missing_argument_has_an_example() {
    let url = "yamabiko chat ws://127.0.0.1:8080/chat/lobby";
    let load = "yamabiko bench fan-out ws://127.0.0.1:8080/broadcast/bench";
    for (line, missing, example) in [
        ("chat", "<URL>", url),
        ("chat --name Aki", "<URL>", url),
        ("bench", "<SCENARIO> <URL>", load),
        ("bench echo", "<URL>", load),
        ("completions", "<SHELL>", "yamabiko completions bash"),
        ("man", "<DIR>", "yamabiko man ./man1"),
    ] {
        let command = line.split(' ').next().expect("a command");
        let expected =
            format!("missing {missing}, as in '{example}' (see 'yamabiko {command} --help')");
        assert_eq!(error(line), expected);
        assert!(parse_line(&example.replacen("yamabiko ", "", 1)).is_ok());
    }
}

#[test]
fn tip_for_an_unknown_option_names_an_option_that_exists() {
    let help = "(see 'yamabiko chat --help')";
    for (line, expected) in [
        (
            "chat ws://h/ --bad",
            format!("unexpected argument '--bad' found {help}"),
        ),
        (
            "chat --bad",
            format!("unexpected argument '--bad' found {help}"),
        ),
        (
            "chat --nam Aki ws://h/",
            format!(
                "unexpected argument '--nam' found; a similar argument exists: '--name' {help}"
            ),
        ),
    ] {
        assert_eq!(error(line), expected);
    }
}

#[test]
fn completions_offer_the_options_of_serve_without_a_command() {
    let command = completed_command();
    let serve = command.find_subcommand("serve").expect("a command");
    for option in serve.get_arguments() {
        let same = |other: &clap::Arg| other.get_long() == option.get_long();
        assert!(command.get_arguments().any(same), "{:?}", option.get_long());
    }
    command.debug_assert();
}

#[test]
fn value_out_of_range_is_refused() {
    for line in [
        "--listen 8080",
        "--listen example.org:8080",
        "--listen --workers",
        "--workers -1",
        "--workers two",
        "--message-bytes-max 1KB",
        "--message-bytes-max 0KiB",
        "--message-bytes-max 18446744073709551615KiB",
        "--ping-interval 0.0",
        "--pong-timeout 0",
        "--ping-interval -1",
        "--ping-interval nan",
        "--ping-interval inf",
        "--ping-interval 86400.1",
        "--compress-level 0",
        "--compress-level 10",
        "--compress-takeover 7",
        "--compress-takeover 16",
        "--allow-origin example.org",
        "--allow-origin https://example.org/",
        "--allow-origin https://",
        "--allow-host a:80",
        "--proxy 10.0.0.1/8",
        "--proxy localhost",
        "--proxy-fields x",
        "--allow-host *.",
        "--broadcast closed",
        "--token-leeway -1",
    ] {
        let (option, value) = line.split_once(' ').expect("option and value");
        let start = format!("{option} '{value}': ");
        assert!(error(line).starts_with(&start), "{line}: {}", error(line));
    }
}

#[cfg(unix)]
#[test]
fn argument_that_is_not_utf_8_is_an_error_that_names_its_option() {
    use std::os::unix::ffi::OsStringExt;
    let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let name_of_user = vec![
        "chat".into(),
        "ws://h/".into(),
        "--name".into(),
        bytes(b"\xff"),
    ];
    for (arguments, name) in [
        (vec!["chat".into(), bytes(b"\xff")], "argument"),
        (vec!["--listen".into(), bytes(b"\xff")], "--listen"),
        (vec![bytes(b"--listen=\xff")], "--listen"),
        (name_of_user, "--name"),
    ] {
        let Err(Stop::Usage(message)) = parse(arguments) else {
            panic!("{name}: a usage error");
        };
        let expected = format!("{name} '\u{fffd}': expected UTF-8 (see 'yamabiko ");
        assert!(message.starts_with(&expected), "{message}");
    }
    assert!(matches!(parse([bytes(b"\xff")]), Err(Stop::Usage(_))));
}

#[test]
fn option_of_a_server_or_of_the_chat_has_an_environment_variable() {
    let command = command();
    for name in ["serve", "echo", "chat"] {
        let found = command.find_subcommand(name).expect(name);
        for option in found.get_arguments().filter(|found| !found.is_positional()) {
            let long = option.get_long().expect("a long name");
            let variable = option.get_env().expect(long).to_str().expect("ASCII");
            assert_eq!(variable, environment::variable(long));
        }
    }
    assert_eq!(
        environment::variable("ping-interval"),
        "YAMABIKO_PING_INTERVAL"
    );
}
