//! The shares of sockets that had more to read than their budget, beside sockets that have become ready.
//!
//! ```text
//!   others ready   the sockets that had more   their budget
//!   no             are read                    whole
//!   yes            wait, up to eight turns      then short, and so for 32 turns
//! ```
//!
//! A whole budget is up to 100 µs of work, which another client would wait for in the middle of a turn. So while others come and go, the
//! sockets that have more get it in quarters. Without others nothing is divided: a turn costs a system call more.

/// What a turn does with the sockets that had more to read than their budget.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// So many turns in succession have not read them, because others have become ready.
    turns_of_others: u32,
    /// So many turns read them with a short budget, if no others become ready before.
    short_turns_left: u32,
}

impl Shares {
    /// A turn begins. `others`: sockets have become ready; `had_more`: some had more to read than their budget.
    pub(super) fn begin_turn(&mut self, others: bool, had_more: bool) {
        let others_first = others && had_more;
        self.turns_of_others = match self.turns_of_others {
            turns if others_first && turns < TURNS_OF_OTHERS_MAX => turns + 1,
            _ => 0,
        };
        self.short_turns_left = match others_first {
            true => SHORT_TURNS,
            false => self.short_turns_left.saturating_sub(1),
        };
    }

    /// Whether this turn reads the sockets that had more.
    pub(super) fn reads_them(&self) -> bool {
        self.turns_of_others == 0
    }

    /// The budget of one of them.
    pub(super) fn budget_of_them(&self, budget: usize) -> Budget {
        match self.short_turns_left {
            0 => Budget::whole(budget),
            _ => Budget {
                bytes: (budget / SHORT_PART).max(1),
                is_short: true,
            },
        }
    }
}

/// What one socket may read in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    pub(super) bytes: usize,
    /// Others come and go: it is smaller than usual.
    pub(super) is_short: bool,
}

impl Budget {
    pub(super) fn whole(bytes: usize) -> Budget {
        Budget {
            bytes,
            is_short: false,
        }
    }
}

/// How many turns of others sockets that have used their budget wait for at most: with one small request each, about as long as one budget.
const TURNS_OF_OTHERS_MAX: u32 = 8;
/// Turns after one of others: some milliseconds. A client that asks as soon as it has an answer is there again in each of them.
const SHORT_TURNS: u32 = 32;
/// A short budget is this part of a whole one: of 256 KiB 64 KiB, which is one read, or about 25 µs of small messages.
const SHORT_PART: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Budget = Budget {
        bytes: 256,
        is_short: false,
    };
    const SHORT: Budget = Budget {
        bytes: 64,
        is_short: true,
    };

    #[test]
    fn sockets_that_had_more_wait_for_eight_turns_of_others_and_not_for_a_ninth() {
        let mut shares = Shares::default();
        for _ in 0..3 {
            for _ in 0..8 {
                shares.begin_turn(true, true);
                assert!(!shares.reads_them());
            }
            shares.begin_turn(true, true);
            assert!(shares.reads_them());
            assert_eq!(shares.budget_of_them(256), SHORT);
        }
    }

    #[test]
    fn budget_is_short_for_32_turns_after_one_of_others_and_whole_in_the_next_one() {
        let mut shares = Shares::default();
        shares.begin_turn(false, true);
        assert!(shares.reads_them());
        assert_eq!(shares.budget_of_them(256), WHOLE);
        shares.begin_turn(true, true);
        assert!(!shares.reads_them());
        // The turn of the others is the first of them.
        for _ in 0..31 {
            shares.begin_turn(false, true);
            assert!(shares.reads_them());
            assert_eq!(shares.budget_of_them(256), SHORT);
        }
        shares.begin_turn(false, true);
        assert_eq!(shares.budget_of_them(256), WHOLE);
        // Others alone change nothing.
        shares.begin_turn(true, false);
        assert!(shares.reads_them());
        assert_eq!(shares.budget_of_them(256), WHOLE);
    }

    #[test]
    fn short_budget_is_never_nothing() {
        let mut shares = Shares::default();
        shares.begin_turn(true, true);
        assert_eq!(shares.budget_of_them(1).bytes, 1);
    }
}
