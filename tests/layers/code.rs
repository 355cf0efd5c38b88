//! Rust code, read just far enough to know which paths it names.

use std::collections::BTreeMap;

/// The names that a file takes from outside of itself.
pub struct Code {
    /// Line, counted from 1, and path from the crate on: `std::net::TcpStream`.
    pub paths: Vec<(usize, String)>,
}

impl Code {
    /// `file` is the path below `src/`; `crates` are the names that a path may
    /// begin with.
    pub fn read(file: &str, text: &str, crates: &[String]) -> Self {
        let tokens = tokens(&blanked(without_tests(file, text)));
        let scope = Scope {
            module: module(file),
            crates,
        };
        let mut imports = BTreeMap::new();
        let mut paths = Vec::new();
        let mut rest = &tokens[..];
        while let [first, after @ ..] = rest {
            let mut leaves = Vec::new();
            // `use<'a>` in a type captures a lifetime.
            let captures = after.first().is_some_and(|next| next.text == "<");
            let is_import = first.text == "use" && !captures;
            rest = match is_import {
                true => use_tree(after, "", &mut leaves),
                false => plain_path(rest, &mut leaves),
            };
            for leaf in leaves {
                if let Some(path) = scope.resolved(&leaf.path, &imports) {
                    if is_import {
                        imports.insert(leaf.name, path.clone());
                    }
                    paths.push((first.line, path));
                }
            }
        }
        Self { paths }
    }
}

/// What names mean in a file.
struct Scope<'a> {
    /// `crate::websocket::frame`.
    module: String,
    crates: &'a [String],
}

impl Scope<'_> {
    /// The path from its crate on; `None` for a name of the file's own.
    fn resolved(&self, path: &str, imports: &BTreeMap<String, String>) -> Option<String> {
        const PRINTING: [&str; 5] = ["print!", "println!", "eprint!", "eprintln!", "dbg!"];
        let (first, rest) = path.split_once("::").unwrap_or((path, ""));
        match first {
            "crate" | "self" | "super" if rest.is_empty() => None,
            "crate" => Some(path.to_string()),
            "self" => Some(format!("{}::{rest}", self.module)),
            "super" => Some(self.above(rest)),
            _ if PRINTING.contains(&first) => Some("std::print!".to_string()),
            _ if imports.contains_key(first) && rest.is_empty() => Some(imports[first].clone()),
            _ if imports.contains_key(first) => Some(format!("{}::{rest}", imports[first])),
            _ if self.crates.iter().any(|name| name == first) => Some(path.to_string()),
            _ => None,
        }
    }

    /// A path behind `super::`, which may begin with `super::` again.
    fn above(&self, mut path: &str) -> String {
        let parent = |module: &str| {
            let parent = module.rsplit_once("::").map(|(parent, _)| parent);
            parent.unwrap_or("crate").to_string()
        };
        let mut module = parent(&self.module);
        while let Some(rest) = path.strip_prefix("super::") {
            module = parent(&module);
            path = rest;
        }
        format!("{module}::{path}")
    }
}

/// `websocket/frame/mod.rs` is `crate::websocket::frame`.
fn module(file: &str) -> String {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    format!("crate::{}", path.replace('/', "::"))
}

/// By the habit of the house, a test module is the last thing in its file, or a
/// file `tests.rs` of its own.
fn without_tests<'a>(file: &str, text: &'a str) -> &'a str {
    if file.ends_with("/tests.rs") {
        return "";
    }
    text.find("\n#[cfg(test)]\nmod ")
        .map_or(text, |end| &text[..end])
}

/// The code with spaces for its comments, strings and characters; lines stay.
fn blanked(code: &str) -> String {
    let mut blanked = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        match blank_length(rest) {
            Some(length) => {
                let lines = rest[..length].matches('\n').count();
                blanked.push(' ');
                blanked.extend(std::iter::repeat_n('\n', lines));
                rest = &rest[length..];
            }
            None => {
                // A word goes in whole: the `b` of `grab"` begins no literal.
                let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
                let length = word.max(first.len_utf8());
                blanked.push_str(&rest[..length]);
                rest = &rest[length..];
            }
        }
    }
    blanked
}

