//! Random steps on a shared log and on its model, `yamabiko_testing::properties::fan_out`: a queue
//! of bytes for each subscription. The fuzz target `fan_out` uses the same model.

use proptest::collection::vec;
use proptest::prelude::*;
use yamabiko_testing::properties::fan_out::{
    Accepted, DISSOLVED, HINT_MAX, How, KEEPS, OWN_BYTES_MAX, RECORD_BYTES_MAX, SOCKETS_MAX, Step,
    Which, run, steps,
};

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..=RECORD_BYTES_MAX, any_how(), proptest::option::weighted(0.4, any_which()))
            .prop_map(|(bytes, how, except)| Step::Append { bytes, how, except }),
        2 => Just(Step::Subscribe),
        2 => (1..=Which::MAX).prop_map(|records| Step::SubscribeFrom(Which(records))),
        1 => any_which().prop_map(Step::Unsubscribe),
        4 => vec(any_accepted(), 1..=SOCKETS_MAX).prop_map(Step::Flush),
        4 => (any::<u8>(), vec(any_accepted(), 1..=SOCKETS_MAX))
            .prop_map(|(budget, accepted)| Step::FlushWithin(budget, accepted)),
        3 => (any_which(), any_accepted()).prop_map(|(which, accepted)| Step::FlushOne(which, accepted)),
        1 => (any_which(), any_accepted()).prop_map(|(which, accepted)| Step::FinishRecord(which, accepted)),
        1 => any_which().prop_map(Step::TakeRemainder),
        1 => any_which().prop_map(Step::SkipToEnd),
        1 => any_which().prop_map(Step::SkipToLatest),
        1 => (any_which(), 0..=OWN_BYTES_MAX).prop_map(|(which, bytes)| Step::QueueOwn(which, bytes)),
        2 => (any_which(), any_accepted()).prop_map(|(which, accepted)| Step::WriteOwn(which, accepted)),
    ]
}

fn any_which() -> impl Strategy<Value = Which> {
    (0..=Which::MAX).prop_map(Which)
}

fn any_how() -> impl Strategy<Value = How> {
    prop_oneof![
        3 => Just(How::Copied),
        2 => (0..=HINT_MAX).prop_map(How::Encoded),
        1 => Just(How::Shared),
    ]
}

fn any_accepted() -> impl Strategy<Value = Accepted> {
    prop_oneof![
        3 => Just(Accepted::All),
        1 => Just(Accepted::AtMost(0)),
        3 => (1..60_u8).prop_map(Accepted::AtMost),
        1 => (60..=Accepted::MOST).prop_map(Accepted::AtMost),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn shared_log_equals_a_queue_for_each_subscription(
        setup in 0..3_u8,
        keeps in prop_oneof![Just(0), Just(KEEPS)],
        end in prop_oneof![7 => Just(0), 1 => Just(DISSOLVED)],
        steps in vec(any_step(), 1..120),
    ) {
        run(setup | keeps | end, &steps);
    }

    #[test]
    fn steps_are_read_back_from_their_bytes(written in vec(any_step(), 0..20)) {
        let bytes: Vec<u8> = written.iter().flat_map(Step::bytes).collect();
        prop_assert_eq!(steps(&bytes).collect::<Vec<_>>(), written);
    }
}
