//! The table of the settings of `serve` and `echo`.
//!
//! [`table`] has one row for each setting. From it come the options and their help, the environment variables, the keys of
//! the settings file, and what `yamabiko config` prints; `docs/limits.md` is compared with it. A new setting is one row, and
//! a field of [`Settings`] if the server's configuration has none.

use std::fmt;

use clap::{ArgMatches, Args, Command, FromArgMatches};
use yamabiko::chat::Access;
use yamabiko::server::{ForwardedFields, LagAction, RateAction};

#[cfg(feature = "data")]
use super::data::Durability;
use super::setting::{Setting, choice, list, optional, or_zero, switch, value};
use super::settings::{EchoSettings, Settings};
use super::values::{
    ADDRESS, APP, BASE_PATH, BITS, BYTES, FILE, HOST, LEVEL, MODE, NAME, NETWORK, ORIGIN, OWNER,
    PROXY, RATE, SECONDS, SECONDS_OR_ZERO, SMALL_BYTES, WORKERS, count,
};
use crate::logging::{Format, LevelFilter};

/// All settings, in the order of the help.
pub(super) fn table() -> Vec<Setting> {
    let mut table = Vec::new();
    for (heading, settings) in [
        (None, at_restart(listening())),
        (None, certificates()),
        (None, at_restart(threads())),
        (Some("Limits"), limits()),
        (Some("History"), history()),
        #[cfg(feature = "data")]
        (Some("History"), at_restart(data())),
        (Some("HTTP"), http()),
        (Some("Times"), times()),
        (Some("Rates of each client"), rates()),
        (Some("Slow clients"), slow_clients()),
        (Some("Compression"), at_restart(compression())),
        (Some("Who may connect"), who_may_connect()),
        (Some("Who may connect"), who_may_do_what()),
        (Some("Log"), at_restart(log())),
        (Some("Monitoring"), at_restart(monitoring())),
        (Some("Trace"), at_restart(trace())),
        #[cfg(feature = "cluster")]
        (Some("Cluster"), at_restart(cluster())),
        (Some("Pusher"), at_restart(pusher())),
        (Some("Playground"), at_restart(playground())),
    ] {
        table.extend(settings.into_iter().map(|row| row.under(heading)));
    }
    table
}

/// Settings that a running server keeps.
fn at_restart(settings: Vec<Setting>) -> Vec<Setting> {
    let settings = settings.into_iter();
    settings.map(Setting::needs_restart).collect()
}

fn listening() -> Vec<Setting> {
    vec![
        list("listen", ADDRESS, |s| &mut s.listen)
            .help("Address to listen on; ':8080' is all IPv4 addresses; may be repeated")
            .details(
                "IP:PORT, localhost:PORT, :PORT (all IPv4 addresses), [::]:PORT (all addresses), \
                 each also with https:// or http:// in front, or unix:PATH. Port 0 takes any free \
                 port. Several are separated by commas.",
            ),
        optional("unix-mode", MODE, |s| &mut s.unix_mode)
            .help("Mode of the files of Unix sockets: a client needs the permission to write"),
        optional("unix-owner", OWNER, |s| &mut s.unix_owner)
            .help("Owner of the files of Unix sockets: USER, USER:GROUP or :GROUP"),
    ]
}

fn certificates() -> Vec<Setting> {
    vec![
        list("tls-cert", FILE, |s| &mut s.tls_certs)
            .help("File with the server's certificate, for https and wss; may be repeated")
            .details(
                "PEM: the certificate of the server, then the intermediate ones. With it each \
                 --listen IP:PORT speaks TLS; http://IP:PORT does not. Of several, a client gets \
                 the one for the name that it asks for.",
            ),
        list("tls-key", FILE, |s| &mut s.tls_keys)
            .help("File with the key of the certificate, in PEM; one for each --tls-cert")
            .details("Without it, the file of the certificate has the key, too."),
    ]
}

fn threads() -> Vec<Setting> {
    vec![
        optional("takeover", FILE, |s| &mut s.restarts.takeover)
            .help("Unix socket by which a server takes over from the one that runs (Linux)")
            .details(
                "The new server gets the listening sockets of the old one, which then closes its \
                 connections with 1012 over --drain and ends. No connection is refused.",
            ),
        value("workers", WORKERS, |s| &mut s.config.workers)
            .help("Threads, each with its own event loop")
            .by_default("one for each core"),
    ]
}

