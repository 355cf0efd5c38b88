//! The forms of the values: numbers, bytes, seconds, addresses, origins.
//!
//! Each function reads one value. Its error names the expected value; the name of the option
//! and the value are put in front of it by [`super::error`].

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use yamabiko::server::{
    HostPattern, InvalidHost, InvalidListenAddress, InvalidNetwork, InvalidOrigin, ListenAddress,
    Network, OriginPattern, WindowBits,
};

/// A value of `--allow-origin`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AllowedOrigin {
    /// `*`
    Any,
    Pattern(OriginPattern),
}

/// The mode of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode(pub u32);

/// The numbers of a file's user and group; `None`: as the system sets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub user: Option<u32>,
    pub group: Option<u32>,
}

/// A value of `--allow-host`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AllowedHost {
    /// `*`
    Any,
    Pattern(HostPattern),
}

/// A value of `--proxy`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NamedProxy {
    /// What connects to a Unix socket.
    Unix,
    Network(Network),
}

/// A time after which something happens. `None`, written `0`: it never happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval(pub Option<Duration>);

/// A number of bytes. `None`, written `0`: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget(pub Option<usize>);

/// A setting that can be switched off. `None`, written `none`: it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Optional<T>(pub Option<T>);

/// A value that `parse` reads, or `none`.
pub(crate) fn optional<T>(
    parse: fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Optional<T>, String> + Clone + Send + Sync + 'static
where
    T: 'static,
{
    move |value| match value {
        NONE => Ok(Optional(None)),
        value => match parse(value) {
            Ok(parsed) => Ok(Optional(Some(parsed))),
            Err(expected) => Err(format!("{expected}, or {NONE}")),
        },
    }
}

/// A setting that is switched off, as it is written.
pub(crate) const NONE: &str = "none";

/// An option without a value, set by an environment variable.
pub(crate) fn is_set(value: &str) -> Result<bool, String> {
    match value {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// An address to listen on.
pub(crate) fn address(value: &str) -> Result<ListenAddress, String> {
    let parsed = value.parse();
    parsed.map_err(|error: InvalidListenAddress| error.to_string())
}

/// The mode of a Unix socket's file: three octal digits, or four that begin with 0.
pub(crate) fn mode(value: &str) -> Result<Mode, String> {
    let digits = match value.len() {
        4 => value.strip_prefix('0').unwrap_or(value),
        _ => value,
    };
    let is_octal = digits.len() == 3 && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let mode = is_octal
        .then(|| u32::from_str_radix(digits, 8).ok())
        .flatten();
    mode.map(Mode)
        .ok_or_else(|| "expected three octal digits such as 660 or 666".to_owned())
}

/// `USER`, `USER:GROUP` or `:GROUP`, by names or numbers.
pub(crate) fn owner(value: &str) -> Result<Owner, String> {
    let (user, group) = value.split_once(':').unwrap_or((value, ""));
    if user.is_empty() && group.is_empty() {
        return Err("expected USER, USER:GROUP or :GROUP, by names or numbers".to_owned());
    }
    Ok(Owner {
        user: number(user, "user", user_number)?,
        group: number(group, "group", group_number)?,
    })
}

/// A number as it is, and the number of a name; `None`: nothing is given.
fn number(text: &str, kind: &str, find: fn(&str) -> Option<u32>) -> Result<Option<u32>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().ok().or_else(|| find(text));
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(format!("there is no {kind} of the name '{text}'")),
    }
}

#[cfg(unix)]
fn user_number(name: &str) -> Option<u32> {
    let found = nix::unistd::User::from_name(name).ok().flatten();
    found.map(|user| user.uid.as_raw())
}

#[cfg(unix)]
fn group_number(name: &str) -> Option<u32> {
    let found = nix::unistd::Group::from_name(name).ok().flatten();
    found.map(|group| group.gid.as_raw())
}

#[cfg(not(unix))]
fn user_number(_: &str) -> Option<u32> {
    None
}

#[cfg(not(unix))]
fn group_number(_: &str) -> Option<u32> {
    None
}

/// A number from 1.
pub(crate) fn count(value: &str) -> Result<NonZeroUsize, String> {
    value
        .parse()
        .map_err(|_| "expected a whole number from 1".to_owned())
}

/// A number of threads. Each has descriptors of its own: far more than there are cores is a mistake.
pub(crate) fn workers(value: &str) -> Result<NonZeroUsize, String> {
    let workers = count(value).ok().filter(|count| count.get() <= 1024);
    workers.ok_or_else(|| "expected a whole number from 1 to 1024".to_owned())
}

/// A number of bytes: `65536`, `64KiB`, `1MiB`, `1GiB`.
pub(crate) fn bytes(value: &str) -> Result<usize, String> {
    let (digits, unit) = UNITS
        .into_iter()
        .find_map(|(suffix, unit)| Some((value.strip_suffix(suffix)?, unit)))
        .unwrap_or((value, 1));
    count(digits)
        .ok()
        .and_then(|count| count.get().checked_mul(unit))
        .ok_or_else(|| "expected a number of bytes such as 65536, 64KiB or 1MiB".to_owned())
}

/// Bytes as [`bytes`] reads them, or `0`: no limit.
pub(crate) fn budget(value: &str) -> Result<Budget, String> {
    match value {
        "0" => Ok(Budget(None)),
        _ => bytes(value)
            .map(|bytes| Budget(Some(bytes)))
            .map_err(|_| "expected 0, or a number of bytes such as 65536, 64KiB or 1MiB".into()),
    }
}

/// Bytes for each compressed byte.
pub(crate) fn ratio(value: &str) -> Result<u32, String> {
    let ratio = value.parse().ok().filter(|ratio| *ratio > 0);
    ratio.ok_or_else(|| "expected a whole number from 1".to_owned())
}

/// Bytes per second as [`bytes`] reads them, or `0`: less than 4 GiB.
pub(crate) fn rate(value: &str) -> Result<u32, String> {
    let bytes = match value {
        "0" => Some(0),
        _ => bytes(value)
            .ok()
            .and_then(|bytes| u32::try_from(bytes).ok()),
    };
    bytes.ok_or_else(|| "expected bytes per second, 0 or such as 1024, 64KiB or 1MiB".to_owned())
}

/// A rate, from 1.
pub(crate) fn per_second(value: &str) -> Result<NonZeroU32, String> {
    value
        .parse()
        .map_err(|_| "expected a whole number from 1".to_owned())
}

/// A rate in bytes, as [`rate`] reads it, from 1.
pub(crate) fn bytes_per_second(value: &str) -> Result<NonZeroU32, String> {
    let bytes = rate(value).ok().and_then(NonZeroU32::new);
    bytes.ok_or_else(|| "expected bytes per second such as 65536, 64KiB or 1MiB".to_owned())
}

/// As [`bytes`], up to what the option of a socket can have.
pub(crate) fn unsent_bytes(value: &str) -> Result<NonZeroU32, String> {
    let bytes = u32::try_from(bytes(value)?).unwrap_or(u32::MAX);
    NonZeroU32::new(bytes).ok_or_else(|| "expected a number of bytes from 1".to_owned())
}

/// A number of bytes as [`bytes`] reads it, in the largest unit without a fraction.
pub(crate) fn bytes_text(bytes: usize) -> String {
    match UNITS
        .into_iter()
        .find(|(_, unit)| bytes.is_multiple_of(*unit))
    {
        Some((suffix, unit)) if bytes > 0 => format!("{}{suffix}", bytes / unit),
        _ => bytes.to_string(),
    }
}

const UNITS: [(&str, usize); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// Seconds with decimals: from a millisecond to a day.
pub(crate) fn seconds(value: &str) -> Result<Duration, String> {
    match value.parse::<f64>() {
        Ok(seconds) if (0.001..=86_400.0).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err("expected seconds from 0.001 to 86400, such as 10 or 0.25".to_owned()),
    }
}

/// As [`seconds`], or `0`.
pub(crate) fn interval(value: &str) -> Result<Interval, String> {
    match value {
        "0" => Ok(Interval(None)),
        _ => seconds(value)
            .map(|seconds| Interval(Some(seconds)))
            .map_err(|_| "expected 0, or seconds from 0.001 to 86400, such as 10 or 0.25".into()),
    }
}

/// A time as [`interval`] reads it.
pub(crate) fn seconds_text(time: Duration) -> String {
    time.as_secs_f64().to_string()
}

/// How much a compressor tries.
pub(crate) fn level(value: &str) -> Result<u8, String> {
    match value.parse() {
        Ok(level @ 1..=9) => Ok(level),
        _ => Err("expected a level from 1 (fastest) to 9 (smallest result)".to_owned()),
    }
}

pub(crate) fn window_bits(value: &str) -> Result<WindowBits, String> {
    let bits = value.parse().ok().and_then(WindowBits::new);
    bits.ok_or_else(|| "expected a window from 8 (256 bytes) to 15 (32 KiB)".to_owned())
}

/// An origin as a browser writes it in `Origin`, all subdomains of one, `null`, or `*`
/// for all of them.
pub(crate) fn origin(value: &str) -> Result<AllowedOrigin, String> {
    match value {
        "*" => Ok(AllowedOrigin::Any),
        _ => value
            .parse()
            .map(AllowedOrigin::Pattern)
            .map_err(|error: InvalidOrigin| error.to_string()),
    }
}

/// A name or an address of the server, all names below one, or `*` for all of them.
pub(crate) fn host(value: &str) -> Result<AllowedHost, String> {
    match value {
        "*" => Ok(AllowedHost::Any),
        _ => value
            .parse()
            .map(AllowedHost::Pattern)
            .map_err(|error: InvalidHost| error.to_string()),
    }
}

/// An address or a network of proxies, or `unix`.
pub(crate) fn proxy(value: &str) -> Result<NamedProxy, String> {
    match value {
        "unix" => Ok(NamedProxy::Unix),
        _ => value
            .parse()
            .map(NamedProxy::Network)
            .map_err(|error: InvalidNetwork| format!("{error}, or unix")),
    }
}

impl Interval {
    /// No time at all is 0.
    pub(crate) fn or_zero(self) -> Duration {
        self.0.unwrap_or_default()
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:o}", self.0)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |number: Option<u32>| number.map_or(String::new(), |number| number.to_string());
        match self.group {
            None => formatter.write_str(&text(self.user)),
            group => write!(formatter, "{}:{}", text(self.user), text(group)),
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&seconds_text(self.or_zero()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_is_three_octal_digits() {
        for (text, mode) in [("660", 0o660), ("0666", 0o666), ("007", 0o007)] {
            assert_eq!(super::mode(text), Ok(Mode(mode)), "{text}");
        }
        for text in ["", "6", "66", "678", "1777", "04755", "-66", "+66", "0o660"] {
            assert!(mode(text).is_err(), "{text}");
        }
        assert_eq!(Mode(0o660).to_string(), "660");
    }

    #[test]
    fn owner_is_a_user_a_group_or_both() {
        let numbers = |user, group| Ok(Owner { user, group });
        for (text, expected) in [
            ("1000", numbers(Some(1000), None)),
            ("1000:33", numbers(Some(1000), Some(33))),
            (":33", numbers(None, Some(33))),
        ] {
            assert_eq!(owner(text), expected, "{text}");
            assert_eq!(expected.map(|owner| owner.to_string()), Ok(text.to_owned()));
        }
        for text in ["", ":", "no-such-user-here", ":no-such-group-here"] {
            assert!(owner(text).is_err(), "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn owner_may_be_named() {
        let named = owner("root").expect("every system has it");
        assert_eq!(named.user, Some(0));
    }

    #[test]
    fn bytes_are_written_as_they_are_read() {
        for text in ["1", "1023", "1KiB", "1025", "64KiB", "3MiB", "1GiB"] {
            assert_eq!(bytes(text).map(bytes_text), Ok(text.to_owned()));
        }
        assert_eq!(bytes_text(0), "0");
        assert_eq!(bytes_text(1 << 16), "64KiB");
    }
}
