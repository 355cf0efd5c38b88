//! Numbers in a readable form, for the table of the report and elsewhere.

/// With a comma between groups of three digits: `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits and a unit that fits: `12.3 µs`, `4.56 ms`, `1.20 s`.
pub fn time(micros: f64) -> String {
    match micros {
        ..1_000.0 => format!("{} µs", three_digits(micros)),
        ..1_000_000.0 => format!("{} ms", three_digits(micros / 1e3)),
        _ => format!("{} s", three_digits(micros / 1e6)),
    }
}

/// Bytes in binary units: `640 B`, `4.25 MiB`.
pub fn bytes(count: f64) -> String {
    match count.abs() {
        ..1_024.0 => format!("{count:.0} B"),
        ..1_048_576.0 => format!("{} KiB", three_digits(count / 1_024.0)),
        ..1_073_741_824.0 => format!("{} MiB", three_digits(count / 1_048_576.0)),
        _ => format!("{} GiB", three_digits(count / 1_073_741_824.0)),
    }
}

/// A number a second: whole above a hundred.
pub fn rate(per_second: f64) -> String {
    match per_second {
        100.0.. => grouped(per_second.round() as u64),
        _ => three_digits(per_second),
    }
}

fn three_digits(number: f64) -> String {
    match number.abs() {
        ..10.0 => format!("{number:.2}"),
        ..100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let numbers = [0, 999, 1_000, 999_999, 1_234_567];
        let texts = numbers.map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "999,999", "1,234,567"]);
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        let times = [0.5, 12.34, 999.4, 1_000.0, 45_600.0, 1_200_000.0].map(time);
        assert_eq!(
            times,
            [
                "0.50 µs", "12.3 µs", "999 µs", "1.00 ms", "45.6 ms", "1.20 s"
            ]
        );
    }

    #[test]
    fn bytes_have_the_unit_that_fits() {
        let counts = [0.0, -12.0, 1_023.0, 1_024.0, 4_456_448.0, 2_147_483_648.0].map(bytes);
        assert_eq!(
            counts,
            ["0 B", "-12 B", "1023 B", "1.00 KiB", "4.25 MiB", "2.00 GiB"]
        );
    }

    #[test]
    fn small_rates_keep_their_decimals() {
        assert_eq!([0.5, 99.9, 12_345.6].map(rate), ["0.50", "99.9", "12,346"]);
    }
}