fn limits() -> Vec<Setting> {
    vec![
        value("connections-max", count(), |s| &mut s.config.connections_max)
            .needs_restart()
            .help("Maximum open connections; further ones get 503")
            .reason("descriptors; about 350 bytes each, besides the kernel's"),
        optional("connections-per-address", count(), |s| &mut s.config.connections_per_address)
        .needs_restart()
            .help("Open connections of one address, or of one /64 of IPv6; further ones get 503")
        .reason("all clients behind one proxy have one address"),
        optional("connections-per-second", count(), |s| &mut s.config.connections_per_second)
        .needs_restart()
            .help("New connections per second; further ones get 503")
        .reason("after a restart all clients come back at once"),
        optional("rooms-max", count(), |s| &mut s.config.rooms.rooms_max)
            .needs_restart()
            .help("Rooms with a member; a client that would open another one is closed with 1013")
            .reason("a room costs about 300 bytes")
            .only_serve(),
        optional("room-members-max", count(), |s| &mut s.config.rooms.members_max)
            .needs_restart()
            .help("Members of one room; a further one is closed with 1013")
            .reason("each message of a room is written to all of them")
            .only_serve(),
        value("rooms-per-connection", count(), |s| &mut s.config.rooms.of_connection_max)
            .needs_restart()
            .help("Rooms of one connection; with another one it is closed with 1008")
            .reason("each costs about 40 bytes")
            .only_serve(),
        value("message-bytes-max", BYTES, |s| &mut s.config.limits.message_bytes_max)
            .help("Longest message; a longer one closes its connection with 1009")
            .reason("a thousand clients with a message of this length are 1 GiB"),
        or_zero("memory-bytes-max", BYTES, |s| &mut s.config.memory_bytes_max)
            .help("Memory for what clients make the server hold; beyond it the largest end with 1013; 0: no budget")
            .reason("the sum of the other limits has no limit"),
        value("inflate-ratio-max", count(), |s| &mut s.config.limits.inflate_ratio_max)
            .help("Bytes that each byte of a compressed message may become; 1032: no limit")
            .reason("text and JSON reach 5 to 50, DEFLATE 1,032"),
        optional("unsent-bytes-max", SMALL_BYTES, |s| &mut s.config.unsent_bytes_max)
            .needs_restart()
            .help("Bytes that the kernel keeps unsent for one client (Linux)")
            .details(
                "Beyond that they wait in the server, where the limits for slow clients count them. \
                 Without this option the kernel keeps up to some MiB.",
            ),
        value("worker-backlog-bytes-max", BYTES, |s| &mut s.config.worker_backlog_bytes_max)
        .needs_restart()
            .help("Bytes in flight to one worker; above it no worker reads from its clients")
        .reason("the delay between two workers")
        .only_serve(),
    ]
}

fn history() -> Vec<Setting> {
    vec![
        or_zero("chat-messages-per-second", count(), |s| &mut s.access.messages_per_second)
            .help("Messages of a person to a room of the chat per second, ten seconds' worth at once; 0: no limit")
            .reason("nobody types faster, and a flood fills the history")
            .needs_restart()
            .only_serve(),
        or_zero("history-messages", count(), |s| &mut s.history.messages)
            .help("Messages that a room of the chat keeps for members that come later or come back; 0: none")
            .reason("as many as the page shows")
            .needs_restart()
            .only_serve(),
        value("history-bytes", BYTES, |s| &mut s.history.bytes)
            .help("Bytes of the messages that a room keeps")
            .reason("a member that comes back gets at most so many at once")
            .needs_restart()
            .only_serve(),
        or_zero("history-age-max", SECONDS, |s| &mut s.history.age)
            .help("Seconds for which a room keeps a message; 0: no limit")
            .reason("people who come back on the next day")
            .needs_restart()
            .only_serve(),
        value("history-rooms", count(), |s| &mut s.history.rooms)
            .help("Rooms without members that are kept; beyond it the one is forgotten that has been unused for longest")
            .reason("each takes up to 12 KiB for each worker")
            .needs_restart()
            .only_serve(),
        value("history-memory", BYTES, |s| &mut s.history.bytes_of_all)
            .help("Bytes of the messages that all rooms keep; beyond it the room loses its own that was published to longest ago")
            .reason("anybody can open rooms; each worker has a copy")
            .needs_restart()
            .only_serve(),
    ]
}

