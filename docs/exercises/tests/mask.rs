use yamabiko_exercises::mask::mask;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

#[test]
fn mask_hello_as_in_the_rfc() {
    let mut payload = *b"Hello";
    mask(&mut payload, KEY, 0);
    assert_eq!(payload, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
}

#[test]
fn mask_twice_is_the_original() {
    let mut payload: Vec<u8> = (0..=255).collect();
    mask(&mut payload, KEY, 1);
    mask(&mut payload, KEY, 1);
    assert!(payload.iter().copied().eq(0..=255));
}

#[test]
fn mask_in_parts_is_mask_at_once() {
    let whole = {
        let mut payload = *b"one message, in two parts";
        mask(&mut payload, KEY, 0);
        payload
    };
    for cut in 0..whole.len() {
        let mut payload = *b"one message, in two parts";
        let (first, second) = payload.split_at_mut(cut);
        mask(first, KEY, 0);
        mask(second, KEY, cut);
        assert_eq!(payload, whole, "cut at {cut}");
    }
}

#[test]
fn mask_of_nothing_is_nothing() {
    mask(&mut [], KEY, 3);
}