/// The length of the comment or literal that the code begins with.
fn blank_length(code: &str) -> Option<usize> {
    let until = |end: &str, from: usize| {
        let found = code[from..].find(end);
        found.map_or(code.len(), |at| from + at + end.len())
    };
    if code.starts_with("//") {
        return Some(until("\n", 0));
    }
    if code.starts_with("/*") {
        return Some(until("*/", 2));
    }
    let literal = code.trim_start_matches(['b', 'c']);
    let prefix = code.len() - literal.len();
    if let Some(raw) = literal.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            return Some(until(&end, prefix + 1 + hashes + 1));
        }
    }
    match literal.chars().next()? {
        '"' => Some(prefix + quoted_length(literal)),
        '\'' if is_character(literal) => Some(prefix + quoted_length(literal)),
        _ => None,
    }
}

/// `'x'` and `'\n'` are characters; `'a` is a lifetime.
fn is_character(code: &str) -> bool {
    let mut inside = code.chars().skip(1);
    inside.next() == Some('\\') || inside.next() == Some('\'')
}

/// The length of what stands between two quotation marks, and of the marks.
fn quoted_length(code: &str) -> usize {
    let mut characters = code.char_indices();
    let mark = characters.next().map(|(_, mark)| mark);
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if Some(character) == mark {
            return at + 1;
        }
    }
    code.len()
}

/// A word (with the `!` of a macro), `::`, or one other character.
struct Token {
    line: usize,
    text: String,
}

fn tokens(blanked: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (index, text) in blanked.lines().enumerate() {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            let length = match word {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                _ if rest[word..].starts_with('!') => word + 1,
                _ => word,
            };
            tokens.push(Token {
                line: index + 1,
                text: rest[..length].to_string(),
            });
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// A path, and the name by which the file knows its end.
struct Leaf {
    path: String,
    name: String,
}

impl Leaf {
    fn new(path: String) -> Self {
        let name = path.rsplit("::").next().unwrap_or_default().to_string();
        Self { path, name }
    }
}

/// One path outside of `use`, or a single token that is none; what comes after it.
fn plain_path<'a>(tokens: &'a [Token], leaves: &mut Vec<Leaf>) -> &'a [Token] {
    let [first, rest @ ..] = tokens else {
        return tokens;
    };
    let mut rest = rest;
    let mut path = first.text.clone();
    while let [colons, name, after @ ..] = rest {
        if colons.text != "::" || !name.text.starts_with(is_word) {
            break;
        }
        path = joined(&path, &name.text);
        rest = after;
    }
    if path.contains("::") || path.ends_with('!') {
        leaves.push(Leaf::new(path));
    }
    rest
}

/// The leaves of a `use` tree, `a::{b, c::{self, d as e}};`, each with its whole
/// path; the mark that ends the tree and what comes after it.
fn use_tree<'a>(tokens: &'a [Token], prefix: &str, leaves: &mut Vec<Leaf>) -> &'a [Token] {
    let mut path = prefix.to_string();
    let mut rest = tokens;
    while let [token, after @ ..] = rest {
        match token.text.as_str() {
            "," | "}" | ";" => break,
            "::" => {}
            "{" => return use_branches(after, &path, leaves),
            "as" => {
                let name = after.first().map_or("", |token| &token.text).to_string();
                leaves.push(Leaf { path, name });
                return after.get(1..).unwrap_or_default();
            }
            "self" if !path.is_empty() => {}
            name => path = joined(&path, name),
        }
        rest = after;
    }
    leaves.push(Leaf::new(path));
    rest
}