fn http() -> Vec<Setting> {
    vec![
        value("http-body-bytes-max", BYTES, |s| {
            &mut s.config.http.body_bytes_max
        })
        .help("Longest body of an HTTP request; a longer one gets 413")
        .reason("as for a WebSocket message"),
        value("http-chunk-framing-bytes-max", BYTES, |s| {
            &mut s.config.http.chunk_framing_bytes_max
        })
        .help("Bytes of an HTTP body for the sizes of its chunks; more get 413")
        .reason(
            "sizes, extensions and trailers of a chunked body, which may be many times its content",
        ),
        value("http-body-timeout", SECONDS, |s| {
            &mut s.config.http.body_timeout
        })
        .help("Seconds for the body of an HTTP request"),
        value("http-idle-timeout", SECONDS, |s| {
            &mut s.config.http.idle_timeout
        })
        .help("Seconds until the next HTTP request of a connection begins"),
        value("http-requests-max", count(), |s| {
            &mut s.config.http.requests_max
        })
        .help("HTTP requests on one connection"),
        optional("http-requests-per-second", count(), |s| {
            &mut s.config.http.requests_per_second
        })
        .help("HTTP requests on one connection per second; one more gets 429 and ends it")
        .reason("a page loads all its files at once"),
        value("http-pipelined-requests-max", count(), |s| {
            &mut s.config.http.pipelined_requests_max
        })
        .help("HTTP requests that are answered before the client takes the responses"),
    ]
}

fn times() -> Vec<Setting> {
    vec![
        value("handshake-timeout", SECONDS, |s| &mut s.config.handshake_timeout)
            .help("Seconds for the whole opening handshake")
            .reason("in all, so that no client keeps a connection by sending slowly"),
        or_zero("ping-interval", SECONDS, |s| &mut s.config.ping_interval)
            .help("Seconds of silence before a ping; 0: no pings")
            .reason("below the 30 and 60 s after which proxies drop a connection"),
        value("pong-timeout", SECONDS, |s| &mut s.config.pong_timeout)
            .help("Seconds to wait for an answer to a ping"),
        or_zero("message-timeout", SECONDS, |s| &mut s.config.message_timeout)
            .help("Seconds for one message, and again for each part at the least rate; 0: any time"),
        value("message-rate-min", RATE, |s| &mut s.config.message_bytes_per_second_min)
            .help("Bytes per second at which an unfinished message must come; 0: no rate extends its time")
            .reason("a quarter of the slowest mobile link"),
        value("close-timeout", SECONDS, |s| &mut s.config.close_timeout)
            .help("Seconds for the closing handshake of a connection"),
        value("drain", SECONDS_OR_ZERO, |s| &mut s.restarts.drain)
            .needs_restart()
            .help("Seconds over which SIGTERM closes the connections, at random times; 0: all at once"),
        value("drain-timeout", SECONDS, |s| &mut s.config.drain_timeout)
            .help("Seconds for the end of all connections at shutdown, after --drain"),
        or_zero("write-stall-timeout", SECONDS, |s| &mut s.config.write_stall_timeout)
            .needs_restart()
            .help("Seconds in which a client acknowledges nothing that waits for it (Linux); 0: any time")
            .reason("a client that is gone, or does not read, is found without pings, too"),
        optional("connection-lifetime-max", SECONDS, |s| &mut s.config.connection_lifetime_max)
            .help("Seconds that a connection may stay open; then it is closed with 1001")
            .reason("connections move to new servers behind the same address"),
        value("batch-delay", SECONDS_OR_ZERO, |s| &mut s.config.batch_delay)
            .help("Seconds to collect messages before they are written together; 0: none")
            .only_serve(),
    ]
}

