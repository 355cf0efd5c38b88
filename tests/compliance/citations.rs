//! The quotations of the RFCs in the code.
//!
//! ```text
//! .../= https://www.rfc-editor.org/rfc/rfc6455#section-5.1     the section
//! .../= type=test                                              the kind of citation (optional)
//! .../= reason=…                                               a remark (optional)
//! .../# The server MUST close the connection upon receiving    the quotation, verbatim,
//! .../# a frame that is not masked.                            with white space folded
//! ```
//!
//! The three dots stand for `//`: with `//`, the parser would read this example as a citation.

use std::fs;
use std::path::{Path, PathBuf};

use crate::roles::Roles;

/// The relation of the code below a citation to the requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The code obeys it: the default in `src/` and `crates/*/src/`.
    Implementation,
    /// The code checks it: the default in `tests/`, `crates/*/tests/` and `crates/testing/`.
    Test,
    /// The code obeys it in such a way that no test can fail: counts as both.
    Implication,
}

/// One quotation.
#[derive(Clone, Debug)]
pub struct Citation {
    pub kind: Kind,
    /// Address of the section.
    pub target: String,
    /// The quotation, with white space folded.
    pub quote: String,
    /// The path from the project's folder, with `/`.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// The function or other item that contains the citation or follows it. The table
    /// has this name instead of the line number, which changes with every edit.
    pub item: String,
    /// Of a test: the roles in which it runs.
    pub roles: Roles,
}

/// All citations in the code of the workspace, and the faults in their form.
pub fn of_tree(project: &Path) -> (Vec<Citation>, Vec<String>) {
    let mut citations = Vec::new();
    let mut problems = Vec::new();
    for folder in ["src", "tests", "crates"] {
        for path in rust_files(&project.join(folder)) {
            let text = fs::read_to_string(&path).expect("a source file can be read");
            let file = path.strip_prefix(project).expect("it is in the project");
            let (found, wrong) = of_file(&file.display().to_string(), &text);
            citations.extend(found);
            problems.extend(wrong);
        }
    }
    (citations, problems)
}

/// The citations of one file, and the faults in their form. The path decides their
/// default kind.
pub fn of_file(file: &str, text: &str) -> (Vec<Citation>, Vec<String>) {
    let source = Source::new(file, text);
    let mut citations = Vec::new();
    let mut problems = Vec::new();
    let mut start = 0;
    while start < source.lines.len() {
        let length = block_length(&source.lines[start..]);
        if length > 0 {
            match source.citation(start, start + length) {
                Ok(citation) => citations.push(citation),
                Err(problem) => problems.push(format!("{file}:{}: {problem}", start + 1)),
            }
        }
        start += length.max(1);
    }
    (citations, problems)
}

/// Folds every run of white space into one space.
pub fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The number of lines, from the first, that belong to one citation: annotations, then
/// the quotation. An annotation after a quotation starts the next citation.
fn block_length(lines: &[&str]) -> usize {
    let annotations = lines.iter().take_while(|line| is_annotation(line)).count();
    let quotations = lines[annotations..]
        .iter()
        .take_while(|line| is_quotation(line))
        .count();
    annotations + quotations
}

/// Whether the file is in `tests/` of the library or of a crate
/// (`crates/cli/tests/a.rs`), or in the harness.
fn is_in_tests(file: &str) -> bool {
    if file.starts_with("crates/testing/") {
        return true;
    }
    let of_crate = file
        .strip_prefix("crates/")
        .and_then(|path| path.split_once('/'));
    of_crate
        .map_or(file, |(_, path)| path)
        .starts_with("tests/")
}

/// The first line of a list of citations; the name of the item that obeys them follows.
const LIST_HEADING: &str = "// Also obeyed by `";

fn is_annotation(line: &str) -> bool {
    line.starts_with("//=")
}

fn is_quotation(line: &str) -> bool {
    line.starts_with("//#")
}

