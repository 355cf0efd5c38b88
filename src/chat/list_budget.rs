//! How many bytes of lists of names one client may ask for.
//!
//! A question of 22 bytes brings up to 130 kB: a client that asked in a loop got 590 to 870 MB per second. So the lists of a connection come out
//! of a supply, which 256 KiB per second fill again. A client within it gets every list at once; the list that empties it is still sent. Further
//! ones are refused with `too_often` until it holds something again.
//!
//! Without a clock: the time is an input. Cost: 16 bytes for each connection, and nothing for a message that asks for no list.

/// The supply of one connection.
#[derive(Debug)]
pub(super) struct ListBudget {
    /// ≤ `BYTES_MAX`; 0 or below: used up
    bytes: i64,
    /// When that was so, in milliseconds.
    at: u64,
}

impl ListBudget {
    /// A whole supply.
    pub(super) const FULL: ListBudget = ListBudget {
        bytes: BYTES_MAX,
        at: 0,
    };

    /// Whether a list may be sent at `time` (milliseconds since 1970-01-01 UTC; a clock that is set back fills nothing).
    pub(super) fn allows(&mut self, time: u64) -> bool {
        let passed = time.saturating_sub(self.at);
        let gained = i64::try_from(passed.saturating_mul(BYTES_PER_MILLI)).unwrap_or(BYTES_MAX);
        self.bytes = self.bytes.saturating_add(gained).min(BYTES_MAX);
        self.at = time;
        self.bytes > 0
    }

    /// A list was sent, in a message of so many bytes.
    pub(super) fn spend(&mut self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(BYTES_MAX);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// 32 of the longest lists, as a client asks for them that joins and leaves, or has missed messages.
const BYTES_MAX: i64 = 4 << 20;

/// Two of the longest lists in a second.
const BYTES_PER_MILLI: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supply_allows_all_of_its_bytes_at_once_and_nothing_past_them() {
        let mut budget = ListBudget::FULL;
        budget.spend(BYTES_MAX as usize - 1);
        assert!(budget.allows(0));
        budget.spend(1);
        assert!(!budget.allows(0));
        // A list is sent whole, and the rest of it is missing.
        budget.spend(1000);
        assert!(!budget.allows(3) && budget.allows(4));
    }

    #[test]
    fn supply_fills_again_to_its_maximum_and_not_past_it() {
        let mut budget = ListBudget::FULL;
        assert!(budget.allows(u64::MAX / 2));
        budget.spend(BYTES_MAX as usize);
        assert!(!budget.allows(u64::MAX / 2));
        assert!(budget.allows(u64::MAX));
        budget.spend(BYTES_MAX as usize);
        assert!(!budget.allows(u64::MAX));
        // Neither a clock that is set back nor the longest message does harm.
        budget.spend(usize::MAX);
        assert!(!budget.allows(0));
    }
}