fn rates() -> Vec<Setting> {
    vec![
        optional("messages-per-second", count(), |s| {
            &mut s.config.rates.messages
        })
        .help("Messages that one client may send per second")
        .reason("a chat needs 1, a game 60"),
        optional("bytes-per-second", SMALL_BYTES, |s| {
            &mut s.config.rates.bytes
        })
        .help("Bytes that one client may send per second"),
        optional("inflated-bytes-per-second", SMALL_BYTES, |s| {
            &mut s.config.rates.inflated_bytes
        })
        .help("Bytes per second of one client's compressed messages, after they are inflated")
        .reason("a compressed byte can be 256 for each receiver"),
        optional("control-frames-per-second", count(), |s| {
            &mut s.config.rates.control_frames
        })
        .help("Pings and pongs that one client may send per second")
        .reason("each ping is answered"),
        optional("joins-per-second", count(), |s| &mut s.config.rates.joins)
            .help("Rooms that one client may join per second")
            .reason("a join costs more than a message, also one that is refused")
            .only_serve(),
        value("rate-burst", SECONDS, |s| &mut s.config.rates.burst)
            .help("Seconds' worth of its rate that a client may send at once"),
        choice("rate-action", "ACTION", &RATE_ACTIONS, |s| {
            &mut s.config.rates.action
        })
        .help("Action for a client that exceeds a rate"),
    ]
}

fn slow_clients() -> Vec<Setting> {
    vec![
        value("backlog-bytes-max", BYTES, |s| {
            &mut s.config.backlog_bytes_max
        })
        .help(
            "Limit for the waiting messages of a room, and again for the client's own write queue",
        )
        .reason("memory that one slow client can hold"),
        optional("lag-messages-max", count(), |s| {
            &mut s.config.lag_policy.messages_max
        })
        .help("Messages of a room that may wait for one client")
        .only_serve(),
        or_zero("lag-age-max", SECONDS, |s| &mut s.config.lag_policy.age_max)
            .help("Seconds that a message may wait for one client; 0: no limit")
            .reason("older chat messages are better asked for again")
            .only_serve(),
        value("publisher-wait-max", SECONDS_OR_ZERO, |s| {
            &mut s.config.lag_policy.publisher_wait_max
        })
        .help(
            "Seconds that clients wait that publish to a room in which a client is behind; 0: none",
        )
        .details(
            "The server does not read them until that client has caught up to a quarter of these \
             limits. The time is a supply for each client in each room: what it has used comes back \
             in four times as long, so that the others wait for it for at most a fifth of the time.",
        )
        .reason("nobody is closed because another client publishes faster")
        .only_serve(),
        value("publisher-wait-rate-min", RATE, |s| {
            &mut s.config.lag_policy.publisher_wait_rate_min
        })
        .help("Bytes per second that give a client this time back which it takes meanwhile; 0: none do")
        .reason("one client makes a room no slower than that")
        .only_serve(),
        choice("lag-action", "ACTION", &LAG_ACTIONS, |s| {
            &mut s.config.lag_policy.action
        })
        .help("Action for a client that is too slow for a room")
        .only_serve(),
    ]
}

fn compression() -> Vec<Setting> {
    vec![
        switch("no-compress", |s| &mut s.no_compress)
            .help("Compress nothing")
            .details(
                "Without it the server compresses messages for clients that offer \
                 permessage-deflate (RFC 7692).",
            ),
        value("compress-level", LEVEL, |s| &mut s.compression.level)
            .help("Level of compression, from 1 (fastest) to 9 (smallest result)"),
        value("compress-threshold", BYTES, |s| &mut s.compression.threshold_bytes)
            .help("Shortest message that is compressed"),
        optional("compress-takeover", BITS, |s| &mut s.compress_takeover)
            .help("Let clients refer back to their earlier messages: a window of 2^BITS bytes, 8 to 15")
            .details(
                "Clients then send less, and each connection costs 2^BITS bytes of memory (32 KiB \
                 for a client that cannot limit its window).",
            ),
    ]
}

