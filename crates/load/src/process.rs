//! CPU time, memory and limits of a process, from Linux.
//!
//! Read from `/proc` by the crate `procfs-core`, which needs no privilege for one's own
//! processes and no cooperation of the server. CPU time comes in ticks of 10 ms (`USER_HZ`
//! is 100 on every Linux that has shipped): over ten seconds that is one part in a
//! thousand. Resident memory is the memory of the process itself; it does not contain the
//! kernel's socket buffers.

use std::fs::File;
use std::io;
use std::time::Duration;

use procfs_core::FromRead;
use procfs_core::process::{LimitValue, Limits, Stat, Status};

use super::error::Error;

/// A process, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub pid: u32,
}

impl Process {
    /// This program.
    pub(super) fn this() -> Process {
        Process {
            pid: std::process::id(),
        }
    }

    /// User and system time of all its threads, since it was started.
    ///
    /// # Errors
    /// There is no such process, or no `/proc`.
    pub(super) fn cpu_time(self) -> Result<Duration, Error> {
        let stat = self.read("stat", |file| Stat::from_read(file).ok())?;
        let ticks = stat.utime.saturating_add(stat.stime);
        Ok(Duration::from_millis(ticks.saturating_mul(MILLIS_PER_TICK)))
    }

    /// Bytes of memory that are resident.
    ///
    /// # Errors
    /// As for [`cpu_time`](Process::cpu_time).
    pub(super) fn resident_bytes(self) -> Result<u64, Error> {
        let kibibytes = self.read("status", |file| Status::from_read(file).ok()?.vmrss)?;
        Ok(kibibytes.saturating_mul(1024))
    }

    fn read<T>(self, name: &str, parse: fn(File) -> Option<T>) -> Result<T, Error> {
        let path = format!("/proc/{}/{name}", self.pid);
        let unreadable = || io::Error::new(io::ErrorKind::InvalidData, "its format is unknown");
        File::open(&path)
            .and_then(|file| parse(file).ok_or_else(unreadable))
            .map_err(|source| Error::Process { path, source })
    }
}

/// The number of files that this process may have open, and the number that it may raise
/// this limit to. `None` if the system does not report it.
pub(super) fn open_files_limits() -> Option<(u64, u64)> {
    let limits = Limits::from_file("/proc/self/limits").ok()?;
    let files = limits.max_open_files;
    Some((number(files.soft_limit), number(files.hard_limit)))
}

fn number(limit: LimitValue) -> u64 {
    match limit {
        LimitValue::Unlimited => u64::MAX,
        LimitValue::Value(number) => number,
    }
}

/// 1 s / `USER_HZ`.
const MILLIS_PER_TICK: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_limits() {
        let process = Process::this();
        assert!(process.resident_bytes().expect("memory") > 100_000);
        process.cpu_time().expect("CPU time");
        let (soft, hard) = open_files_limits().expect("limits");
        assert!(0 < soft && soft <= hard);
    }

    #[test]
    fn process_that_does_not_exist_is_an_error_with_its_path() {
        let error = Process { pid: u32::MAX }.cpu_time().expect_err("no such");
        assert_eq!(error.to_string(), "cannot read /proc/4294967295/stat");
    }
}
