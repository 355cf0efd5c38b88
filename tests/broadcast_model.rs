//! Random steps on a room and on its model, `yamabiko_testing::properties::fan_out`: a queue
//! of bytes for each member. The fuzz target `fan_out` plays on the same one.

#![cfg(feature = "server")]

use proptest::collection::vec;
use proptest::prelude::*;
use yamabiko_testing::properties::fan_out::{
    DISSOLVED, HINT_MAX, How, RECORD_BYTES_MAX, SAID_BYTES_MAX, SOCKETS_MAX, Step, Taken, Who,
    play, steps,
};

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..=RECORD_BYTES_MAX, any_how(), proptest::option::weighted(0.4, any_who()))
            .prop_map(|(bytes, how, except)| Step::Append { bytes, how, except }),
        2 => Just(Step::Join),
        1 => any_who().prop_map(Step::Leave),
        4 => vec(any_taken(), 1..=SOCKETS_MAX).prop_map(Step::Flush),
        3 => (any_who(), any_taken()).prop_map(|(who, taken)| Step::FlushOne(who, taken)),
        1 => (any_who(), any_taken()).prop_map(|(who, taken)| Step::FinishRecord(who, taken)),
        1 => any_who().prop_map(Step::TakeRemainder),
        1 => any_who().prop_map(Step::SkipToEnd),
        1 => any_who().prop_map(Step::SkipToLatest),
        1 => (any_who(), 0..=SAID_BYTES_MAX).prop_map(|(who, bytes)| Step::Say(who, bytes)),
        2 => (any_who(), any_taken()).prop_map(|(who, taken)| Step::WriteOwn(who, taken)),
    ]
}

fn any_who() -> impl Strategy<Value = Who> {
    (0..=Who::MAX).prop_map(Who)
}

fn any_how() -> impl Strategy<Value = How> {
    prop_oneof![
        3 => Just(How::Copied),
        2 => (0..=HINT_MAX).prop_map(How::Encoded),
        1 => Just(How::Shared),
    ]
}

fn any_taken() -> impl Strategy<Value = Taken> {
    prop_oneof![
        3 => Just(Taken::All),
        1 => Just(Taken::AtMost(0)),
        3 => (1..60_u8).prop_map(Taken::AtMost),
        1 => (60..=Taken::MOST).prop_map(Taken::AtMost),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn room_equals_a_queue_for_each_member(
        cut in 0..3_u8,
        end in prop_oneof![7 => Just(0), 1 => Just(DISSOLVED)],
        steps in vec(any_step(), 1..120),
    ) {
        play(cut | end, &steps);
    }

    #[test]
    fn steps_are_read_back_from_their_bytes(said in vec(any_step(), 0..20)) {
        let bytes: Vec<u8> = said.iter().flat_map(Step::bytes).collect();
        prop_assert_eq!(steps(&bytes).collect::<Vec<_>>(), said);
    }
}
