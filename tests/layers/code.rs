//! Rust code, parsed by `syn`: the paths that a file names, the items that it defines
//! or re-exports, and its globals.
//!
//! Code under `#[cfg(test)]` and files with the name `tests.rs` are ignored, because
//! tests may use more than the code that they test.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// The names in one source file.
#[derive(Default)]
pub struct Code {
    /// The paths that it names, beginning with the crate: `std::net::TcpStream`.
    pub paths: Vec<Named>,
    /// The names of the items that it defines at its top level.
    pub defines: Vec<String>,
    /// The names that it imports or re-exports, each with its path.
    pub imports: BTreeMap<String, String>,
    /// Prefixes of which it imports or re-exports all names (`use a::b::*`).
    pub globs: Vec<String>,
    /// The types that it has inherent `impl` blocks for.
    pub implements: Vec<Named>,
    /// Its `static` items that can change, and its `thread_local!` tables.
    pub globals: Vec<Named>,
}

/// A path, and the line that names it, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub line: usize,
    pub path: String,
    /// The path is in a `pub use`: the file re-exports the name and does not use it.
    pub re_export: bool,
}

impl Code {
    /// `file` is the path below `src/`; `crates` are the names that a path may
    /// begin with.
    pub fn read(file: &str, text: &str, crates: &[String]) -> Code {
        if file.ends_with("/tests.rs") {
            return Code::default();
        }
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut reader = Reader {
            module: module(file),
            crates,
            code: Code::default(),
            modules: parsed.items.iter().filter_map(declared_module).collect(),
            bare: Vec::new(),
        };
        // Reads the imports first, because they apply to the whole file.
        for item in &parsed.items {
            reader.collect(item);
        }
        reader.visit_file(&parsed);
        reader.resolve_bare();
        reader.code
    }
}

/// `websocket/frame/mod.rs` is `crate::websocket::frame`; `lib.rs` is `crate`.
pub fn module(file: &str) -> String {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    match path {
        "lib" | "main" => "crate".to_string(),
        path => format!("crate::{}", path.replace('/', "::")),
    }
}

struct Reader<'a> {
    module: String,
    crates: &'a [String],
    code: Code,
    /// The modules that the file declares: `mod a;`.
    modules: Vec<String>,
    /// Paths as they are in the code. They are resolved when all imports are known.
    bare: Vec<(usize, String)>,
}

