//! The compressed messages: JSON as servers send it, without two equal lines.

/// A list of prices of about this length, and not more; always the same for a length.
pub fn json(bytes: usize) -> Vec<u8> {
    let mut text = String::from(BEGIN);
    for number in 0.. {
        let comma = if number == 0 { "" } else { "," };
        let quote = [comma, &quote(number)].concat();
        if text.len() + quote.len() + END.len() > bytes {
            break;
        }
        text.push_str(&quote);
    }
    text.push_str(END);
    text.into_bytes()
}

fn quote(number: u32) -> String {
    let dice = scattered(number);
    let symbol = SYMBOLS[(dice >> 29) as usize];
    let (price, volume) = (dice >> 12 & 0xFFFF, dice & 0xFFF);
    let (cents, spread, second) = (dice % 100, dice % 50, dice % 60);
    format!(
        "{{\"symbol\":\"{symbol}\",\"bid\":{price}.{cents:02},\"spread\":0.{spread:02},\
         \"volume\":{volume},\"time\":\"09:30:{second:02}\"}}"
    )
}

/// A number whose bits look random (the last step of MurmurHash3).
fn scattered(number: u32) -> u32 {
    let number = number.wrapping_add(0x9E37_79B9);
    let number = (number ^ number >> 16).wrapping_mul(0x85EB_CA6B);
    let number = (number ^ number >> 13).wrapping_mul(0xC2B2_AE35);
    number ^ number >> 16
}

const BEGIN: &str = "{\"id\":\"7b1c52d800000003000004d2000000174876e800\",\"quotes\":[";
const END: &str = "]}";
const SYMBOLS: [&str; 8] = [
    "KAZE", "MORI", "YAMA", "KAWA", "SORA", "TAKI", "HOSHI", "NAMI",
];
