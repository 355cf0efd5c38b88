//! The first inputs of the fuzzer: one short sequence of steps for each situation between a
//! log and a cursor.

use super::DISSOLVED;
use super::steps::{Accepted, How, Step, Which};
use Accepted::{All, AtMost};
use How::{Copied, Encoded, Shared};
use Step::{
    FinishRecord, Flush, FlushOne, QueueOwn, SkipToEnd, SkipToLatest, Subscribe, TakeRemainder,
    Unsubscribe, WriteOwn,
};

/// The selectors of `Setup::of`.
const SMALL_CHUNKS: u8 = 0;
const ROOMY_CHUNKS: u8 = 1;
const CHUNK_A_RECORD: u8 = 2;

const FIRST: Which = Which(0);
const SECOND: Which = Which(1);

fn append(bytes: usize) -> Step {
    append_as(Copied, bytes)
}

fn append_as(how: How, bytes: usize) -> Step {
    Step::Append {
        bytes,
        how,
        except: None,
    }
}

fn append_except(except: Which, how: How, bytes: usize) -> Step {
    Step::Append {
        bytes,
        how,
        except: Some(except),
    }
}

fn flush(accepted: Accepted) -> Step {
    Flush(vec![accepted])
}

/// The name and the input of each.
pub fn seeds() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let cases = all_keep_up().into_iter().chain(one_lags());
    cases.chain(own_frames()).map(encoded)
}

type Case = (&'static str, u8, Vec<Step>);

fn encoded((name, selector, steps): Case) -> (&'static str, Vec<u8>) {
    let steps = steps.iter().flat_map(Step::bytes);
    (name, std::iter::once(selector).chain(steps).collect())
}

fn all_keep_up() -> Vec<Case> {
    vec![
        (
            "one-flush-for-many-records",
            ROOMY_CHUNKS,
            vec![
                Subscribe,
                Subscribe,
                append(3),
                append(9),
                append(1),
                flush(All),
            ],
        ),
        (
            "empty-records-change-nothing",
            ROOMY_CHUNKS,
            vec![
                Subscribe,
                append(0),
                append_as(Encoded(5), 0),
                append_as(Shared, 0),
                append_except(FIRST, Copied, 0),
                flush(All),
            ],
        ),
        (
            "hints-too-small-and-too-large",
            SMALL_CHUNKS,
            vec![
                Subscribe,
                append_as(Encoded(0), 11),
                append_as(Encoded(63), 2),
                append_as(Encoded(0), 40),
                flush(All),
            ],
        ),
        (
            "excluded-records-go-to-the-others",
            ROOMY_CHUNKS,
            vec![
                Subscribe,
                Subscribe,
                append_except(FIRST, Copied, 4),
                append(5),
                append_except(SECOND, Encoded(6), 6),
                append_except(FIRST, Shared, 47),
                flush(All),
            ],
        ),
        (
            "more-slices-than-are-offered-at-once",
            CHUNK_A_RECORD,
            [Subscribe]
                .into_iter()
                .chain((1..40).map(append))
                .chain([flush(All)])
                .collect(),
        ),
        (
            "subscribe-and-unsubscribe",
            SMALL_CHUNKS,
            vec![
                append(3),
                Subscribe,
                append(4),
                Subscribe,
                flush(All),
                append(5),
                Unsubscribe(FIRST),
                Subscribe,
                append(6),
            ],
        ),
    ]
}

fn one_lags() -> Vec<Case> {
    vec![
        (
            "byte-by-byte",
            SMALL_CHUNKS,
            [Subscribe, append(5), append(14)]
                .into_iter()
                .chain([flush(AtMost(1))])
                .chain((0..18).map(|_| FlushOne(FIRST, AtMost(1))))
                .collect(),
        ),
        (
            "one-of-two-is-blocked",
            SMALL_CHUNKS,
            vec![
                Subscribe,
                Subscribe,
                append(9),
                Flush(vec![AtMost(4), All]),
                append(9),
                append(9),
                append(9),
                flush(All),
                FlushOne(FIRST, AtMost(20)),
                FlushOne(FIRST, All),
            ],
        ),
        (
            "blocked-at-the-start-of-an-excluded-record",
            SMALL_CHUNKS,
            vec![
                Subscribe,
                append(4),
                append_except(FIRST, Copied, 8),
                append(9),
                flush(AtMost(4)),
                append_except(FIRST, Copied, 7),
                FlushOne(FIRST, AtMost(9)),
            ],
        ),
        (
            "skips-to-the-end-inside-a-record",
            SMALL_CHUNKS,
            vec![
                Subscribe,
                append(10),
                append(10),
                append_except(FIRST, Copied, 3),
                append(10),
                flush(AtMost(7)),
                SkipToEnd(FIRST),
                append(2),
                FlushOne(FIRST, All),
                WriteOwn(FIRST, AtMost(2)),
                WriteOwn(FIRST, All),
                FlushOne(FIRST, All),
            ],
        ),
        (
            "skips-to-the-latest-that-is-not-excluded",
            ROOMY_CHUNKS,
            vec![
                Subscribe,
                append(10),
                append(11),
                append(12),
                append_except(FIRST, Copied, 13),
                flush(AtMost(0)),
                SkipToLatest(FIRST),
                SkipToLatest(FIRST),
                FlushOne(FIRST, AtMost(6)),
                SkipToLatest(FIRST),
            ],
        ),
        (
            "unsubscribes-inside-a-large-record",
            SMALL_CHUNKS,
            vec![
                Subscribe,
                Subscribe,
                append_as(Shared, 40),
                append_as(Encoded(0), 40),
                flush(AtMost(50)),
                Unsubscribe(SECOND),
                Unsubscribe(FIRST),
            ],
        ),
        (
            "dissolved-while-all-are-blocked",
            SMALL_CHUNKS | DISSOLVED,
            vec![
                Subscribe,
                Subscribe,
                append(11),
                append(11),
                append(11),
                Flush(vec![AtMost(1), AtMost(12)]),
                append(30),
            ],
        ),
    ]
}

fn own_frames() -> Vec<Case> {
    vec![
        (
            "own-frame-after-a-partly-written-record",
            SMALL_CHUNKS,
            vec![
                Subscribe,
                append(9),
                append(9),
                flush(AtMost(4)),
                QueueOwn(FIRST, 6),
                FinishRecord(FIRST, AtMost(2)),
                WriteOwn(FIRST, AtMost(5)),
                FlushOne(FIRST, All),
                WriteOwn(FIRST, All),
                FlushOne(FIRST, All),
            ],
        ),
        (
            "rest-of-a-record-before-the-write-queue",
            ROOMY_CHUNKS,
            vec![
                Subscribe,
                append(9),
                append(5),
                flush(AtMost(4)),
                QueueOwn(FIRST, 6),
                TakeRemainder(FIRST),
                QueueOwn(FIRST, 7),
                WriteOwn(FIRST, AtMost(3)),
                FlushOne(FIRST, All),
                WriteOwn(FIRST, AtMost(6)),
                QueueOwn(FIRST, 3),
                WriteOwn(FIRST, All),
            ],
        ),
    ]
}
