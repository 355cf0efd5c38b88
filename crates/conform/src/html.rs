//! The report as one page of HTML, without scripts and other files.

use crate::junit::escaped;
use crate::report::{CaseReport, Report, Verdict};
use crate::table::failure_lines;

/// A page with a table of all cases; a failure opens to its bytes.
pub fn html(report: &Report) -> String {
    let title = escaped(&format!(
        "Conformance of the {} {}",
        report.peer, report.agent
    ));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n<p>{}, {} s</p>\n<ul>\n",
        report.suite, report.seconds
    );
    for (level, counts) in report.counts.iter().rev() {
        page.push_str(&format!(
            "<li>{level}: {} passed, {} failed, {} not applicable, {} not run</li>\n",
            counts.pass, counts.fail, counts.not_applicable, counts.not_run
        ));
    }
    page.push_str("</ul>\n<table><tr><th>verdict</th><th>level</th><th>case</th><th>section</th><th>rule</th></tr>\n");
    report
        .cases
        .iter()
        .for_each(|case| page.push_str(&row(case)));
    page + "</table></body></html>\n"
}

fn row(case: &CaseReport) -> String {
    let verdict = match case.verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::NotApplicable => "not applicable",
        Verdict::NotRun => "not run",
    };
    let class = verdict.split(' ').next().unwrap_or_default();
    let details = match case.verdict {
        Verdict::Fail => format!(
            "<details><summary>{}</summary><pre>{}</pre></details>",
            escaped(&case.title),
            escaped(&failure_lines(case))
        ),
        _ => escaped(&case.title),
    };
    format!(
        "<tr class=\"{class}\"><td>{verdict}</td><td>{}</td><td>{}</td><td>{}</td><td title=\"{}\">{details}</td></tr>\n",
        case.level,
        escaped(&case.id),
        escaped(&case.section),
        escaped(&case.sentence)
    )
}

const STYLE: &str = "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}\
td,th{padding:.3em .8em;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}\
.fail td:first-child{color:#b00;font-weight:bold}.pass td:first-child{color:#070}\
pre{white-space:pre-wrap;max-width:100ch}";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn page_has_a_row_for_each_case_and_the_bytes_of_a_failure() {
        let page = html(&report());
        assert!(page.contains("<title>Conformance of the server a&lt;b</title>"));
        assert_eq!(page.matches("<tr class=").count(), 3);
        assert!(page.contains("it sent &quot;x&quot;"), "{page}");
    }
}
