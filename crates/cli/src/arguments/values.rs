//! The forms of the values: numbers, bytes, seconds, addresses, origins.
//!
//! A [`Form`] reads a value from text and writes it, so that each value can be read again. The error of reading names the
//! expected value; the name of the option and the value are put in front of it by [`super::error`].

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use yamabiko::server::{
    BasePath, HostPattern, InvalidBasePath, InvalidListenAddress, InvalidNetwork, ListenAddress,
    Network, OriginPattern, WindowBits,
};
use yamabiko_pusher::App;

/// How the values of a setting are written.
#[derive(Clone, Copy)]
pub(crate) struct Form<T> {
    /// What the help names the value.
    pub unit: &'static str,
    /// The value of a text, or the expected form.
    pub read: fn(&str) -> Result<T, String>,
    pub write: fn(&T) -> Value,
}

/// A value as a settings file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A number, true or false.
    Bare(String),
    /// A text, which is in quotation marks in a file.
    Text(String),
    List(Vec<String>),
}

pub(crate) const BYTES: Form<usize> = form("BYTES", bytes, |bytes| Value::bytes(*bytes));
pub(crate) const RATE: Form<u32> = form("BYTES", rate, |bytes| Value::bytes(*bytes as usize));
pub(crate) const SMALL_BYTES: Form<NonZeroU32> = form("BYTES", small_bytes, |bytes| {
    Value::bytes(bytes.get() as usize)
});
pub(crate) const SECONDS: Form<Duration> =
    form("SECONDS", seconds, |time| Value::Bare(seconds_text(*time)));
pub(crate) const SECONDS_OR_ZERO: Form<Duration> = form("SECONDS", seconds_or_zero, |time| {
    Value::Bare(seconds_text(*time))
});
pub(crate) const WORKERS: Form<NonZeroUsize> = form("N", workers, Value::number_or_text);
pub(crate) const LEVEL: Form<u8> = form("LEVEL", level, Value::number_or_text);
pub(crate) const BITS: Form<WindowBits> = form("BITS", window_bits, |bits| {
    Value::number_or_text(&bits.get())
});
pub(crate) const ADDRESS: Form<ListenAddress> = form("ADDRESS", address, Value::text);
pub(crate) const MODE: Form<Mode> = form("MODE", mode, Value::text);
pub(crate) const OWNER: Form<Owner> = form("OWNER", owner, Value::text);
pub(crate) const ORIGIN: Form<Allowed<OriginPattern>> = form("ORIGIN", allowed, Value::text);
pub(crate) const HOST: Form<Allowed<HostPattern>> = form("HOST", allowed, Value::text);
pub(crate) const PROXY: Form<NamedProxy> = form("NETWORK", proxy, Value::text);
pub(crate) const FILE: Form<PathBuf> = form("FILE", path, |path| {
    Value::Text(path.to_string_lossy().into_owned())
});
pub(crate) const BASE_PATH: Form<BasePath> = form("PATH", base_path, Value::text);
pub(crate) const NETWORK: Form<Network> = form("NETWORK", network, Value::text);
pub(crate) const NAME: Form<String> = form("NAME", text, Value::text);

#[cfg(feature = "cluster")]
pub(crate) const REDIS: Form<yamabiko_redis::RedisUrl> = form("URL", redis, Value::text);

pub(crate) const APP: Form<AppText> = form("ID:KEY:SECRET", app, |app| {
    Value::text(&app.without_secret())
});

const fn form<T>(
    unit: &'static str,
    read: fn(&str) -> Result<T, String>,
    write: fn(&T) -> Value,
) -> Form<T> {
    Form { unit, read, write }
}

/// A valid `ID:KEY:SECRET`, as it was written.
#[derive(Clone, PartialEq)]
pub(crate) struct AppText(pub String);

/// The secret is in no message.
impl fmt::Debug for AppText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppText")
    }
}