fn who_may_connect() -> Vec<Setting> {
    vec![
        list("allow-origin", ORIGIN, |s| &mut s.allow_origins)
            .help("Let pages of this origin connect, too; may be repeated")
            .details(
                "An origin is written https://example.org; 'https://*.example.org' is all its \
                 subdomains, and '*' is every page. Several are separated by commas. Clients that are \
                 not browsers send no origin and may always connect.",
            )
            .by_default_of([
                "pages of the same host",
                "every page on a loopback address, otherwise pages of the same host",
            ]),
        list("allow-host", HOST, |s| &mut s.allow_hosts)
            .help("Answer requests for this host, too; may be repeated")
            .details(
                "A host is a name or an address, without a port; '*.example.org' is all names below \
                 example.org, and '*' is every host. Several are separated by commas. Loopback names \
                 are always answered. A request for any other host gets 421.",
            )
            .by_default("on loopback addresses loopback names, otherwise every host"),
        value("base-path", BASE_PATH, |s| &mut s.config.base_path)
            .help("Path below which the server serves, such as /talk, if a proxy passes it on"),
        list("proxy", PROXY, |s| &mut s.proxies)
            .needs_restart()
            .help("Believe this proxy about its clients; may be repeated")
            .details(
                "An address or a network such as 10.0.0.0/8; 'unix' is what connects to a Unix socket. \
                 Several are separated by commas. The address that a proxy names then counts for \
                 --connections-per-address, and the proxy itself does not.",
            ),
        choice("proxy-fields", "FIELDS", &PROXY_FIELDS, |s| &mut s.proxy_fields)
            .needs_restart()
            .help("Fields in which the proxies name their clients"),
        switch("proxy-protocol", |s| &mut s.proxy_protocol)
            .needs_restart()
            .help("The proxies begin each connection with a header of the PROXY protocol"),
    ]
}

fn who_may_do_what() -> Vec<Setting> {
    let settings = vec![
        choice("chat", "WHO", &WHO, |s| &mut s.access.chat)
            .needs_restart()
            .help("Who may use the WebSockets of /chat/ROOM")
            .by_default(WITH_KEYS),
        choice("broadcast", "WHO", &WHO, |s| &mut s.access.broadcast)
            .needs_restart()
            .help("Who may use the WebSockets of /broadcast/ROOM")
            .by_default(WITH_KEYS),
        choice("presence", "WHO", &WHO, |s| &mut s.access.presence)
            .needs_restart()
            .help("Who may ask who is in the rooms: GET /rooms")
            .by_default(WITH_KEYS),
        optional("publish-per-second", count(), |s| {
            &mut s.access.publish_per_second
        })
        .needs_restart()
        .help("Messages that may be published by HTTP per second; further ones get 429"),
        list("jwt-keys-file", FILE, |s| &mut s.access.jwt_keys_files).help(
            "File with keys of JSON Web Tokens: a JWK set, or a public key in PEM; may be repeated",
        ),
        optional("jwt-secret-file", FILE, |s| &mut s.access.jwt_secret_file)
            .help("File with the secret of JSON Web Tokens with HS256"),
        list("shared-keys-file", FILE, |s| {
            &mut s.access.shared_keys_files
        })
        .help("File with shared keys, one on each line; may be repeated"),
        optional("session-key-file", FILE, |s| &mut s.access.session_key_file)
            .needs_restart()
            .help("File with a secret of at least 32 bytes that signs the sessions of the chat")
            .details(
                "By default it is random, and kept in the data file. Servers that share rooms need the same one.",
            ),
        optional("token-audience", NAME, |s| &mut s.access.token_audience)
            .help("Audience that a JSON Web Token must be for (aud)"),
        optional("token-issuer", NAME, |s| &mut s.access.token_issuer)
            .help("Issuer that a JSON Web Token must be from (iss)"),
        value("token-leeway", SECONDS_OR_ZERO, |s| {
            &mut s.access.token_leeway
        })
        .help("Seconds by which the clocks of issuer and server may differ"),
    ];
    settings.into_iter().map(Setting::only_serve).collect()
}

fn log() -> Vec<Setting> {
    vec![
        choice("log-level", "LEVEL", &LOG_LEVELS, |s| &mut s.log.level)
            .help("Least important lines of the log that are written, on standard error")
            .details(
                "From 'info' on, each connection takes 40 bytes more: for its line of the log, what it \
                 receives and sends is counted.",
            ),
        choice("log-format", "FORMAT", &LOG_FORMATS, |s| &mut s.log.format)
            .help("Form of the lines of the log"),
        optional("log-lines-per-second", count(), |s| &mut s.log.lines_per_second)
            .help("Lines of the log of each kind in a second; the others are counted"),
    ]
}

fn monitoring() -> Vec<Setting> {
    vec![
        switch("metrics", |s| &mut s.monitoring.metrics)
            .help("Offer metrics for Prometheus at /metrics")
            .details("Anybody who reaches the server can then read them. See also --admin-listen."),
        list("admin-listen", ADDRESS, |s| &mut s.monitoring.admin_listen)
            .help("Address for operators, with /metrics; may be repeated")
            .details(
                "It has /health, /ready, /version and /metrics. The other addresses then have only \
                 the first two of these. Written as for --listen.",
            ),
    ]
}

