//! What the operating system knows of this process. Each number costs the same however many connections there are.

/// A number is `None` where the system does not tell it.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub cpu_seconds: Option<f64>,
    pub resident_bytes: Option<u64>,
    pub open_descriptors: Option<u64>,
    pub descriptors_max: Option<u64>,
}

impl Process {
    /// Linux tells it in `/proc`.
    #[cfg(target_os = "linux")]
    pub(super) fn read() -> Process {
        use procfs_core::FromRead;
        use procfs_core::process::{LimitValue, Limits, Stat, Status};
        let stat = Stat::from_file("/proc/self/stat").ok();
        let status = Status::from_file("/proc/self/status").ok();
        let limits = Limits::from_file("/proc/self/limits").ok();
        let descriptors_max = limits.and_then(|limits| match limits.max_open_files.soft_limit {
            LimitValue::Value(max) => Some(max),
            LimitValue::Unlimited => None,
        });
        // Since Linux 6.2 the size of this folder is the number of descriptors; before it is 0. Listing it would take longer with
        // each connection.
        let folder = std::fs::metadata("/proc/self/fd").ok();
        Process {
            cpu_seconds: stat.map(|stat| (stat.utime + stat.stime) as f64 / TICKS_PER_SECOND),
            resident_bytes: status.and_then(|status| status.vmrss).map(|kib| kib << 10),
            open_descriptors: folder.map(|folder| folder.len()).filter(|count| *count > 0),
            descriptors_max,
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn read() -> Process {
        Process::default()
    }
}

/// USER_HZ, which Linux has on every architecture that Rust supports.
#[cfg(target_os = "linux")]
const TICKS_PER_SECOND: f64 = 100.0;