/// The parts of a source file that its citations depend on.
struct Source<'a> {
    file: &'a str,
    /// The lines without indentation.
    lines: Vec<&'a str>,
    /// The first line of the test module, which is by convention the last item of its
    /// file, or a whole file `tests.rs`.
    test_module: usize,
}

impl<'a> Source<'a> {
    fn new(file: &'a str, text: &'a str) -> Self {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let test_module = match file.ends_with("/tests.rs") {
            true => 0,
            false => lines
                .windows(2)
                .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "))
                .unwrap_or(lines.len()),
        };
        Self {
            file,
            lines,
            test_module,
        }
    }

    /// The citation in the lines from `start` to before `end`.
    fn citation(&self, start: usize, end: usize) -> Result<Citation, String> {
        let block = &self.lines[start..end];
        let target = block[0]
            .strip_prefix("//= ")
            .filter(|target| target.starts_with("https://"))
            .ok_or("a citation begins with `//= https://…`")?;
        let annotations = block.iter().skip(1).filter(|line| is_annotation(line));
        let quote: Vec<&str> = block
            .iter()
            .filter_map(|line| line.strip_prefix("//#"))
            .collect();
        if quote.is_empty() {
            return Err("a citation quotes its sentence with `//# …`".into());
        }
        let listed_under = self.listed_under(start);
        let item = match listed_under {
            Some(name) if !self.defines(name) => {
                return Err(format!("the file does not define `{name}`"));
            }
            Some(name) => name.to_owned(),
            None if self.lines.get(end).is_none_or(|line| line.is_empty()) => {
                return Err("a citation must be directly above the code that it is about".into());
            }
            None => self.item(start, end),
        };
        Ok(Citation {
            kind: self.kind(start, annotations)?,
            target: target.into(),
            quote: folded(&quote.join(" ")),
            file: self.file.into(),
            line: start + 1,
            item,
            roles: self.roles(end),
        })
    }

    fn kind<'b>(
        &self,
        start: usize,
        annotations: impl Iterator<Item = &'b &'b str>,
    ) -> Result<Kind, String> {
        let among_tests = is_in_tests(self.file);
        let mut kind = match among_tests {
            true => Kind::Test,
            false => Kind::Implementation,
        };
        for annotation in annotations {
            kind = match annotation.strip_prefix("//= ").unwrap_or_default() {
                "type=test" => Kind::Test,
                "type=implication" => Kind::Implication,
                remark if remark.starts_with("reason=") => kind,
                _ => return Err(format!("unknown annotation `{annotation}`")),
            };
        }
        let in_test_module = start >= self.test_module;
        match kind {
            Kind::Implementation if in_test_module => {
                Err("in a test module a citation needs `//= type=test`".into())
            }
            Kind::Test if !in_test_module && !among_tests => {
                Err("`//= type=test` outside of a test module".into())
            }
            _ => Ok(kind),
        }
    }

    /// If the citation is in a list, the name in the heading of the list. A branch has one
    /// citation above it; the other sentences that the same code obeys are in a list at
    /// the end of the file.
    fn listed_under(&self, start: usize) -> Option<&'a str> {
        let above = self.lines[..start].iter().rev();
        above
            .take_while(|line| line.starts_with("//"))
            .find_map(|line| line.strip_prefix(LIST_HEADING)?.strip_suffix("`:"))
    }

    fn defines(&self, name: &str) -> bool {
        let code = self.lines.iter().filter(|line| !line.starts_with("//"));
        code.filter_map(|line| item_name(line))
            .any(|item| item == name)
    }

    /// Other citations may be between this one and the test.
    fn roles(&self, end: usize) -> Roles {
        let rest = &self.lines[end..];
        let comments = rest.iter().take_while(|line| line.starts_with("//"));
        Roles::of_test(self.file, &rest[comments.count()..])
    }

    /// The item directly below the citation, or else the function that contains it.
    fn item(&self, start: usize, end: usize) -> String {
        let below = self.lines[end..]
            .iter()
            .find(|line| !line.starts_with("//") && !line.starts_with("#[") && !is_macro_call(line))
            .and_then(|line| item_name(line));
        let around = || {
            let above = self.lines[..start].iter().rev();
            above
                .filter(|line| line.contains("fn "))
                .find_map(|line| item_name(line))
        };
        below.or_else(around).unwrap_or_default()
    }
}

