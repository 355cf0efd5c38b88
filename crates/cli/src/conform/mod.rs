//! `yamabiko conform`: the conformance suite, `yamabiko-conform`, on the command line.
//!
//! ```text
//!   ConformArguments ─▶ Plan ─▶ yamabiko_conform ─▶ Report ─▶ table, files
//!                                  ▲        └─▶ Progress ─▶ one line on standard error
//!                         Ctrl-C ──┘
//! ```

mod progress;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use yamabiko::tls::{ClientTls, ServerTls};
use yamabiko_conform::{
    Baseline, Error, Interrupt, Peer, Plan, Report, Spec, SpecServer, catalogue, client_runs, html,
    index, junit, test_clients, test_server,
};

use super::arguments::{ConformArguments, Role, see_help};
use super::output::{Failure, chain, in_sentence, print};
use super::signals;
use super::tls::{TlsFiles, trusted};
use progress::Line;

/// Runs the cases and prints the report.
///
/// # Errors
/// The arguments make no run, there is no peer, or the peer has broken a rule. The printed
/// report describes the rules that were broken.
pub(super) fn run(arguments: &ConformArguments) -> Result<(), Failure> {
    let spec = arguments.spec.as_deref().map(spec).transpose()?;
    let plan = secured(arguments.plan(), arguments)?;
    let plan = spec.as_ref().map_or(plan.clone(), |spec| spec.apply(plan));
    let peer = match arguments.role {
        Role::Server => Peer::Server,
        Role::Client => Peer::Client,
    };
    if arguments.list {
        return Ok(print(&catalogue(&plan, peer).to_string())?);
    }
    let baseline = arguments.baseline.as_deref().map(baseline).transpose()?;
    let interrupt = Interrupt::new();
    let on_signal = interrupt.clone();
    signals::on_first(move || on_signal.raise())?;
    let reports = match (peer, &spec) {
        (Peer::Client, spec) => {
            let named = spec.as_ref().map_or(Ok(None), Spec::listen_address);
            let address = arguments.listens_on(named.map_err(failure)?);
            client(&plan, arguments, address, &interrupt)?
        }
        (Peer::Server, None) => vec![server(
            &plan,
            arguments.server_url(),
            arguments,
            &interrupt,
        )?],
        (Peer::Server, Some(spec)) => servers(&plan, spec, arguments, &interrupt)?,
    };
    let folder = spec.and_then(|spec| spec.outdir);
    publish(&reports, arguments, folder.as_deref().map(Path::new))?;
    judge(&reports, arguments, &baseline.unwrap_or_default())
}

/// The plan, and its TLS: by the role, which servers it trusts, or the certificate of the suite.
fn secured(plan: Plan, arguments: &ConformArguments) -> Result<Plan, String> {
    let plan = plan.command_options(arguments.case_options());
    match arguments.role {
        Role::Server => trusting(plan, arguments),
        Role::Client => certified(plan, arguments),
    }
}

/// The plan, and which servers of `wss` it trusts if it may have some.
fn trusting(plan: Plan, arguments: &ConformArguments) -> Result<Plan, String> {
    let tls = match trusted(&arguments.trust)? {
        Some(tls) => Ok(tls),
        None => ClientTls::platform(),
    };
    match tls {
        Ok(tls) => Ok(plan.tls(tls.rustls_config())),
        Err(error) if arguments.needs_tls() => Err(error.to_string()),
        Err(_) => Ok(plan),
    }
}

/// The plan, and the certificate of the suite for clients of `wss`.
fn certified(plan: Plan, arguments: &ConformArguments) -> Result<Plan, String> {
    let certificates = arguments.tls_cert.iter().cloned().collect();
    let keys = arguments.tls_key.iter().cloned().collect();
    let files = TlsFiles::new(certificates, keys);
    if files.is_empty() {
        return Ok(plan);
    }
    let tls = ServerTls::new(files.read()?).map_err(|error| error.to_string())?;
    Ok(plan.accept_tls(tls.rustls_config()))
}

fn server(
    plan: &Plan,
    url: Result<&str, String>,
    arguments: &ConformArguments,
    interrupt: &Interrupt,
) -> Result<Report, Failure> {
    let url = url.map_err(|message| Failure::Usage(see_help(&message, Some("conform"))))?;
    let mut line = Line::new(arguments.shows_progress());
    test_server(plan, url, interrupt, |progress| line.draw(progress)).map_err(failure)
}

