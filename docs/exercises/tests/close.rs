use yamabiko_exercises::close::{Answer, Closing};

#[test]
fn close_is_answered_with_its_code() {
    let mut side = Closing::default();
    assert_eq!(
        side.received(b"\x03\xe9going away"),
        Answer::Close(b"\x03\xe9".to_vec())
    );
    assert_eq!(side.code(), 1001);
}

#[test]
fn close_without_a_code_is_answered_by_one_without_a_code() {
    let mut side = Closing::default();
    assert_eq!(side.received(b""), Answer::Close(Vec::new()));
    assert_eq!(side.code(), 1005);
}

#[test]
fn close_that_answers_ours_is_not_answered() {
    let mut side = Closing::default();
    assert_eq!(side.close(1000, "bye"), Some(b"\x03\xe8bye".to_vec()));
    assert_eq!(side.received(b"\x03\xe8"), Answer::Nothing);
    assert_eq!(side.code(), 1000);
}

#[test]
fn close_is_sent_once() {
    let mut side = Closing::default();
    assert!(side.close(1000, "").is_some());
    assert_eq!(side.close(1001, ""), None);

    let mut side = Closing::default();
    side.received(b"\x03\xe8");
    assert_eq!(side.close(1000, ""), None);
}

#[test]
fn close_with_a_forbidden_code_fails() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535u16] {
        let answer = Closing::default().received(&code.to_be_bytes());
        assert_eq!(answer, Answer::Fail(1002), "{code}");
    }
    for code in [1000, 1003, 1007, 1014, 3000, 4999u16] {
        let answer = Closing::default().received(&code.to_be_bytes());
        assert_eq!(answer, Answer::Close(code.to_be_bytes().to_vec()), "{code}");
    }
}

#[test]
fn close_of_one_byte_or_with_a_bad_reason_fails() {
    assert_eq!(Closing::default().received(b"\x03"), Answer::Fail(1002));
    assert_eq!(
        Closing::default().received(b"\x03\xe8\xff"),
        Answer::Fail(1007)
    );
}

#[test]
fn close_that_never_came_is_1006() {
    let mut side = Closing::default();
    assert_eq!(side.code(), 1006);
    side.close(1000, "");
    assert_eq!(side.code(), 1006);
}