impl Reader<'_> {
    /// Records the names that an item at the top level of the file imports or defines.
    fn collect(&mut self, item: &syn::Item) {
        if is_test(attributes(item)) {
            return;
        }
        match item {
            syn::Item::Use(import) => {
                let re_export = !matches!(import.vis, syn::Visibility::Inherited);
                let absolute = import.leading_colon.is_some();
                self.collect_tree(&import.tree, "", re_export, absolute);
            }
            syn::Item::Static(item) if is_changed(item) => {
                self.global(&item.static_token, item.ident.to_string());
            }
            syn::Item::Impl(block) if block.trait_.is_none() => {
                if let syn::Type::Path(path) = &*block.self_ty {
                    self.code.implements.push(Named {
                        line: line(&block.impl_token),
                        path: text(&path.path),
                        re_export: false,
                    });
                }
            }
            _ => {}
        }
        if let Some(name) = defined(item) {
            self.code.defines.push(name);
        }
    }

    fn collect_tree(&mut self, tree: &syn::UseTree, prefix: &str, re_export: bool, absolute: bool) {
        let leaf = |reader: &mut Self, at: &syn::Ident, name: String, path: String| {
            if let Some(path) = reader.resolved(&path, absolute) {
                reader.code.imports.insert(name, path.clone());
                reader.code.paths.push(Named {
                    line: line(at),
                    path,
                    re_export,
                });
            }
        };
        match tree {
            syn::UseTree::Path(path) => {
                let prefix = joined(prefix, &path.ident.to_string());
                self.collect_tree(&path.tree, &prefix, re_export, absolute);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.collect_tree(tree, prefix, re_export, absolute);
                }
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                let own = prefix.rsplit("::").next().unwrap_or_default().to_string();
                leaf(self, &name.ident, own, prefix.to_string());
            }
            syn::UseTree::Name(name) => {
                let own = name.ident.to_string();
                leaf(self, &name.ident, own.clone(), joined(prefix, &own));
            }
            syn::UseTree::Rename(rename) => {
                let path = match rename.ident == "self" {
                    true => prefix.to_string(),
                    false => joined(prefix, &rename.ident.to_string()),
                };
                leaf(self, &rename.ident, rename.rename.to_string(), path);
            }
            syn::UseTree::Glob(glob) => {
                if let Some(path) = self.resolved(prefix, absolute) {
                    self.code.globs.push(path.clone());
                    self.code.paths.push(Named {
                        line: glob.star_token.span().start().line,
                        path: format!("{path}::*"),
                        re_export,
                    });
                }
            }
        }
    }

    fn global(&mut self, at: &impl Spanned, name: String) {
        self.code.globals.push(Named {
            line: line(at),
            path: name,
            re_export: false,
        });
    }

    /// The path, beginning with its crate; `None` for a name that the file defines.
    fn resolved(&self, path: &str, absolute: bool) -> Option<String> {
        let (first, rest) = path.split_once("::").unwrap_or((path, ""));
        match first {
            "crate" | "self" | "super" if rest.is_empty() => None,
            "crate" => Some(path.to_string()),
            "self" => Some(joined(&self.module, rest)),
            "super" => Some(self.above(rest)),
            _ if !absolute && self.code.imports.contains_key(first) => {
                Some(joined(&self.code.imports[first], rest))
            }
            _ if !absolute && self.modules.iter().any(|name| name == first) => {
                Some(joined(&self.module, path))
            }
            _ if self.crates.iter().any(|name| name == first) => Some(path.to_string()),
            _ => None,
        }
    }

    /// The path after `super::`, which may begin with `super::` again.
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
        joined(&module, path)
    }

    fn resolve_bare(&mut self) {
        for (line, path) in std::mem::take(&mut self.bare) {
            if let Some(path) = self.resolved(&path, false) {
                self.code.paths.push(Named {
                    line,
                    path,
                    re_export: false,
                });
            }
        }
        for implemented in std::mem::take(&mut self.code.implements) {
            if let Some(path) = self.resolved(&implemented.path, false) {
                self.code.implements.push(Named {
                    path,
                    ..implemented
                });
            }
        }
    }

    /// The paths in the arguments of a macro, which `syn` does not parse.
    fn visit_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.visit_tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let mut path = first.to_string();
                    while let Some(name) = segment(&tokens[at + 1..]) {
                        path = joined(&path, &name);
                        at += 3;
                    }
                    self.bare.push((first.span().start().line, path));
                }
                _ => {}
            }
            at += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let is_use = matches!(item, syn::Item::Use(_));
        if !is_use && !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Fn(function) => &function.attrs[..],
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    /// Attributes name no code, except in the arguments of derives, which `syn`'s visitor
    /// does not visit either.
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    /// `pub(in crate::a)` restricts the visibility of an item, and uses nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.bare.push((line(path), text(path)));
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        const PRINTING: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];
        let name = text(&call.path);
        if PRINTING.contains(&&*name) {
            self.code.paths.push(Named {
                line: line(&call.path),
                path: "std::print!".to_string(),
                re_export: false,
            });
        }
        if name.ends_with("thread_local") || name.ends_with("lazy_static") {
            self.global(&call.path, format!("{name}!"));
        }
        self.visit_tokens(call.tokens.clone());
    }
}

/// The name after the `::` at the beginning of the tokens.
fn segment(tokens: &[TokenTree]) -> Option<String> {
    match tokens {
        [
            TokenTree::Punct(a),
            TokenTree::Punct(b),
            TokenTree::Ident(name),
            ..,
        ] if a.as_char() == ':' && b.as_char() == ':' => Some(name.to_string()),
        _ => None,
    }
}

/// The names of the path, without generic arguments.
fn text(path: &syn::Path) -> String {
    let names: Vec<String> = path
        .segments
        .iter()
        .map(|segment| segment.ident.to_string())
        .collect();
    names.join("::")
}

fn line(spanned: &impl Spanned) -> usize {
    spanned.span().start().line
}

fn joined(path: &str, name: &str) -> String {
    match (path, name) {
        ("", name) => name.to_string(),
        (path, "") => path.to_string(),
        (path, name) => format!("{path}::{name}"),
    }
}

/// Whether there is a `#[cfg(test)]`, also within `all(…)`.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return attribute.path().is_ident("test");
        };
        let tokens = list.tokens.to_string();
        list.path.is_ident("cfg") && (tokens == "test" || tokens.starts_with("all (test"))
    })
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether the value of a `static` can change: it is `mut`, or its type has the name of a type
/// with interior mutability in the standard library.
fn is_changed(item: &syn::ItemStatic) -> bool {
    struct Names(bool);
    impl Visit<'_> for Names {
        fn visit_ident(&mut self, ident: &syn::Ident) {
            let name = ident.to_string();
            let kinds = ["Atomic", "Mutex", "RwLock", "Once", "Lazy", "Cell"];
            self.0 |= kinds.iter().any(|kind| name.contains(kind));
        }
    }
    let mut names = Names(matches!(item.mutability, syn::StaticMutability::Mut(_)));
    names.visit_type(&item.ty);
    names.0
}