fn trace() -> Vec<Setting> {
    vec![
        switch("trace", |s| &mut s.trace.all)
            .help("Print the handshake and the frames of all connections, as 'yamabiko trace' does")
            .details(
                "On standard output. Messages of users are in it; credentials of the handshake are not. \
                 A slow reader of the output costs parts of the trace, which are counted, and no time.",
            ),
        list("trace-address", NETWORK, |s| &mut s.trace.addresses)
            .help("The same for connections of this address or network alone; may be repeated"),
        list("trace-room", NAME, |s| &mut s.trace.rooms)
            .help("The same for connections to this room alone; may be repeated")
            .only_serve(),
        value("trace-bytes", BYTES, |s| &mut s.trace.shown_bytes)
            .help("Bytes of each payload that a trace shows"),
    ]
}

#[cfg(feature = "cluster")]
fn cluster() -> Vec<Setting> {
    let settings = vec![
        optional("cluster", super::values::REDIS, |s| &mut s.cluster.redis)
            .help("Redis by which several servers share their rooms: redis://HOST:PORT")
            .details(
                "redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE], with rediss:// by TLS, or unix:///PATH. Other users of the \
                 machine can see a command line, so a password is for --cluster-password-file, or for the environment variable \
                 YAMABIKO_CLUSTER with the whole URL.",
            ),
        optional("cluster-password-file", FILE, |s| &mut s.cluster.password_file)
            .help("File with the password of --cluster"),
        optional("cluster-ca", FILE, |s| &mut s.cluster.authority_file)
            .help("File with the authorities that rediss:// trusts, in PEM, instead of those of this machine"),
        optional("cluster-prefix", NAME, |s| &mut s.cluster.prefix)
            .help("What the names of all keys begin with; servers with the same prefix share their rooms")
            .by_default("yamabiko"),
        optional("node", NAME, |s| &mut s.cluster.node)
            .help("Name of this server in Redis' list of clients")
            .by_default("a random number"),
    ];
    settings.into_iter().map(Setting::only_serve).collect()
}

fn pusher() -> Vec<Setting> {
    let settings = vec![
        list("app", APP, |s| &mut s.apps.apps)
            .help("App of Pusher clients: its WebSocket is at /app/KEY, its HTTP API at /apps/ID; may be repeated")
            .details(
                "Other users of the machine can see a command line, so the environment variable YAMABIKO_APP or a file is \
                 better. Several are separated by commas, so a secret with a comma is for --apps-file.",
            ),
        list("apps-file", FILE, |s| &mut s.apps.files)
            .help("File with apps in TOML, each a table [[apps]] with id, key, secret and limits; may be repeated"),
    ];
    settings.into_iter().map(Setting::only_serve).collect()
}

fn playground() -> Vec<Setting> {
    let settings = vec![
        switch("playground", |s| &mut s.playground.enabled)
            .help("Offer a page at /playground/ that takes a WebSocket apart, byte by byte, to clients of this machine")
            .details(
                "The client's address and the host that it asks for must be loopback ones. At most 64 visitors at a time.",
            ),
        switch("playground-public", |s| &mut s.playground.public)
            .help("With --playground: offer it to every client"),
    ];
    settings.into_iter().map(Setting::only_serve).collect()
}

#[cfg(feature = "data")]
fn data() -> Vec<Setting> {
    let settings = vec![
        optional("data", FILE, |s| &mut s.data.file)
            .help("File that keeps the messages of rooms, so that they survive a restart")
            .details(
                "A SQLite database. It is created if it does not exist, and belongs to one server: --takeover is not possible \
                 with it.",
            ),
        choice("data-sync", "WHEN", &DURABILITIES, |s| &mut s.data.durability)
            .help("What an acknowledged message of the data file survives")
            .details("A killed server loses none with any of them."),
        value("data-bytes-max", BYTES, |s| &mut s.data.file_bytes_max)
            .help("Bytes of the data file; beyond it the oldest messages of all rooms are dropped")
            .reason("the disk"),
    ];
    settings.into_iter().map(Setting::only_serve).collect()
}

