//! What the flags of all commands share: reading a value, and units.

use std::num::NonZeroUsize;
use std::time::Duration;

use lexopt::{Parser, ValueExt};

/// The names of the flags that were given, in order.
#[derive(Debug, Default)]
pub(crate) struct Given(Vec<String>);

impl Given {
    /// Adds a flag. A second one of the same name would silently replace the first, and is
    /// an error unless it is `repeatable`.
    pub(crate) fn add(&mut self, flag: String, repeatable: &[&str]) -> Result<(), lexopt::Error> {
        if self.0.contains(&flag) && !repeatable.contains(&flag.as_str()) {
            return Err(format!("--{flag} is given twice").into());
        }
        self.0.push(flag);
        Ok(())
    }

    pub(crate) fn has(&self, flag: &str) -> bool {
        self.0.iter().any(|given| given == flag)
    }
}

/// The flag's value, with the flag's name in front of whatever is wrong with it.
pub(crate) fn value<T>(
    flag: &str,
    parser: &mut Parser,
    read: fn(&str) -> Result<T, String>,
) -> Result<T, lexopt::Error> {
    let word = parser.value()?.string()?;
    read(&word).map_err(|wanted| format!("--{flag} '{word}': {wanted}").into())
}

/// A number from 1.
pub(crate) fn count(word: &str) -> Result<NonZeroUsize, String> {
    word.parse()
        .map_err(|_| "expected a whole number from 1".to_owned())
}

/// A number of bytes: `65536`, `64KiB`, `1MiB`, `1GiB`.
pub(crate) fn bytes(word: &str) -> Result<usize, String> {
    let (digits, unit) = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)]
        .into_iter()
        .find_map(|(suffix, unit)| Some((word.strip_suffix(suffix)?, unit)))
        .unwrap_or((word, 1));
    count(digits)
        .ok()
        .and_then(|count| count.get().checked_mul(unit))
        .ok_or_else(|| "expected a number of bytes such as 65536, 64KiB or 1MiB".to_owned())
}

/// Seconds with decimals: more than none, at most a day.
pub(crate) fn seconds(word: &str) -> Result<Duration, String> {
    match word.parse::<f64>() {
        Ok(seconds) if (0.001..=86_400.0).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err("expected seconds from 0.001 to 86400, such as 10 or 0.25".to_owned()),
    }
}

/// As [`seconds`]; 0 is `None`: never.
pub(crate) fn interval(word: &str) -> Result<Option<Duration>, String> {
    match word {
        "0" => Ok(None),
        _ => seconds(word).map(Some),
    }
}
