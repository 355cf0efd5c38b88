//! The report as JUnit's XML, which services for continuous integration show.

use crate::report::{CaseReport, Report, Verdict};
use crate::table::failure_lines;

/// One test suite with a test case for each case.
pub fn junit(report: &Report) -> String {
    let count = |verdict: Verdict| {
        let cases = report.cases.iter();
        cases.filter(|case| case.verdict == verdict).count()
    };
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    text.push_str(&format!(
        "<testsuite name=\"{} {}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{}\">\n",
        report.peer,
        escaped(&report.agent),
        report.cases.len(),
        count(Verdict::Fail),
        count(Verdict::NotRun),
        count(Verdict::NotApplicable),
        report.seconds
    ));
    report
        .cases
        .iter()
        .for_each(|case| text.push_str(&test_case(case)));
    text + "</testsuite>\n"
}

fn test_case(case: &CaseReport) -> String {
    let (subject, name) = case.id.split_once('/').unwrap_or(("", &case.id));
    let seconds = case.milliseconds / 1000.0;
    let start =
        format!("  <testcase classname=\"{subject}\" name=\"{name}\" time=\"{seconds:.5}\"");
    let reason = escaped(&case.reason);
    match case.verdict {
        Verdict::Pass => start + "/>\n",
        Verdict::NotApplicable => format!("{start}><skipped message=\"{reason}\"/></testcase>\n"),
        Verdict::NotRun => format!("{start}><error message=\"{reason}\"/></testcase>\n"),
        Verdict::Fail => format!(
            "{start}><failure type=\"{}\" message=\"{reason}\">{}</failure></testcase>\n",
            case.level,
            escaped(&failure_lines(case))
        ),
    }
}

/// Text for XML and HTML. Control characters have no place in XML.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            '\u{FFFE}' | '\u{FFFF}' => escaped.push('\u{FFFD}'),
            character if character.is_control() => escaped.push('\u{FFFD}'),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn each_case_is_a_test_case_and_text_is_escaped() {
        let text = junit(&report());
        for expected in [
            "<testsuite name=\"server a&lt;b\" tests=\"3\" failures=\"2\" errors=\"0\" skipped=\"1\"",
            "<testcase classname=\"framing\" name=\"a\" time=\"0.00150\"><failure type=\"must\"",
            "message=\"it sent &quot;x&quot;\">",
            "name=\"c\" time=\"0.00150\"><skipped message=\"no option\"/></testcase>",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert_eq!(escaped("a\0\u{FFFF}&"), "a\u{FFFD}\u{FFFD}&amp;");
    }
}
