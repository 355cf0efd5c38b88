use yamabiko_exercises::header::{Header, HeaderError, parse};

fn text(payload_length: u64, masking_key: Option<[u8; 4]>) -> Header {
    Header {
        fin: true,
        opcode: 1,
        masking_key,
        payload_length,
    }
}

#[test]
fn header_of_hello() {
    assert_eq!(parse(b"\x81\x05Hello"), Ok(Some((text(5, None), 2))));
    let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    let key = Some([0x37, 0xfa, 0x21, 0x3d]);
    assert_eq!(parse(masked), Ok(Some((text(5, key), 6))));
}

#[test]
fn header_with_each_form_of_the_length() {
    assert_eq!(parse(b"\x81\x7d"), Ok(Some((text(125, None), 2))));
    assert_eq!(parse(b"\x81\x7e\x00\x7e"), Ok(Some((text(126, None), 4))));
    assert_eq!(
        parse(b"\x81\x7e\xff\xff"),
        Ok(Some((text(65_535, None), 4)))
    );
    let long = b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00";
    assert_eq!(parse(long), Ok(Some((text(65_536, None), 10))));
}

#[test]
fn header_that_is_cut_needs_more_bytes() {
    let whole = b"\x81\xff\x00\x00\x00\x00\x00\x01\x00\x00\x01\x02\x03\x04";
    for cut in 0..whole.len() {
        assert_eq!(parse(&whole[..cut]), Ok(None), "cut at {cut}");
    }
    assert_eq!(
        parse(whole),
        Ok(Some((text(65_536, Some([1, 2, 3, 4])), 14)))
    );
}

#[test]
fn header_with_a_reserved_bit_or_opcode_is_refused() {
    for reserved in [0xc1, 0xa1, 0x91] {
        assert_eq!(parse(&[reserved, 0]), Err(HeaderError::ReservedBit));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        assert_eq!(parse(&[0x80 | opcode, 0]), Err(HeaderError::ReservedOpcode));
    }
}

#[test]
fn header_with_a_length_in_a_longer_form_than_needed_is_refused() {
    assert_eq!(parse(b"\x81\x7e\x00\x7d"), Err(HeaderError::Length));
    assert_eq!(
        parse(b"\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff"),
        Err(HeaderError::Length)
    );
    assert_eq!(
        parse(b"\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00"),
        Err(HeaderError::Length)
    );
}

#[test]
fn header_of_a_control_frame_is_short_and_has_fin() {
    assert!(matches!(parse(b"\x89\x7d"), Ok(Some(_))));
    assert_eq!(parse(b"\x89\x7e\x00\x7e"), Err(HeaderError::ControlFrame));
    assert_eq!(parse(b"\x09\x00"), Err(HeaderError::ControlFrame));
}