impl AppText {
    /// With [`HIDDEN`] in place of the secret.
    fn without_secret(&self) -> String {
        let mut parts = self.0.splitn(3, ':');
        let (id, key) = (parts.next().unwrap_or_default(), parts.next());
        format!("{id}:{}:{HIDDEN}", key.unwrap_or_default())
    }
}

/// What `yamabiko config` prints for a secret. It is refused as one: a file of that command needs the secret.
const HIDDEN: &str = "***";

fn app(value: &str) -> Result<AppText, String> {
    if value.splitn(3, ':').nth(2) == Some(HIDDEN) {
        return Err(format!(
            "the secret is hidden: write it in the place of {HIDDEN}"
        ));
    }
    let app = value.parse::<App>().map_err(|error| error.to_string());
    app.map(|_| AppText(value.to_owned()))
}

#[cfg(feature = "cluster")]
fn redis(value: &str) -> Result<yamabiko_redis::RedisUrl, String> {
    let parsed = value.parse();
    parsed.map_err(|error: yamabiko_redis::InvalidRedisUrl| error.to_string())
}

/// A value of `--allow-origin` or `--allow-host`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Allowed<T> {
    /// `*`
    Any,
    Pattern(T),
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

/// A value of `--proxy`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NamedProxy {
    /// What connects to a Unix socket.
    Unix,
    Network(Network),
}

/// The bytes of a payload that a trace shows: four lines of 16.
pub(crate) const SHOWN_BYTES: usize = 64;

/// So much of each payload is held.
pub(crate) const SHOWN_BYTES_MAX: usize = 1 << 20;

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
fn address(value: &str) -> Result<ListenAddress, String> {
    let parsed = value.parse();
    parsed.map_err(|error: InvalidListenAddress| error.to_string())
}

fn network(value: &str) -> Result<Network, String> {
    let parsed = value.parse();
    parsed.map_err(|error: InvalidNetwork| error.to_string())
}

fn base_path(value: &str) -> Result<BasePath, String> {
    let parsed = value.parse();
    parsed.map_err(|error: InvalidBasePath| error.to_string())
}