/// Whether the line is a call of a macro outside functions, such as `both_roles!(a_test);`, which says more
/// about the item below it.
fn is_macro_call(line: &str) -> bool {
    let name = line.split_once("!(").map_or("", |(name, _)| name);
    let is_word = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    !name.is_empty() && name.chars().all(is_word) && line.ends_with(");")
}

/// The name of the item that a line declares: `parse` in `pub(crate) const fn parse<'a>(`.
fn item_name(line: &str) -> Option<String> {
    const ITEMS: [&str; 7] = ["fn", "struct", "enum", "const", "static", "trait", "type"];
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let const_fn = word == "const" && words.peek() == Some(&"fn");
        if ITEMS.contains(&word) && !const_fn {
            let name = words.next()?;
            let letters = name.find(|c: char| !c.is_alphanumeric() && c != '_');
            return Some(name[..letters.unwrap_or(name.len())].to_string());
        }
        if !word.starts_with("pub") && word != "async" && !const_fn {
            return None;
        }
    }
    None
}

/// Every `.rs` file in the folder and its subfolders, sorted.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("a folder can be listed").path())
        .collect();
    entries.sort();
    entries
        .into_iter()
        .flat_map(|path| match path.is_dir() {
            true => rust_files(&path),
            false => Vec::from_iter(
                path.extension()
                    .is_some_and(|end| end == "rs")
                    .then_some(path),
            ),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTION: &str = "//= https://www.rfc-editor.org/rfc/rfc6455#section-5.1";

    fn sample(file: &str, lines: &[&str]) -> (Vec<Citation>, Vec<String>) {
        of_file(file, &lines.join("\n"))
    }

    fn problem_of(file: &str, lines: &[&str]) -> String {
        let (citations, problems) = sample(file, lines);
        assert!(citations.is_empty(), "{citations:?}");
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].clone()
    }

    #[test]
    fn white_space_in_a_quotation_of_several_lines_is_folded() {
        let (citations, problems) = sample(
            "src/a.rs",
            &[
                "fn receive() {",
                "    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1",
                "    //# The server MUST close the connection",
                "    //#   upon receiving a frame that is not masked.",
                "    return;",
            ],
        );
        assert_eq!(problems, [""; 0]);
        assert_eq!(
            citations[0].quote,
            "The server MUST close the connection upon receiving a frame that is not masked."
        );
        assert_eq!(citations[0].target, SECTION[4..]);
        assert_eq!(citations[0].kind, Kind::Implementation);
        assert_eq!((citations[0].line, &*citations[0].item), (2, "receive"));
    }

    #[test]
    fn several_citations_may_be_above_one_item() {
        let lines = [SECTION, "//# one", SECTION, "//# two", "fn both() {}"];
        let (citations, _) = sample("src/a.rs", &lines);
        let quotes: Vec<_> = citations.iter().map(|citation| &*citation.quote).collect();
        assert_eq!(quotes, ["one", "two"]);
        assert!(citations.iter().all(|citation| citation.item == "both"));
    }

    #[test]
    fn citation_above_a_call_of_a_macro_belongs_to_the_item_below_it() {
        let lines = [
            "fn before() {}",
            SECTION,
            "//# q",
            "both_roles!(checks);",
            "fn checks() {}",
        ];
        let (citations, _) = sample("tests/a.rs", &lines);
        assert_eq!(citations[0].item, "checks");
    }

    #[test]
    fn path_and_annotation_decide_the_kind() {
        let kind = |file, lines: &[&str]| sample(file, lines).0[0].kind;
        let remark = "//= reason=masking does not depend on TLS";
        assert_eq!(
            kind("src/a.rs", &[SECTION, remark, "//# q", "fn a() {}"]),
            Kind::Implementation
        );
        assert_eq!(
            kind(
                "src/a.rs",
                &[SECTION, "//= type=implication", "//# q", "fn a() {}"]
            ),
            Kind::Implication
        );
        assert_eq!(
            kind("crates/a/src/b.rs", &[SECTION, "//# q", "fn a() {}"]),
            Kind::Implementation
        );
        assert_eq!(
            kind(
                "crates/a/tests/b.rs",
                &[SECTION, "//# q", "#[test]", "fn a() {}"]
            ),
            Kind::Test
        );
        assert_eq!(
            kind("tests/a.rs", &[SECTION, "//# q", "#[test]", "fn a() {}"]),
            Kind::Test
        );
        let module = ["#[cfg(test)]", "mod tests {"];
        let test = [SECTION, "//= type=test", "//# q", "#[test]", "fn a() {}"];
        assert_eq!(kind("src/a.rs", &[&module[..], &test].concat()), Kind::Test);
        assert_eq!(kind("src/a/tests.rs", &test), Kind::Test);
    }

    #[test]
    fn annotation_for_tests_is_required_in_test_modules_and_refused_elsewhere() {
        let module = ["#[cfg(test)]", "mod tests {", SECTION, "//# q", "fn a() {}"];
        assert!(problem_of("src/a.rs", &module).ends_with("needs `//= type=test`"));
        let outside = [SECTION, "//= type=test", "//# q", "fn a() {}"];
        assert!(problem_of("src/a.rs", &outside).ends_with("outside of a test module"));
    }

    #[test]
    fn citations_in_a_list_belong_to_the_item_in_its_heading() {
        let code = ["fn a() {}", "fn b() {}", ""];
        let list = ["// Also obeyed by `a`:", SECTION, "//# q", SECTION, "//# r"];
        for behind in [&[][..], &["", "#[cfg(test)]", "mod tests {", "fn c() {}"]] {
            let lines = [&code[..], &list, behind].concat();
            let (citations, problems) = of_file("src/a.rs", &lines.join("\n"));
            assert_eq!(problems, [""; 0]);
            let items: Vec<&str> = citations.iter().map(|one| &*one.item).collect();
            assert_eq!(items, ["a", "a"]);
        }
        let unknown = ["fn a() {}", "", "// Also obeyed by `b`:", SECTION, "//# q"];
        assert!(problem_of("src/a.rs", &unknown).contains("does not define `b`"));
    }

    #[test]
    fn unknown_annotation_is_a_problem() {
        let lines = [SECTION, "//= type=todo", "//# q", "fn a() {}"];
        let problem = problem_of("src/a.rs", &lines);
        assert_eq!(problem, "src/a.rs:1: unknown annotation `//= type=todo`");
    }

    #[test]
    fn citation_without_address_quotation_or_code_is_a_problem() {
        let code = "fn a() {}";
        let problem = |lines: &[&str]| problem_of("src/a.rs", lines);
        assert!(problem(&["//# quoted from nowhere", code]).contains("begins with"));
        assert!(problem(&["//=https://no.space", "//# q", code]).contains("begins with"));
        assert!(problem(&[SECTION, code]).contains("quotes its sentence"));
        assert!(problem(&[SECTION, "//# q", "", code]).contains("directly above"));
        assert!(problem(&[SECTION, "//# q"]).contains("directly above"));
    }

    #[test]
    fn name_of_an_item_is_read_from_its_declaration() {
        for (line, name) in [
            ("pub(crate) const fn parse<'a>(", Some("parse")),
            ("pub struct Limits {", Some("Limits")),
            ("const GUID: &str =", Some("GUID")),
            ("let fn_name = 1;", None),
            ("if fin {", None),
        ] {
            assert_eq!(item_name(line).as_deref(), name, "{line}");
        }
    }
}
