//! CPU time, memory and limits of a process, from Linux.
//!
//! Read from `/proc`, which needs no privilege for one's own processes and no
//! cooperation of the server. CPU time comes in ticks of 10 ms (`USER_HZ` is 100
//! on every Linux that has shipped): over ten seconds that is one part in a
//! thousand. Resident memory is what the process itself has; the kernel's socket
//! buffers are not in it.

use std::fs;
use std::io;
use std::time::Duration;

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
        let stat = self.read("stat")?;
        parse_cpu_time(&stat).ok_or_else(|| self.unreadable("stat"))
    }

    /// Bytes of memory that are resident.
    ///
    /// # Errors
    /// As for [`cpu_time`](Process::cpu_time).
    pub(super) fn resident_bytes(self) -> Result<u64, Error> {
        let status = self.read("status")?;
        parse_resident_bytes(&status).ok_or_else(|| self.unreadable("status"))
    }

    fn read(self, file: &str) -> Result<String, Error> {
        let path = self.path(file);
        fs::read_to_string(&path).map_err(|source| Error::Process { path, source })
    }

    fn unreadable(self, file: &str) -> Error {
        Error::Process {
            path: self.path(file),
            source: io::Error::new(io::ErrorKind::InvalidData, "it is not as Linux writes it"),
        }
    }

    fn path(self, file: &str) -> String {
        format!("/proc/{}/{file}", self.pid)
    }
}

/// How many files this process may have open, and how many it could be allowed
/// to. `None` where the system does not tell.
pub(super) fn open_files_limits() -> Option<(u64, u64)> {
    parse_open_files_limits(&fs::read_to_string("/proc/self/limits").ok()?)
}

/// The second field, the program's name in parentheses, may hold anything, so
/// fields are counted from the last parenthesis: state is then the first, and
/// `utime` and `stime` are 12th and 13th (proc_pid_stat(5): 14 and 15).
fn parse_cpu_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let ticks = ticks()?.checked_add(ticks()?)?;
    Some(Duration::from_millis(ticks.checked_mul(MILLIS_PER_TICK)?))
}

/// `VmRSS:     4096 kB`
fn parse_resident_bytes(status: &str) -> Option<u64> {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes = value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?;
    kibibytes.checked_mul(1024)
}

/// `Max open files            1024                 524288               files`
fn parse_open_files_limits(limits: &str) -> Option<(u64, u64)> {
    let values = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    let mut values = values.split_ascii_whitespace().map(|word| match word {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    });
    Some((values.next()??, values.next()??))
}

/// 1 s / `USER_HZ`.
const MILLIS_PER_TICK: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_parentheses() {
        let stat = "1234 (a) b) (c)) S 1 1234 1234 0 -1 4194304 500 0 0 0 250 75 3 4 20 0 2 0";
        assert_eq!(parse_cpu_time(stat), Some(Duration::from_millis(3_250)));
        assert_eq!(parse_cpu_time("1 (a) S 1 1"), None);
        assert_eq!(parse_cpu_time(""), None);
    }

    #[test]
    fn resident_memory_is_in_kibibytes() {
        let status = "Name:\ta\nVmHWM:\t    9000 kB\nVmRSS:\t    4096 kB\n";
        assert_eq!(parse_resident_bytes(status), Some(4 << 20));
        assert_eq!(parse_resident_bytes("Name:\ta\n"), None);
    }

    #[test]
    fn limits_may_be_unlimited() {
        let line = "Max open files            1024                 unlimited            files";
        assert_eq!(parse_open_files_limits(line), Some((1024, u64::MAX)));
        assert_eq!(parse_open_files_limits("Max processes 1 2"), None);
    }

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
    fn a_process_that_is_gone_is_an_error_with_its_path() {
        let error = Process { pid: u32::MAX }.cpu_time().expect_err("no such");
        assert_eq!(error.to_string(), "cannot read /proc/4294967295/stat");
    }
}