/// The mode of a Unix socket's file: three octal digits, or four that begin with 0.
fn mode(value: &str) -> Result<Mode, String> {
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
fn owner(value: &str) -> Result<Owner, String> {
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
pub(crate) fn count<T: FromStr + ToString>() -> Form<T> {
    form("N", whole_number, Value::number_or_text)
}

pub(crate) fn whole_number<T: FromStr>(value: &str) -> Result<T, String> {
    let is_zero = value.bytes().all(|digit| b"+0".contains(&digit));
    let number = value.parse().ok().filter(|_| !is_zero);
    number.ok_or_else(|| "expected a whole number from 1".to_owned())
}

/// A number of threads. Each has descriptors of its own: far more than there are cores is a mistake.
fn workers(value: &str) -> Result<NonZeroUsize, String> {
    let workers = whole_number(value).ok();
    let workers = workers.filter(|workers: &NonZeroUsize| workers.get() <= 1024);
    workers.ok_or_else(|| "expected a whole number from 1 to 1024".to_owned())
}

/// A number of bytes: `65536`, `64KiB`, `1MiB`, `1GiB`.
pub(crate) fn bytes(value: &str) -> Result<usize, String> {
    let (digits, unit) = UNITS
        .into_iter()
        .find_map(|(suffix, unit)| Some((value.strip_suffix(suffix)?, unit)))
        .unwrap_or((value, 1));
    whole_number::<usize>(digits)
        .ok()
        .and_then(|count| count.checked_mul(unit))
        .ok_or_else(|| "expected a number of bytes such as 65536, 64KiB or 1MiB".to_owned())
}

/// Bytes per second as [`bytes`] reads them, or `0`: less than 4 GiB.
fn rate(value: &str) -> Result<u32, String> {
    let bytes = match value {
        "0" => Some(0),
        _ => bytes(value)
            .ok()
            .and_then(|bytes| u32::try_from(bytes).ok()),
    };
    bytes.ok_or_else(|| "expected bytes per second, 0 or such as 1024, 64KiB or 1MiB".to_owned())
}

/// Bytes as [`bytes`] reads them, from 1 and less than 4 GiB.
fn small_bytes(value: &str) -> Result<NonZeroU32, String> {
    let bytes = rate(value).ok().and_then(NonZeroU32::new);
    bytes.ok_or_else(|| "expected a number of bytes such as 65536, 64KiB or 1MiB".to_owned())
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
pub(crate) fn seconds_or_zero(value: &str) -> Result<Duration, String> {
    match value {
        "0" => Ok(Duration::ZERO),
        _ => seconds(value)
            .map_err(|_| "expected 0, or seconds from 0.001 to 86400, such as 10 or 0.25".into()),
    }
}

/// A time as [`seconds_or_zero`] reads it.
pub(crate) fn seconds_text(time: Duration) -> String {
    time.as_secs_f64().to_string()
}

/// How much a compressor tries.
fn level(value: &str) -> Result<u8, String> {
    match value.parse() {
        Ok(level @ 1..=9) => Ok(level),
        _ => Err("expected a level from 1 (fastest) to 9 (smallest result)".to_owned()),
    }
}

fn window_bits(value: &str) -> Result<WindowBits, String> {
    let bits = value.parse().ok().and_then(WindowBits::new);
    bits.ok_or_else(|| "expected a window from 8 (256 bytes) to 15 (32 KiB)".to_owned())
}

fn path(value: &str) -> Result<PathBuf, String> {
    text(value).map(PathBuf::from)
}

fn text(value: &str) -> Result<String, String> {
    match value {
        "" => Err("expected a text".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// An origin as a browser writes it, a name or an address of the server, all names below one, or `*` for all of them.
fn allowed<T: FromStr<Err: fmt::Display>>(value: &str) -> Result<Allowed<T>, String> {
    match value {
        "*" => Ok(Allowed::Any),
        _ => value
            .parse()
            .map(Allowed::Pattern)
            .map_err(|error: T::Err| error.to_string()),
    }
}

/// An address or a network of proxies, or `unix`.
fn proxy(value: &str) -> Result<NamedProxy, String> {
    match value {
        "unix" => Ok(NamedProxy::Unix),
        _ => value
            .parse()
            .map(NamedProxy::Network)
            .map_err(|error: InvalidNetwork| format!("{error}, or unix")),
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

impl<T: fmt::Display> fmt::Display for Allowed<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Allowed::Any => formatter.write_str("*"),
            Allowed::Pattern(pattern) => pattern.fmt(formatter),
        }
    }
}

impl fmt::Display for NamedProxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NamedProxy::Unix => formatter.write_str("unix"),
            NamedProxy::Network(network) => network.fmt(formatter),
        }
    }
}

impl Value {
    pub(crate) fn text(value: &impl ToString) -> Value {
        Value::Text(value.to_string())
    }

    /// A number, if a file can have it: the numbers of TOML end at 2^63.
    pub(crate) fn number_or_text(value: &(impl ToString + ?Sized)) -> Value {
        let text = value.to_string();
        let is_decimal =
            text.contains('.') && text.bytes().all(|byte| b".0123456789".contains(&byte));
        match is_decimal || text.parse::<i64>().is_ok() {
            true => Value::Bare(text),
            false => Value::Text(text),
        }
    }

    fn bytes(bytes: usize) -> Value {
        Value::number_or_text(&bytes_text(bytes))
    }

    /// As a settings file has it.
    pub(crate) fn in_file(&self) -> String {
        match self {
            Value::Bare(text) => text.clone(),
            Value::Text(text) => quoted(text),
            Value::List(texts) => {
                let quoted: Vec<String> = texts.iter().map(|text| self::quoted(text)).collect();
                format!("[{}]", quoted.join(", "))
            }
        }
    }
}

/// As an option has it.
impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bare(text) | Value::Text(text) => formatter.write_str(text),
            Value::List(texts) if texts.is_empty() => formatter.write_str(NONE),
            Value::List(texts) => formatter.write_str(&texts.join(", ")),
        }
    }
}

/// A text in the quotation marks of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted + "\""
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
