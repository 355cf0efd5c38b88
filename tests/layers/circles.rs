//! Circles between files: a file needs a second one that needs the first, directly or
//! through other files. None of them can be understood or changed alone.
//!
//! A file needs another one if it names an item that is defined there. A name that
//! is re-exported counts for the file that defines it. An inherent `impl` block
//! for a type of another file counts in both directions: callers of the type's
//! methods need the file of the block.

use std::collections::{BTreeMap, BTreeSet};

use crate::code::{Code, Named, module};

/// The files of one package, by their path in the project.
pub struct Files {
    /// The folder that contains them.
    source: String,
    codes: BTreeMap<String, Code>,
    /// Module → file.
    modules: BTreeMap<String, String>,
}

/// One file needs another: `(file, line, other file, path)`.
type Need = (String, usize, String, String);

impl Files {
    /// `source` is the folder that contains them.
    pub fn new(source: &str, codes: BTreeMap<String, Code>) -> Files {
        let below = |file: &str| file[source.len()..].trim_start_matches('/').to_string();
        let modules = codes
            .keys()
            .map(|file| (module(&below(file)), file.clone()))
            .collect();
        Files {
            source: source.to_owned(),
            codes,
            modules,
        }
    }

    /// The circles between files, each as the lines that make it; empty without circles.
    pub fn circles(&self) -> Vec<String> {
        let file = |file: &str| Some(file.to_owned());
        self.circles_between(file)
    }

    /// The circles between the modules at the top of the package. A module is a file, or a
    /// folder with all its files. The root file of the package belongs to no module.
    pub fn module_circles(&self) -> Vec<String> {
        self.circles_between(|file| {
            let below = file[self.source.len()..].trim_start_matches('/');
            let (name, is_folder) = match below.split_once('/') {
                Some((folder, _)) => (folder, true),
                None => (below.trim_end_matches(".rs"), false),
            };
            let is_root = !is_folder && matches!(name, "lib" | "main");
            (!is_root).then(|| name.to_owned())
        })
    }

    /// `part` returns the part of the package to which a file belongs.
    fn circles_between(&self, part: impl Fn(&str) -> Option<String>) -> Vec<String> {
        let needs: Vec<_> = self
            .needs()
            .into_iter()
            .filter_map(|(from, line, to, path)| {
                let parts = (part(&from)?, part(&to)?);
                (parts.0 != parts.1)
                    .then_some((parts, format!("{from}:{line} needs {to} for {path}")))
            })
            .collect();
        let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for ((from, to), _) in &needs {
            graph.entry(from).or_default().insert(to);
        }
        let reach: BTreeMap<&str, BTreeSet<&str>> = graph
            .keys()
            .map(|&file| (file, reachable(&graph, file)))
            .collect();
        let reaches = |from: &str, to: &str| reach.get(from).is_some_and(|set| set.contains(to));
        let mut shown = BTreeSet::new();
        needs
            .iter()
            .filter(|((from, to), _)| reaches(to, from))
            .filter(|(parts, _)| shown.insert(parts))
            .map(|(_, line)| line.clone())
            .collect()
    }

    fn needs(&self) -> Vec<Need> {
        let mut needs = Vec::new();
        for (file, code) in &self.codes {
            let mut need = |from: &str, line: usize, to: &str, path: &str| {
                if from != to {
                    needs.push((from.to_string(), line, to.to_string(), path.to_string()));
                }
            };
            for Named { line, path, .. } in code.paths.iter().filter(|named| !named.re_export) {
                if let Some(other) = self.defined_in(path, 0) {
                    need(file, *line, other, path);
                }
            }
            for Named { line, path, .. } in &code.implements {
                if let Some(other) = self.defined_in(path, 0) {
                    need(file, *line, other, path);
                    need(other, *line, file, &format!("methods of {path}"));
                }
            }
        }
        needs
    }

