//! What `serve` and `echo` share: one line when the server is ready, what signals do, and its end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use yamabiko::server::{
    CannotListen, Config, Drained, Handler, ListenAddress, ListenAddresses, ListeningSocket,
    Server, ServerHandle, WithFallback,
};
use yamabiko_pusher::CountsReader;

use super::arguments::{Restarts, Settings, TraceSettings};
use super::descriptors;
use super::logging::{Log, LogSettings};
use super::monitoring::{Administration, Monitoring, MonitoringPaths, MonitoringSettings};
use super::output::{Failure, NAME_AND_VERSION, in_sentence, print, report_error};
use super::reloading::Reloading;
use super::takeover::Takeover;
use super::trace::ServerTrace;
use super::{service_manager, signals};

/// What a server has besides its configuration.
pub(super) struct Serving<'a> {
    pub(super) log: LogSettings,
    pub(super) monitoring: MonitoringSettings,
    /// Of Pusher clients.
    pub(super) apps: Option<CountsReader>,
    pub(super) trace: TraceSettings,
    pub(super) restarts: Restarts,
    /// What SIGHUP reads again; `None`: it ends the server.
    pub(super) reloading: Option<Reloading>,
    /// The sockets of the service manager.
    pub(super) managed: Vec<ListeningSocket>,
    /// With `scheme` for the first line: `open http://…`, or `open https://…` with TLS.
    pub(super) offer: &'a str,
    pub(super) scheme: &'a str,
}

/// Serves until a signal arrives, or a successor has taken over.
///
/// # Errors
/// The reason, as text; or connections were cut off at the end.
pub(super) fn serve(
    config: Config,
    handler: impl Handler,
    serving: Serving<'_>,
) -> Result<(), Failure> {
    let Serving {
        log,
        monitoring: settings,
        apps,
        trace,
        restarts,
        reloading,
        managed,
        offer,
        scheme,
    } = serving;
    let log = Log::start(log)?;
    let trace = ServerTrace::start(&trace)?;
    let config = Config {
        observers: trace.as_ref().map(ServerTrace::observers),
        ..config
    };
    let monitoring = Monitoring::new(&log, apps);
    let handler = WithFallback::new(MonitoringPaths::new(monitoring.clone(), &settings), handler);
    let (takeover, sockets) = Takeover::begin(restarts.takeover, managed)?;
    let is_for_operators = |one: &ListeningSocket| is_among(one.address(), &settings.admin_listen);
    let (for_operators, sockets) = sockets.into_iter().partition(is_for_operators);
    let mut server = bind(config, handler, sockets)?;
    monitoring.watch(&server);
    let administration = Administration::start(&settings, &monitoring, for_operators);
    let mut administration = administration.map_err(|error| cannot_listen(&error))?;
    let copies = takeover.copies(&server, administration.as_mut())?;
    let closed = copies.clone();
    let handle = server.handle();
    let reload = reloading.map(|reloading| reloading.of(handle.clone()));
    let ended_at_once = signals::end_server(&mut server, restarts.drain, reload, move || {
        service_manager::stopping();
        closed.close();
    })?;
    let drain = drain_for_successor(&handle, administration.as_ref(), restarts.drain);
    let ready = ready(offer, scheme, server.local_addresses());
    let for_operators = administration
        .as_ref()
        .map_or_else(String::new, |administration| {
            format!(" (for operators: {})", administration.addresses())
        });
    let _takeover_socket = takeover.ready(&mut server, copies, drain)?;
    print(&format!("{NAME_AND_VERSION}: {ready}{for_operators}\n"))?;
    service_manager::ready();
    let addresses = server.local_addresses().to_string();
    tracing::info!(
        name: "server_started", version = env!("CARGO_PKG_VERSION"), addresses, "server started"
    );
    let ended = server.run();
    let (metrics, lines) = (handle.metrics(), log.counts());
    tracing::info!(
        name: "server_stopped", connections = metrics.opened, received = metrics.received,
        deliveries = metrics.deliveries, lines_dropped = lines.dropped,
        lines_suppressed = lines.suppressed, "server stopped"
    );
    if let Some(line) = trace.and_then(ServerTrace::finish) {
        report_error(&line);
    }
    log.finish();
    ended.map_err(|error| format!("the server failed: {}", in_sentence(&error)))?;
    report_end(handle.drained(), ended_at_once.get())
}

/// The server, with as many descriptors as the system allows it.
fn bind<H: Handler>(
    config: Config,
    handler: H,
    sockets: Vec<ListeningSocket>,
) -> Result<Server<H>, String> {
    let (wanted, listeners) = (config.connections_max, config.listen.as_slice().len());
    descriptors::raise(config.descriptors() + listeners * config.workers.get());
    let server = Server::bind_with(config, handler, sockets);
    let server = server.map_err(|error| cannot_listen(&error))?;
    if let Some(line) = descriptors::lowered(wanted, server.connections_max()) {
        report_error(&line);
    }
    Ok(server)
}

