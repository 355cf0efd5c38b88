use yamabiko_exercises::reassemble::{Event, Failure, MESSAGE_BYTES_MAX, Reassembler};

#[test]
fn reassemble_one_frame() {
    let mut messages = Reassembler::default();
    assert_eq!(
        messages.frame(true, 1, b"Hello"),
        Ok(Some(Event::Text("Hello".into())))
    );
    assert_eq!(
        messages.frame(true, 2, b"\xff"),
        Ok(Some(Event::Binary(vec![0xff])))
    );
}

#[test]
fn reassemble_fragments_with_a_ping_between_them() {
    let mut messages = Reassembler::default();
    assert_eq!(messages.frame(false, 1, b"Hel"), Ok(None));
    assert_eq!(
        messages.frame(true, 9, b"?"),
        Ok(Some(Event::Ping(b"?".to_vec())))
    );
    assert_eq!(messages.frame(false, 0, b""), Ok(None));
    assert_eq!(
        messages.frame(true, 0, b"lo"),
        Ok(Some(Event::Text("Hello".into())))
    );
}

#[test]
fn reassemble_a_character_that_is_cut() {
    let mut messages = Reassembler::default();
    assert_eq!(messages.frame(false, 1, b"\xe5\xb1"), Ok(None));
    assert_eq!(
        messages.frame(true, 0, b"\xb1"),
        Ok(Some(Event::Text("山".into())))
    );
}

#[test]
fn reassemble_refuses_a_text_that_is_not_utf8() {
    for bytes in [&b"\xe5\xb1"[..], b"\xff", b"\xed\xa0\x80"] {
        assert_eq!(
            Reassembler::default().frame(true, 1, bytes),
            Err(Failure(1007))
        );
    }
    assert!(Reassembler::default().frame(true, 2, b"\xff").is_ok());
}

#[test]
fn reassemble_refuses_frames_out_of_order() {
    assert_eq!(
        Reassembler::default().frame(true, 0, b"lo"),
        Err(Failure(1002))
    );
    let mut messages = Reassembler::default();
    assert_eq!(messages.frame(false, 1, b"Hel"), Ok(None));
    assert_eq!(messages.frame(true, 1, b"Hello"), Err(Failure(1002)));
}

#[test]
fn reassemble_a_message_of_the_greatest_length_and_none_of_one_more() {
    let half = vec![0; MESSAGE_BYTES_MAX / 2];
    let mut messages = Reassembler::default();
    assert_eq!(messages.frame(false, 2, &half), Ok(None));
    let whole = messages.frame(true, 0, &half);
    assert!(matches!(whole, Ok(Some(Event::Binary(bytes))) if bytes.len() == MESSAGE_BYTES_MAX));

    assert_eq!(messages.frame(false, 2, &half), Ok(None));
    assert_eq!(messages.frame(false, 0, &half), Ok(None));
    assert_eq!(messages.frame(true, 0, b"!"), Err(Failure(1009)));
}