    /// The file that defines the item of this path. `None` for an item of another crate,
    /// and for a whole module.
    fn defined_in(&self, path: &str, depth: usize) -> Option<&str> {
        let mut names = path.split("::").peekable();
        let mut module = names.next().filter(|&first| first == "crate")?.to_string();
        while let Some(name) = names.peek() {
            let inner = format!("{module}::{name}");
            if !self.modules.contains_key(&inner) {
                break;
            }
            module = inner;
            names.next();
        }
        let file = self.modules.get(&module)?;
        let code = self.codes.get(file)?;
        let name = names.next()?;
        if code.defines.iter().any(|defined| defined == name) {
            return Some(file);
        }
        if depth > RE_EXPORTS_MAX {
            return None;
        }
        let rest: String = names.map(|name| format!("::{name}")).collect();
        if let Some(import) = code.imports.get(name) {
            return self.defined_in(&format!("{import}{rest}"), depth + 1);
        }
        code.globs
            .iter()
            .find_map(|glob| self.defined_in(&format!("{glob}::{name}{rest}"), depth + 1))
    }
}

fn reachable<'a>(graph: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &'a str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for &next in graph.get(file).into_iter().flatten() {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen
}

/// The maximum length of a chain of re-exports.
const RE_EXPORTS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let codes = files
            .iter()
            .chain([&("lib.rs", "mod a;"), &("a/mod.rs", "mod b;\nmod c;")])
            .rev()
            .map(|(file, code)| (format!("src/{file}"), Code::read(file, code, &[])))
            .collect();
        Files::new("src", codes).circles()
    }

    #[test]
    fn files_that_name_each_others_items_are_a_circle() {
        let found = circles(&[
            ("a/b.rs", "use super::c::C;\npub struct B(C);"),
            ("a/c.rs", "pub struct C;\nfn f() { super::b::B::new() }"),
        ]);
        assert_eq!(
            found,
            [
                "src/a/b.rs:1 needs src/a/c.rs for crate::a::c::C",
                "src/a/c.rs:2 needs src/a/b.rs for crate::a::b::B::new",
            ]
        );
    }

    #[test]
    fn modules_can_need_each_other_where_no_two_files_do() {
        let codes = [
            ("lib.rs", "mod a;\nmod d;"),
            ("a/mod.rs", "mod b;\nmod c;\npub use c::C;"),
            ("a/b.rs", "use crate::d::D;\npub struct B(D);"),
            ("a/c.rs", "pub struct C;"),
            ("d.rs", "pub struct D(crate::a::C);"),
        ];
        let codes = codes
            .map(|(file, code)| (format!("src/{file}"), Code::read(file, code, &[])))
            .into();
        let files = Files::new("src", codes);
        assert_eq!(files.circles(), [""; 0]);
        assert_eq!(
            files.module_circles(),
            [
                "src/a/b.rs:1 needs src/d.rs for crate::d::D",
                "src/d.rs:1 needs src/a/c.rs for crate::a::C",
            ]
        );
    }

    #[test]
    fn a_circle_over_three_files_and_a_re_export_is_found() {
        let found = circles(&[
            ("a/mod.rs", "mod b;\nmod c;\nmod d;\npub use d::D;"),
            ("a/b.rs", "pub struct B(super::c::C);"),
            ("a/c.rs", "use super::D;\npub struct C(D);"),
            ("a/d.rs", "pub struct D(Box<crate::a::b::B>);"),
        ]);
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn a_folder_that_only_re_exports_its_files_is_no_circle() {
        let found = circles(&[
            ("a/mod.rs", "mod b;\nmod c;\npub use b::B;\npub use c::*;"),
            ("a/b.rs", "use super::C;\npub struct B(C);"),
            ("a/c.rs", "pub struct C;"),
        ]);
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn methods_in_another_file_than_the_type_are_a_circle() {
        let found = circles(&[
            ("a/b.rs", "pub struct B;"),
            ("a/c.rs", "use super::b::B;\nimpl B { fn c(&self) {} }"),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
        let found = circles(&[
            ("a/b.rs", "pub struct B;"),
            ("a/c.rs", "use super::b::B;\nimpl Clone for B {}"),
        ]);
        assert_eq!(found, [""; 0]);
    }
}
