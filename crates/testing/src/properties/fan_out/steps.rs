//! What happens to a room, as a list of steps, and the bytes that stand for it.
//!
//! ```text
//! | selector | step | step ...    how the log is cut, and how it ends
//!
//! a step:   | who  | kind | argument | ...    four bits, four bits, bytes
//! ```
//!
//! | kind | | arguments |
//! |---|---|---|
//! | 0 to 5 | append: copied, encoded, shared; odd: except `who` | length; hint if encoded |
//! | 6, 7 | join; leave | |
//! | 8 | flush, with `who` + 1 sockets in turn (of four bits, the low two) | as many times taken |
//! | 9, 10 | flush one, finish record | taken |
//! | 11, 12, 13 | take remainder, skip to end, skip to latest | |
//! | 14 | a frame to this member alone | length |
//! | 15 | write the member's own frames | taken |

use yamabiko::broadcast::LogLimits;

/// What is done to the room or to one of its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Append {
        bytes: usize,
        how: How,
        except: Option<Who>,
    },
    Join,
    Leave(Who),
    /// The sockets of those who are offered something take this, in turn.
    Flush(Vec<Taken>),
    FlushOne(Who, Taken),
    FinishRecord(Who, Taken),
    TakeRemainder(Who),
    SkipToEnd(Who),
    SkipToLatest(Who),
    /// So many bytes to this member alone.
    Say(Who, usize),
    /// Writes what waits for this member alone, after a record that was begun.
    WriteOwn(Who, Taken),
}

/// A member, by its place among those who are there, counted round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who(pub u8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Copied,
    /// Encoded into the log, with this hint of its length.
    Encoded(usize),
    Shared,
}

/// What a socket takes of what it is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    All,
    AtMost(u8),
}

impl Who {
    pub const MAX: u8 = 15;

    pub fn of(self, members: usize) -> usize {
        usize::from(self.0) % members
    }
}

impl Taken {
    /// The largest count that a byte can stand for; the next one is `All`.
    pub const MOST: u8 = 254;

    pub fn of(self, offered: usize) -> usize {
        match self {
            Taken::All => offered,
            Taken::AtMost(bytes) => usize::from(bytes).min(offered),
        }
    }

    fn byte(self) -> u8 {
        match self {
            Taken::All => u8::MAX,
            Taken::AtMost(bytes) => bytes.min(Taken::MOST),
        }
    }

    fn from_byte(byte: u8) -> Taken {
        match byte {
            u8::MAX => Taken::All,
            bytes => Taken::AtMost(bytes),
        }
    }
}

/// Bytes of a record at most: more than a small chunk has.
pub const RECORD_BYTES_MAX: usize = 47;
/// Bytes that are said to one member at once at most.
pub const SAID_BYTES_MAX: usize = 31;
/// Larger than any record.
pub const HINT_MAX: usize = 63;
/// Sockets that take different amounts in one flush.
pub const SOCKETS_MAX: usize = 4;

/// How the log is cut, and how many chunks are kept for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    pub limits: LogLimits,
    pub idle_max: usize,
}

impl Cut {
    /// Selects one of three by the two low bits; each brings other bounds within reach.
    pub fn of(selector: u8) -> Cut {
        let cut = |chunk_bytes, shared_bytes_min, idle_max| Cut {
            limits: LogLimits {
                chunk_bytes,
                shared_bytes_min,
            },
            idle_max,
        };
        match selector % 4 {
            // Records fill chunks, chunks fill the pool, and backlogs have more
            // slices than are offered at once.
            0 => cut(32, 12, 3),
            // Many records in a chunk, and none is large.
            1 => cut(256, 48, 1),
            // Each record lies in a chunk of its own.
            _ => cut(1, 1, 0),
        }
    }
}

/// Reads steps until the bytes end; where an argument is missing it is 0.
pub fn steps(data: &[u8]) -> impl Iterator<Item = Step> {
    let mut bytes = data.iter().copied();
    std::iter::from_fn(move || {
        let head = bytes.next()?;
        Some(step(head, &mut || bytes.next().unwrap_or(0)))
    })
}

fn step(head: u8, argument: &mut impl FnMut() -> u8) -> Step {
    let (who, kind) = (Who(head >> 4), head & 0b1111);
    match kind {
        0..=5 => Step::Append {
            bytes: usize::from(argument()) % (RECORD_BYTES_MAX + 1),
            how: match kind / 2 {
                0 => How::Copied,
                1 => How::Encoded(usize::from(argument()) % (HINT_MAX + 1)),
                _ => How::Shared,
            },
            except: (kind % 2 == 1).then_some(who),
        },
        6 => Step::Join,
        7 => Step::Leave(who),
        8 => {
            let sockets = usize::from(who.0) % SOCKETS_MAX + 1;
            Step::Flush((0..sockets).map(|_| Taken::from_byte(argument())).collect())
        }
        9 => Step::FlushOne(who, Taken::from_byte(argument())),
        10 => Step::FinishRecord(who, Taken::from_byte(argument())),
        11 => Step::TakeRemainder(who),
        12 => Step::SkipToEnd(who),
        13 => Step::SkipToLatest(who),
        14 => Step::Say(who, usize::from(argument()) % (SAID_BYTES_MAX + 1)),
        _ => Step::WriteOwn(who, Taken::from_byte(argument())),
    }
}

impl Step {
    /// The bytes that [`steps`] reads as this step.
    pub fn bytes(&self) -> Vec<u8> {
        let head = |who: Who, kind: u8| who.0 << 4 | kind;
        match self {
            Step::Append { bytes, how, except } => {
                let (kind, hint) = match how {
                    How::Copied => (0, None),
                    How::Encoded(hint) => (2, Some(*hint as u8)),
                    How::Shared => (4, None),
                };
                let who = except.unwrap_or(Who(0));
                let head = head(who, kind + u8::from(except.is_some()));
                [head, *bytes as u8].into_iter().chain(hint).collect()
            }
            Step::Join => vec![6],
            Step::Leave(who) => vec![head(*who, 7)],
            Step::Flush(taken) => {
                let head = head(Who(taken.len() as u8 - 1), 8);
                let taken = taken.iter().map(|taken| taken.byte());
                std::iter::once(head).chain(taken).collect()
            }
            Step::FlushOne(who, taken) => vec![head(*who, 9), taken.byte()],
            Step::FinishRecord(who, taken) => vec![head(*who, 10), taken.byte()],
            Step::TakeRemainder(who) => vec![head(*who, 11)],
            Step::SkipToEnd(who) => vec![head(*who, 12)],
            Step::SkipToLatest(who) => vec![head(*who, 13)],
            Step::Say(who, bytes) => vec![head(*who, 14), *bytes as u8],
            Step::WriteOwn(who, taken) => vec![head(*who, 15), taken.byte()],
        }
    }
}