fn use_branches<'a>(tokens: &'a [Token], prefix: &str, leaves: &mut Vec<Leaf>) -> &'a [Token] {
    let mut rest = tokens;
    while let [token, after @ ..] = rest {
        rest = match token.text.as_str() {
            "}" => return after,
            "," | ";" => after,
            _ => use_tree(rest, prefix, leaves),
        };
    }
    rest
}

fn joined(path: &str, name: &str) -> String {
    match path {
        "" => name.to_string(),
        _ => format!("{path}::{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(file: &str, code: &str) -> Vec<String> {
        let crates = ["std", "mio"].map(String::from);
        let code = Code::read(file, code, &crates);
        code.paths.into_iter().map(|(_, path)| path).collect()
    }

    #[test]
    fn a_tree_of_imports_is_taken_apart() {
        assert_eq!(
            paths(
                "a/b.rs",
                "pub use std::{fmt, net::{self, IpAddr as Ip}, io::*}; use ::mio::Poll;"
            ),
            [
                "std::fmt",
                "std::net",
                "std::net::IpAddr",
                "std::io::*",
                "mio::Poll"
            ]
        );
    }

    #[test]
    fn a_path_in_full_is_found_wherever_it_stands() {
        let code = "fn f(a: &mut mio::Poll) -> Vec<std::net::IpAddr> { a.b(mio::Token::<u8>(1)); }";
        assert_eq!(
            paths("a/b.rs", code),
            ["mio::Poll", "std::net::IpAddr", "mio::Token"]
        );
    }

    #[test]
    fn an_imported_name_stands_for_its_path() {
        let code = "use std::net;\nuse std::time::Instant as Now;\nfn f() { net::TcpStream::connect(a); Now::now(); }";
        assert_eq!(
            paths("a/b.rs", code)[2..],
            ["std::net::TcpStream::connect", "std::time::Instant::now"]
        );
    }

    #[test]
    fn a_captured_lifetime_is_no_import() {
        let code = "fn f<'a>() -> impl Iterator + use<'a> { g(mio::Token); h() }";
        assert_eq!(paths("a/b.rs", code), ["mio::Token"]);
    }

    #[test]
    fn a_relative_path_is_resolved() {
        let code = "use super::c; use self::d::E; use super::super::f; use crate::g;";
        let resolved = ["crate::a::c", "crate::a::b::d::E", "crate::f", "crate::g"];
        assert_eq!(paths("a/b.rs", code), resolved);
        assert_eq!(paths("a/b/mod.rs", code), resolved);
    }

    #[test]
    fn a_name_of_the_files_own_is_no_path_to_outside() {
        assert_eq!(
            paths("a/b.rs", "mod c; use c::D; pub(crate) fn f() { D::new() }"),
            [""; 0]
        );
    }

    #[test]
    fn comments_strings_and_characters_are_no_code() {
        let code = r##"
            // mio::Poll
            /* mio::Poll */ //! mio::Poll
            fn f<'a>(x: &'a str) { ("mio::Poll \" mio::Poll", r#"mio::Poll""#, b"mio::Poll", '"', '\'', b'"'); }
            fn g() { mio::Token }
        "##;
        assert_eq!(paths("a/b.rs", code), ["mio::Token"]);
    }

    #[test]
    fn a_test_module_may_use_more() {
        let code = "use std::fmt;\n\n#[cfg(test)]\nmod tests {\n    use std::net::TcpStream;\n}\n";
        assert_eq!(paths("a/b.rs", code), ["std::fmt"]);
        assert_eq!(paths("a/tests.rs", "use std::net::TcpStream;"), [""; 0]);
    }

    #[test]
    fn lines_are_counted_over_comments_and_strings() {
        let code = "/* one\n two */ const A: &str = \"three\n four\";\nuse mio::Poll;";
        let crates = ["mio".to_string()];
        assert_eq!(
            Code::read("a/b.rs", code, &crates).paths,
            [(4, "mio::Poll".to_string())]
        );
    }
}
