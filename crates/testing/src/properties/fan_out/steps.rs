//! The steps that are applied to a log, and their encoding as bytes.
//!
//! ```text
//! | selector | step | step ...      the limits of the log, and how it ends
//!
//! a step:   | which | kind | argument | ...     four bits, four bits, bytes
//! ```
//!
//! | kind | | arguments |
//! |---|---|---|
//! | 0 to 5 | append: copied, encoded, shared; odd: except `which` | length; hint if encoded |
//! | 6, 7 | subscribe, `which` records in the past; unsubscribe | |
//! | 8 | flush, and those that catch up if there is a budget, with `which` + 1 sockets in turn (the low two of its four bits) | budget, if the highest bit of `which` is set; accepted, for each socket |
//! | 9, 10 | flush one, finish record | accepted |
//! | 11, 12, 13 | take remainder, skip to end, skip to latest | |
//! | 14 | a frame for this connection alone | length |
//! | 15 | write the connection's own frames | accepted |

use yamabiko::broadcast::LogLimits;

/// A step for the log or for one of its subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Append {
        bytes: usize,
        how: How,
        except: Option<Which>,
    },
    Subscribe,
    /// With a cursor so many records in the past, or as many as the log keeps.
    SubscribeFrom(Which),
    Unsubscribe(Which),
    /// The sockets that are offered bytes accept so much, in turn.
    Flush(Vec<Accepted>),
    /// The same with a budget of bytes, of which each write costs one more. Those that are catching up follow.
    FlushWithin(u8, Vec<Accepted>),
    FlushOne(Which, Accepted),
    FinishRecord(Which, Accepted),
    TakeRemainder(Which),
    SkipToEnd(Which),
    SkipToLatest(Which),
    /// A frame of this number of bytes for this connection alone.
    QueueOwn(Which, usize),
    /// Writes the connection's own frames, after a partly written record.
    WriteOwn(Which, Accepted),
}

/// A subscription by its index, modulo the number of subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Which(pub u8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Copied,
    /// Encoded directly into the log, with this length hint.
    Encoded(usize),
    Shared,
}

/// How much a socket accepts of the offered bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    All,
    AtMost(u8),
}

impl Which {
    pub const MAX: u8 = 15;

    pub fn of(self, subscriptions: usize) -> usize {
        usize::from(self.0) % subscriptions
    }
}

impl Accepted {
    /// The largest count that a byte can encode; 255 is `All`.
    pub const MOST: u8 = 254;

    pub fn of(self, offered: usize) -> usize {
        match self {
            Accepted::All => offered,
            Accepted::AtMost(bytes) => usize::from(bytes).min(offered),
        }
    }

    fn byte(self) -> u8 {
        match self {
            Accepted::All => u8::MAX,
            Accepted::AtMost(bytes) => bytes.min(Accepted::MOST),
        }
    }

    fn from_byte(byte: u8) -> Accepted {
        match byte {
            u8::MAX => Accepted::All,
            bytes => Accepted::AtMost(bytes),
        }
    }
}

/// Maximum bytes of a record: more than a small chunk holds.
pub const RECORD_BYTES_MAX: usize = 47;
/// Maximum bytes of a frame for one connection.
pub const OWN_BYTES_MAX: usize = 31;
/// Larger than any record.
pub const HINT_MAX: usize = 63;
/// In `which` of a flush: it has a budget.
const WITHIN: u8 = 0b1000;
/// Maximum number of different amounts that sockets accept in one flush.
pub const SOCKETS_MAX: usize = 4;

/// The limits of the log, and how many idle chunks the pool keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    pub limits: LogLimits,
    pub idle_max: usize,
    /// The log keeps its newest [`KEPT`] records, though all cursors have passed them.
    pub keeps: bool,
}

/// How many records a log keeps that keeps any.
pub const KEPT: usize = 8;
/// The bit of the selector that makes the log keep records.
pub const KEEPS: u8 = 0b100;