/// The servers of a file of the Autobahn suite, one after the other.
fn servers(
    plan: &Plan,
    spec: &Spec,
    arguments: &ConformArguments,
    interrupt: &Interrupt,
) -> Result<Vec<Report>, Failure> {
    let test = |named: &SpecServer| {
        let plan = match &named.agent {
            Some(agent) => plan.clone().agent(agent),
            None => plan.clone(),
        };
        server(&plan, Ok(&named.url), arguments, interrupt)
    };
    spec.servers.iter().map(test).collect()
}

fn client(
    plan: &Plan,
    arguments: &ConformArguments,
    address: SocketAddr,
    interrupt: &Interrupt,
) -> Result<Vec<Report>, Failure> {
    let runs = client_runs(plan).map_err(failure)?;
    let cannot = |error| format!("cannot listen on {address}: {}", in_sentence(&error));
    let listener = TcpListener::bind(address).map_err(cannot)?;
    let bound = listener.local_addr().map_err(cannot)?;
    let scheme = match arguments.tls_cert {
        Some(_) => "wss",
        None => "ws",
    };
    print(&format!(
        "yamabiko conform: {runs} runs for clients on {scheme}://{bound}\n"
    ))?;
    let mut line = Line::new(arguments.shows_progress());
    let reports = test_clients(plan, listener, interrupt, |progress| line.draw(progress));
    let reports = reports.map_err(failure)?;
    match reports.is_empty() {
        true => Err(Failure::Failed("no client has made a run".to_owned())),
        false => Ok(reports),
    }
}

/// Prints the reports and writes the files that the arguments name. A file has one report; if
/// there are several, the last one.
fn publish(
    reports: &[Report],
    arguments: &ConformArguments,
    folder: Option<&Path>,
) -> Result<(), String> {
    let index = format!("{:#}\n", index(reports));
    for report in reports {
        print(&format!("yamabiko conform {report}"))?;
        write(arguments.json.as_deref(), || json(report))?;
        write(arguments.junit.as_deref(), || Ok(junit(report)))?;
        write(arguments.html.as_deref(), || Ok(html(report)))?;
    }
    write(arguments.index.as_deref(), || Ok(index.clone()))?;
    let in_folder = folder.map(|folder| folder.join("index.json"));
    let created = folder.map_or(Ok(()), fs::create_dir_all);
    created.map_err(|error| format!("cannot create a folder: {}", in_sentence(&error)))?;
    write(in_folder.as_deref(), || Ok(index.clone()))
}

fn judge(
    reports: &[Report],
    arguments: &ConformArguments,
    baseline: &Baseline,
) -> Result<(), Failure> {
    let level = arguments.fails_on();
    let bad = reports
        .iter()
        .map(|report| baseline.regressions(report, level).len());
    let what = match arguments.baseline {
        Some(_) => "failed that did not before",
        None => "failed",
    };
    match bad.sum::<usize>() {
        0 => Ok(()),
        1 => Err(Failure::Failed(format!("1 case of level {level} {what}"))),
        count => Err(Failure::Failed(format!(
            "{count} cases of level {level} {what}"
        ))),
    }
}

fn spec(path: &Path) -> Result<Spec, Failure> {
    let text = read(path)?;
    Spec::parse(&text).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}

fn baseline(path: &Path) -> Result<Baseline, Failure> {
    let text = read(path)?;
    Baseline::parse(&text).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}

/// A wrong URL or a wrong name of a case is a usage error.
fn failure(error: Error) -> Failure {
    match error {
        Error::Url(_) | Error::Secure | Error::NoCase => {
            Failure::Usage(see_help(&error.to_string(), Some("conform")))
        }
        error => Failure::Failed(chain(&error)),
    }
}

fn json(report: &Report) -> Result<String, String> {
    let text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
    Ok(text + "\n")
}

fn read(path: &Path) -> Result<String, Failure> {
    let cannot = |error| format!("cannot read {}: {}", path.display(), in_sentence(&error));
    Ok(fs::read_to_string(path).map_err(cannot)?)
}

/// Writes a file, if it is asked for.
fn write(path: Option<&Path>, text: impl FnOnce() -> Result<String, String>) -> Result<(), String> {
    let Some(path) = path else {
        return Ok(());
    };
    let cannot = |error| format!("cannot write {}: {}", path.display(), in_sentence(&error));
    fs::write(path, text()?).map_err(cannot)
}