/// The options are the rows of the table. Those of `echo` are the rows that it has.
impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        with_options(command, Settings::default())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Settings::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Settings, clap::Error> {
        let mut settings = Settings::default();
        settings.update_from_arg_matches(matches)?;
        Ok(settings)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let rows = rows(self.is_echo);
        rows.for_each(|row| row.apply(matches, self));
        Ok(())
    }
}

impl Args for EchoSettings {
    fn augment_args(command: Command) -> Command {
        with_options(command, EchoSettings::default().0)
    }

    fn augment_args_for_update(command: Command) -> Command {
        EchoSettings::augment_args(command)
    }
}

impl FromArgMatches for EchoSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<EchoSettings, clap::Error> {
        let mut settings = EchoSettings::default();
        settings.update_from_arg_matches(matches)?;
        Ok(settings)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

/// The command with an option for each setting that it has.
fn with_options(command: Command, mut defaults: Settings) -> Command {
    command.args(rows(defaults.is_echo).map(|row| row.option(&mut defaults)))
}

/// The settings of a server.
pub(super) fn rows(is_echo: bool) -> impl Iterator<Item = Setting> {
    let table = table().into_iter();
    table.filter(move |row| !is_echo || row.is_of_echo())
}

/// Settings are equal if each row of the table is.
impl PartialEq for Settings {
    fn eq(&self, other: &Settings) -> bool {
        let (mut one, mut other) = (self.clone(), other.clone());
        let mut rows = table().into_iter();
        rows.all(|row| row.value(&mut one) == row.value(&mut other))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut settings = self.clone();
        let rows = table().into_iter();
        let values = rows.map(|row| (row.name, row.value(&mut settings)));
        formatter.debug_map().entries(values).finish()
    }
}

const LOG_LEVELS: [(LevelFilter, &str, &str); 5] = [
    (LevelFilter::OFF, "off", "no lines, and no thread for them"),
    (LevelFilter::ERROR, "error", "faults of the server: panics"),
    (
        LevelFilter::WARN,
        "warn",
        "also limits that are reached, and foreign origins and hosts",
    ),
    (
        LevelFilter::INFO,
        "info",
        "also ends of connections, and refused requests",
    ),
    (LevelFilter::DEBUG, "debug", "also connections that open"),
];

const LOG_FORMATS: [(Format, &str, &str); 2] = [
    (
        Format::Text,
        "text",
        "time, level, message, and fields as NAME=VALUE",
    ),
    (Format::Json, "json", "an object for each line"),
];

const RATE_ACTIONS: [(RateAction, &str, &str); 2] = [
    (
        RateAction::Wait,
        "wait",
        "read nothing of it until it is within the rate",
    ),
    (RateAction::Close, "close", "close its connection with 1008"),
];

const LAG_ACTIONS: [(LagAction, &str, &str); 3] = [
    (
        LagAction::Disconnect,
        "disconnect",
        "beyond one of these limits, close its connection with 1013",
    ),
    (
        LagAction::Skip,
        "skip",
        "beyond one of these limits, skip all waiting messages, and report their number",
    ),
    (
        LagAction::Latest,
        "latest",
        "as soon as it is behind, keep only the newest message (the limits do not apply)",
    ),
];

#[cfg(feature = "data")]
const DURABILITIES: [(Durability, &str, &str); 3] = [
    (
        Durability::Full,
        "full",
        "also the loss of power: the disk has a message before it is delivered",
    ),
    (
        Durability::Normal,
        "normal",
        "the end of the server; after the loss of power the last seconds may be missing",
    ),
    (
        Durability::Off,
        "off",
        "as normal, but the loss of power may also damage the file",
    ),
];

const PROXY_FIELDS: [(ForwardedFields, &str, &str); 3] = [
    (
        ForwardedFields::XForwarded,
        "x-forwarded",
        "X-Forwarded-For and X-Forwarded-Host",
    ),
    (
        ForwardedFields::Forwarded,
        "forwarded",
        "Forwarded (RFC 7239)",
    ),
    (
        ForwardedFields::None,
        "none",
        "no field: the proxy works below HTTP",
    ),
];

const WITH_KEYS: &str = "token if there are keys, otherwise open";

const WHO: [(Option<Access>, &str, &str); 3] = [
    (Some(Access::Open), "open", "every client"),
    (
        Some(Access::Token),
        "token",
        "clients whose token grants the room",
    ),
    (Some(Access::Off), "off", "nobody: the path does not exist"),
];