impl Setup {
    /// The low two bits select one of three setups; each makes other limits reachable.
    pub fn of(selector: u8) -> Setup {
        let setup = |chunk_bytes, shared_bytes_min, idle_max| Setup {
            keeps: selector & KEEPS != 0,
            limits: LogLimits {
                chunk_bytes,
                shared_bytes_min,
            },
            idle_max,
        };
        match selector % 4 {
            // Records fill chunks, chunks fill the pool, and backlogs have more slices than are
            // offered at once.
            0 => setup(32, 12, 3),
            // Many records in a chunk, and none is large.
            1 => setup(256, 48, 1),
            // Each record has its own chunk.
            _ => setup(1, 1, 0),
        }
    }
}

/// Decodes steps until the bytes end; a missing argument is 0.
pub fn steps(data: &[u8]) -> impl Iterator<Item = Step> {
    let mut bytes = data.iter().copied();
    std::iter::from_fn(move || {
        let head = bytes.next()?;
        Some(step(head, &mut || bytes.next().unwrap_or(0)))
    })
}

fn step(head: u8, argument: &mut impl FnMut() -> u8) -> Step {
    let (which, kind) = (Which(head >> 4), head & 0b1111);
    match kind {
        0..=5 => Step::Append {
            bytes: usize::from(argument()) % (RECORD_BYTES_MAX + 1),
            how: match kind / 2 {
                0 => How::Copied,
                1 => How::Encoded(usize::from(argument()) % (HINT_MAX + 1)),
                _ => How::Shared,
            },
            except: (kind % 2 == 1).then_some(which),
        },
        6 if which.0 > 0 => Step::SubscribeFrom(which),
        6 => Step::Subscribe,
        7 => Step::Unsubscribe(which),
        8 => {
            let sockets = usize::from(which.0) % SOCKETS_MAX + 1;
            let budget = (which.0 & WITHIN != 0).then(&mut *argument);
            let accepted = (0..sockets).map(|_| Accepted::from_byte(argument()));
            let accepted = accepted.collect();
            match budget {
                Some(budget) => Step::FlushWithin(budget, accepted),
                None => Step::Flush(accepted),
            }
        }
        9 => Step::FlushOne(which, Accepted::from_byte(argument())),
        10 => Step::FinishRecord(which, Accepted::from_byte(argument())),
        11 => Step::TakeRemainder(which),
        12 => Step::SkipToEnd(which),
        13 => Step::SkipToLatest(which),
        14 => Step::QueueOwn(which, usize::from(argument()) % (OWN_BYTES_MAX + 1)),
        _ => Step::WriteOwn(which, Accepted::from_byte(argument())),
    }
}

impl Step {
    /// The bytes that [`steps`] decodes as this step.
    pub fn bytes(&self) -> Vec<u8> {
        let head = |which: Which, kind: u8| which.0 << 4 | kind;
        match self {
            Step::Append { bytes, how, except } => {
                let (kind, hint) = match how {
                    How::Copied => (0, None),
                    How::Encoded(hint) => (2, Some(*hint as u8)),
                    How::Shared => (4, None),
                };
                let which = except.unwrap_or(Which(0));
                let head = head(which, kind + u8::from(except.is_some()));
                [head, *bytes as u8].into_iter().chain(hint).collect()
            }
            Step::Subscribe => vec![6],
            Step::SubscribeFrom(which) => vec![head(*which, 6)],
            Step::Unsubscribe(which) => vec![head(*which, 7)],
            Step::Flush(accepted) => {
                let head = head(Which(accepted.len() as u8 - 1), 8);
                let accepted = accepted.iter().map(|accepted| accepted.byte());
                std::iter::once(head).chain(accepted).collect()
            }
            Step::FlushWithin(budget, accepted) => {
                let head = head(Which(WITHIN | (accepted.len() as u8 - 1)), 8);
                let accepted = accepted.iter().map(|accepted| accepted.byte());
                [head, *budget].into_iter().chain(accepted).collect()
            }
            Step::FlushOne(which, accepted) => vec![head(*which, 9), accepted.byte()],
            Step::FinishRecord(which, accepted) => vec![head(*which, 10), accepted.byte()],
            Step::TakeRemainder(which) => vec![head(*which, 11)],
            Step::SkipToEnd(which) => vec![head(*which, 12)],
            Step::SkipToLatest(which) => vec![head(*which, 13)],
            Step::QueueOwn(which, bytes) => vec![head(*which, 14), *bytes as u8],
            Step::WriteOwn(which, accepted) => vec![head(*which, 15), accepted.byte()],
        }
    }
}