/// The sockets of the service manager. Their addresses take the place of those of the settings.
///
/// # Errors
/// One of them does not listen; as text.
pub(super) fn managed_sockets(settings: &mut Settings) -> Result<Vec<ListeningSocket>, String> {
    let sockets = service_manager::sockets()?;
    if !sockets.is_empty() {
        let for_operators = &settings.monitoring.admin_listen;
        let addresses = sockets.iter().map(|one| one.address().clone());
        settings.listen = addresses
            .filter(|address| !is_among(address, for_operators))
            .collect();
        settings.listen.dedup();
    }
    Ok(sockets)
}

/// Whether this address is one of these, with TLS or without.
fn is_among(address: &ListenAddress, addresses: &[ListenAddress]) -> bool {
    let is_same = |other: &ListenAddress| match (address.socket_address(), other.socket_address()) {
        (None, None) => address == other,
        (one, other) => one == other,
    };
    addresses.iter().any(is_same)
}

/// What happens when a successor takes over.
fn drain_for_successor(
    server: &ServerHandle,
    administration: Option<&Administration>,
    drain: Duration,
) -> impl Fn() + Send + use<> {
    let server = server.clone();
    let administration = administration.map(|one| one.handle().clone());
    move || {
        service_manager::stopping();
        server.drain_for_successor(drain);
        if let Some(administration) = &administration {
            administration.drain_for_successor(Duration::ZERO);
        }
    }
}

/// One line about the connections that were open at the end, if there were any.
fn report_end(drained: Drained, at_once: bool) -> Result<(), Failure> {
    let Drained {
        closed, lost, cut, ..
    } = drained;
    let counts = format!("{closed} connections closed, {lost} lost, {cut} cut off");
    match (at_once, closed + lost + cut, cut) {
        (true, ..) => Err(Failure::Interrupted(format!("stopped at once: {counts}"))),
        (false, 0, _) => Ok(()),
        (false, _, 0) => {
            report_error(&format!("stopped: {counts}"));
            Ok(())
        }
        _ => Err(Failure::Cut(format!("stopped: {counts}"))),
    }
}

fn cannot_listen(error: &std::io::Error) -> String {
    let cause = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<CannotListen>());
    match cause {
        Some(cause) => {
            let reason = in_sentence(cause.error());
            format!("cannot listen on {}: {reason}", cause.address())
        }
        None => format!("cannot start the server: {}", in_sentence(error)),
    }
}

/// A URL by which a program on this machine can open the server, and all addresses that the server listens on if
/// the URL does not tell them.
fn ready(offer: &str, scheme: &str, addresses: &ListenAddresses) -> String {
    let mut all = addresses.as_slice().iter();
    let ip = all.find_map(|address| Some((address, address.socket_address()?)));
    let Some((first, ip)) = ip else {
        return format!("listening on {addresses}");
    };
    let secure = match first {
        ListenAddress::Https(_) => "s",
        _ => "",
    };
    let opened = to_open(ip);
    let url = format!("{offer} {scheme}{secure}://{opened}/");
    match addresses.as_slice() {
        [_] if ip == opened => url,
        _ => format!("{url} (listening on {addresses})"),
    }
}

/// The address to connect to: the loopback address for a server that listens on all addresses.
fn to_open(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    match listening {
        // A link-local address keeps its interface.
        SocketAddr::V6(address) if address.ip() == &ip => listening,
        _ => SocketAddr::new(ip, listening.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening_on(addresses: &[&str]) -> String {
        let parsed = addresses.iter().map(|text| text.parse::<ListenAddress>());
        let addresses: Result<ListenAddresses, _> = parsed.collect();
        ready("open", "http", &addresses.expect("addresses"))
    }

    #[test]
    fn url_can_be_opened_also_when_the_server_listens_on_all_addresses() {
        for (address, expected) in [
            ("192.0.2.1:80", "open http://192.0.2.1:80/"),
            ("[::1]:8080", "open http://[::1]:8080/"),
            (
                "[::]:8080",
                "open http://[::1]:8080/ (listening on [::]:8080)",
            ),
            (
                "0.0.0.0:1",
                "open http://127.0.0.1:1/ (listening on 0.0.0.0:1)",
            ),
            (
                "[::ffff:127.0.0.1]:1",
                "open http://127.0.0.1:1/ (listening on [::ffff:127.0.0.1]:1)",
            ),
            ("https://127.0.0.1:2", "open https://127.0.0.1:2/"),
            (
                "https://0.0.0.0:2",
                "open https://127.0.0.1:2/ (listening on https://0.0.0.0:2)",
            ),
            ("unix:/run/x.sock", "listening on unix:/run/x.sock"),
        ] {
            assert_eq!(listening_on(&[address]), expected);
        }
    }

    #[test]
    fn all_addresses_are_named_behind_a_url_of_the_first() {
        let expected =
            "open http://127.0.0.1:80/ (listening on unix:/run/x, 127.0.0.1:80, [::1]:80)";
        let addresses = ["unix:/run/x", "127.0.0.1:80", "[::1]:80"];
        assert_eq!(listening_on(&addresses), expected);
    }
}
