//! The Date header field of HTTP responses (RFC 9110 §6.6.1), rendered once a second.

use httpdate::HttpDate;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last date that was rendered.
#[derive(Debug, Default)]
pub(super) struct Date {
    /// Whole seconds since 1970 that `text` stands for.
    second: Option<u64>,
    text: String,
}

impl Date {
    /// `now` as an IMF-fixdate. `None` for a time before 1970 or after the year 9998: the
    /// clock is wrong, and RFC 9110 §6.6.1 then forbids the field. Cost: a comparison,
    /// except for the first response of a second.
    pub(super) fn at(&mut self, now: SystemTime) -> Option<&str> {
        let second = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
        if second >= YEAR_9999 {
            return None;
        }
        if self.second != Some(second) {
            self.second = Some(second);
            let second = UNIX_EPOCH + Duration::from_secs(second);
            self.text = HttpDate::from(second).to_string();
        }
        Some(&self.text)
    }
}

/// When the year 9999 begins, in seconds since 1970; `httpdate` panics from then on.
const YEAR_9999: u64 = 253_370_764_800;

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn date_is_an_imf_fixdate_of_the_current_second() {
        let mut date = Date::default();
        let almost_a_second = Duration::from_millis(999);
        // The example of RFC 9110 §5.6.7.
        for now in [seconds(784_111_777), seconds(784_111_777) + almost_a_second] {
            assert_eq!(date.at(now), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        }
        let next = date.at(seconds(784_111_778));
        assert_eq!(next, Some("Sun, 06 Nov 1994 08:49:38 GMT"));
        // The clock is set back.
        assert_eq!(date.at(seconds(0)), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    }

    #[test]
    fn wrong_clock_gives_no_date_and_no_panic() {
        let mut date = Date::default();
        let last = date.at(seconds(YEAR_9999 - 1));
        assert_eq!(last, Some("Thu, 31 Dec 9998 23:59:59 GMT"));
        assert_eq!(date.at(seconds(YEAR_9999)), None);
        assert_eq!(date.at(UNIX_EPOCH - Duration::from_nanos(1)), None);
    }
}
