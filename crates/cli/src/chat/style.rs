//! How lines look: colours of names and the time of a message, on a terminal only.
//!
//! A program gets neither, so that its input does not depend on the machine. `NO_COLOR` (any value that is not empty) switches
//! colours off, as does a terminal without a name or with the name `dumb`.

use std::env;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::terminal::can_move_cursor;

/// The look of the lines of one output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    colours: bool,
    /// `None`: lines have no time.
    time_zone: Option<TimeZone>,
}

impl Style {
    /// For a terminal: in the time zone of this machine.
    pub(super) fn of_terminal() -> Style {
        let is_off = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Style {
            colours: !is_off && can_move_cursor(),
            time_zone: Some(TimeZone::system()),
        }
    }

    /// A name in its colour. It is printable.
    pub(super) fn name(&self, name: &str) -> String {
        let colour = COLOURS[hash(name) as usize % COLOURS.len()];
        self.painted(name, &format!("1;{colour}"))
    }

    /// A line that is no message of a member.
    pub(super) fn note(&self, line: &str) -> String {
        self.painted(line, "2")
    }

    /// A message that mentions the user.
    pub(super) fn mention(&self, text: &str) -> String {
        self.painted(text, "1;7")
    }

    fn painted(&self, text: &str, codes: &str) -> String {
        match self.colours {
            true => format!("\x1b[{codes}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// The time of a message and a space, or nothing. `time`: milliseconds since 1970-01-01 UTC.
    pub(super) fn time(&self, time: u64) -> String {
        let clock = |at: Zoned| self.note(&at.strftime("%H:%M").to_string()) + " ";
        self.local(time).map_or_else(String::new, clock)
    }

    /// The day of a message, on the calendar of this machine.
    pub(super) fn day(&self, time: u64) -> Option<Date> {
        self.local(time).map(|at| at.date())
    }

    fn local(&self, time: u64) -> Option<Zoned> {
        let zone = self.time_zone.clone()?;
        let at = Timestamp::from_millisecond(i64::try_from(time).ok()?).ok()?;
        Some(at.to_zoned(zone))
    }
}

/// Colours that can be read on a dark and on a light ground.
const COLOURS: [u8; 5] = [32, 33, 34, 35, 36];

/// FNV-1a of the name in lower case: a person has one colour, however the name is written.
fn hash(name: &str) -> u32 {
    let bytes = name.to_lowercase().into_bytes();
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Colours, and times in UTC.
    pub(in crate::chat) fn colourful() -> Style {
        Style {
            colours: true,
            time_zone: Some(TimeZone::UTC),
        }
    }

    #[test]
    fn name_has_one_colour_in_upper_and_lower_case() {
        let style = colourful();
        let [one, other] = ["Aiko", "AIKO"].map(|name| style.name(name));
        assert_eq!(one.replace("Aiko", "AIKO"), other);
        assert!(
            one.starts_with("\x1b[1;3") && one.ends_with("Aiko\x1b[0m"),
            "{one:?}"
        );
        assert_eq!(Style::default().name("Aiko"), "Aiko");
    }

    #[test]
    fn time_is_that_of_the_time_zone_and_missing_in_a_plain_style() {
        let noon = 1_767_268_800_000;
        let style = Style {
            colours: false,
            time_zone: Some(TimeZone::fixed(jiff::tz::offset(9))),
        };
        assert_eq!(style.time(noon), "21:00 ");
        assert_eq!(style.day(noon), Some(jiff::civil::date(2026, 1, 1)));
        assert_eq!(
            style.day(noon + 3 * 3_600_000),
            Some(jiff::civil::date(2026, 1, 2))
        );
        assert_eq!(Style::default().time(noon), "");
        assert_eq!(style.time(u64::MAX), "", "a time that no calendar has");
    }
}
