//! The limit of descriptors of the process (`ulimit -n`): the soft limit is raised as far as the connections need, up to the
//! hard one.
//!
//! A shell and systemd start a program with a soft limit of 1,024, because programs with `select` cannot have more. The hard
//! limit is the one that an administrator sets.

#[cfg(unix)]
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// Raises the soft limit to this number of descriptors besides those that are open, or to the hard limit if that is lower. If the
/// system refuses it, the server has fewer connections, and reports it.
pub(super) fn raise(needed: usize) {
    #[cfg(unix)]
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let needed = rlim_t::try_from(needed.saturating_add(OPEN_AT_START)).unwrap_or(hard);
        // macOS has a hard limit without end, and refuses more than a limit of its own, which is at least this.
        let _ = [needed.min(hard), 10_240.min(hard)]
            .into_iter()
            .filter(|limit| *limit > soft)
            .find(|limit| setrlimit(Resource::RLIMIT_NOFILE, *limit, hard).is_ok());
    }
    #[cfg(not(unix))]
    let _ = needed;
}

/// The line about connections that the descriptors do not allow. `None`: they allow all.
pub(super) fn lowered(wanted: usize, connections_max: usize) -> Option<String> {
    (connections_max < wanted).then(|| {
        format!(
            "connections-max is {connections_max} and not {wanted}: the limit of open files is too low (ulimit -Hn, \
             LimitNOFILE= in systemd)"
        )
    })
}

/// Standard input and output, sockets that listen, and what else is open before the server counts.
#[cfg(unix)]
const OPEN_AT_START: usize = 64;
