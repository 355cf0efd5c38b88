//! The limit of open files, for tests with some hundred sockets.

/// Raises the limit of this process (`ulimit -n`) to 10,240, or to its hard limit. With the usual 1024 of Linux, a few tests beside each
/// other have too many sockets.
pub fn raise_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let wanted = limit.maximum.unwrap_or(u64::MAX).min(10_240);
        if limit.current.is_some_and(|current| current < wanted) {
            let raised = Rlimit {
                current: Some(wanted),
                maximum: limit.maximum,
            };
            setrlimit(Resource::Nofile, raised).expect("it is not beyond the hard limit");
        }
    }
}
