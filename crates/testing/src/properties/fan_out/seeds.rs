//! What the fuzzer starts from: one short story for each thing that can go wrong
//! between a log and a cursor.

use super::DISSOLVED;
use super::steps::{How, Step, Taken, Who};
use How::{Copied, Encoded, Shared};
use Step::{
    FinishRecord, Flush, FlushOne, Join, Leave, Say, SkipToEnd, SkipToLatest, TakeRemainder,
    WriteOwn,
};
use Taken::{All, AtMost};

/// The selectors of `Cut::of`.
const SMALL_CHUNKS: u8 = 0;
const ROOMY_CHUNKS: u8 = 1;
const CHUNK_A_RECORD: u8 = 2;

const FIRST: Who = Who(0);
const SECOND: Who = Who(1);

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

fn append_except(except: Who, how: How, bytes: usize) -> Step {
    Step::Append {
        bytes,
        how,
        except: Some(except),
    }
}

fn flush(taken: Taken) -> Step {
    Flush(vec![taken])
}

/// Name and input of each.
pub fn seeds() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let stories = everyone_keeps_up().into_iter().chain(someone_lags());
    stories.chain(someone_is_told_apart()).map(written)
}

type Story = (&'static str, u8, Vec<Step>);

fn written((name, selector, steps): Story) -> (&'static str, Vec<u8>) {
    let steps = steps.iter().flat_map(Step::bytes);
    (name, std::iter::once(selector).chain(steps).collect())
}

fn everyone_keeps_up() -> Vec<Story> {
    vec![
        (
            "one-flush-for-many-records",
            ROOMY_CHUNKS,
            vec![Join, Join, append(3), append(9), append(1), flush(All)],
        ),
        (
            "empty-records-are-none",
            ROOMY_CHUNKS,
            vec![
                Join,
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
                Join,
                append_as(Encoded(0), 11),
                append_as(Encoded(63), 2),
                append_as(Encoded(0), 40),
                flush(All),
            ],
        ),
        (
            "what-one-said-goes-to-the-others",
            ROOMY_CHUNKS,
            vec![
                Join,
                Join,
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
            [Join]
                .into_iter()
                .chain((1..40).map(append))
                .chain([flush(All)])
                .collect(),
        ),
        (
            "those-who-come-and-those-who-go",
            SMALL_CHUNKS,
            vec![
                append(3),
                Join,
                append(4),
                Join,
                flush(All),
                append(5),
                Leave(FIRST),
                Join,
                append(6),
            ],
        ),
    ]
}

fn someone_lags() -> Vec<Story> {
    vec![
        (
            "byte-by-byte",
            SMALL_CHUNKS,
            [Join, append(5), append(14)]
                .into_iter()
                .chain([flush(AtMost(1))])
                .chain((0..18).map(|_| FlushOne(FIRST, AtMost(1))))
                .collect(),
        ),
        (
            "one-of-two-is-blocked",
            SMALL_CHUNKS,
            vec![
                Join,
                Join,
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
            "blocked-where-its-own-word-begins",
            SMALL_CHUNKS,
            vec![
                Join,
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
                Join,
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
            "skips-to-the-latest-that-is-not-its-own",
            ROOMY_CHUNKS,
            vec![
                Join,
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
            "leaves-inside-a-large-record",
            SMALL_CHUNKS,
            vec![
                Join,
                Join,
                append_as(Shared, 40),
                append_as(Encoded(0), 40),
                flush(AtMost(50)),
                Leave(SECOND),
                Leave(FIRST),
            ],
        ),
        (
            "dissolved-while-all-are-blocked",
            SMALL_CHUNKS | DISSOLVED,
            vec![
                Join,
                Join,
                append(11),
                append(11),
                append(11),
                Flush(vec![AtMost(1), AtMost(12)]),
                append(30),
            ],
        ),
    ]
}

fn someone_is_told_apart() -> Vec<Story> {
    vec![
        (
            "own-frame-after-a-record-that-was-begun",
            SMALL_CHUNKS,
            vec![
                Join,
                append(9),
                append(9),
                flush(AtMost(4)),
                Say(FIRST, 6),
                FinishRecord(FIRST, AtMost(2)),
                WriteOwn(FIRST, AtMost(5)),
                FlushOne(FIRST, All),
                WriteOwn(FIRST, All),
                FlushOne(FIRST, All),
            ],
        ),
        (
            "rest-of-a-record-before-what-waits",
            ROOMY_CHUNKS,
            vec![
                Join,
                append(9),
                append(5),
                flush(AtMost(4)),
                Say(FIRST, 6),
                TakeRemainder(FIRST),
                Say(FIRST, 7),
                WriteOwn(FIRST, AtMost(3)),
                FlushOne(FIRST, All),
                WriteOwn(FIRST, AtMost(6)),
                Say(FIRST, 3),
                WriteOwn(FIRST, All),
            ],
        ),
    ]
}