/// The name of the module in `mod a;`.
fn declared_module(item: &syn::Item) -> Option<String> {
    match item {
        syn::Item::Mod(module) if module.content.is_none() => Some(module.ident.to_string()),
        _ => None,
    }
}

/// The name of an item other than a module or an import.
fn defined(item: &syn::Item) -> Option<String> {
    let name = match item {
        syn::Item::Const(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Static(item) => &item.ident,
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Union(item) => &item.ident,
        syn::Item::Macro(item) => item.ident.as_ref()?,
        _ => return None,
    };
    Some(name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(file: &str, code: &str) -> Vec<String> {
        let crates = ["std", "mio"].map(String::from);
        let code = Code::read(file, code, &crates);
        code.paths.into_iter().map(|named| named.path).collect()
    }

    fn read(code: &str) -> Code {
        Code::read("a/b.rs", code, &["std".to_string()])
    }

    #[test]
    fn import_trees_are_flattened() {
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
    fn full_paths_are_found_in_types_expressions_and_macros() {
        let code = r#"
            fn f(a: &mut mio::Poll) -> Vec<std::net::IpAddr> { a.b(mio::Token::<u8>(1)) }
            fn g() { assert!(mio::Events::new() == 1, "{}", std::fs::read(a)); println!() }
        "#;
        let found = paths("a/b.rs", code);
        for path in [
            "mio::Poll",
            "std::net::IpAddr",
            "mio::Token",
            "mio::Events::new",
            "std::fs::read",
            "std::print!",
        ] {
            assert!(found.iter().any(|named| named == path), "{path}: {found:?}");
        }
    }

    #[test]
    fn imported_names_are_replaced_by_their_paths() {
        let code = "use std::net;\nuse std::time::Instant as Now;\nfn f() { net::TcpStream::connect(a); Now::now(); }";
        let found = paths("a/b.rs", code);
        for path in ["std::net::TcpStream::connect", "std::time::Instant::now"] {
            assert!(found.iter().any(|named| named == path), "{path}: {found:?}");
        }
    }

    #[test]
    fn relative_paths_are_resolved() {
        let code = "use super::c; use self::d::E; use super::super::f; use crate::g;";
        let resolved = ["crate::a::c", "crate::a::b::d::E", "crate::f", "crate::g"];
        assert_eq!(paths("a/b.rs", code), resolved);
        assert_eq!(paths("a/b/mod.rs", code), resolved);
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        let code = r##"
            // mio::Poll
            /* mio::Poll */
            /// mio::Poll
            fn f<'a>(x: &'a str) { g("mio::Poll", r#"mio::Poll""#, b"mio::Poll", '"', '\''); }
        "##;
        assert!(
            paths("a/b.rs", code)
                .iter()
                .all(|path| !path.starts_with("mio"))
        );
    }

    #[test]
    fn test_code_is_ignored() {
        let code = "use std::fmt;\n#[cfg(test)]\nmod tests {\n    use std::net::TcpStream;\n}\n#[cfg(test)]\nuse std::io;";
        assert_eq!(paths("a/b.rs", code), ["std::fmt"]);
        assert_eq!(paths("a/tests.rs", "use std::net::TcpStream;"), [""; 0]);
    }

    #[test]
    fn lines_are_counted_from_one() {
        let code = "/* one\n two */ const A: &str = \"three\n four\";\nuse std::fmt;";
        assert_eq!(read(code).paths[0].line, 4);
    }

    #[test]
    fn definitions_globals_and_inherent_impls_are_listed() {
        let code = read(
            "use super::c::D;\nstruct E;\nimpl E {}\nimpl D {}\nimpl std::fmt::Debug for D {}\n\
             static F: u8 = 1;\nstatic H: std::sync::OnceLock<u8> = x;\nthread_local! { static G: u8 = 1; }",
        );
        assert_eq!(code.defines, ["E", "F", "H"]);
        let names = |named: &[Named]| -> Vec<String> {
            named.iter().map(|named| named.path.clone()).collect()
        };
        assert_eq!(names(&code.implements), ["crate::a::c::D"]);
        assert_eq!(names(&code.globals), ["H", "thread_local!"]);
    }
}
