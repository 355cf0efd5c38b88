//! The public types of the libraries that a later version cannot extend: a public enum, or a
//! struct with public fields only, without `#[non_exhaustive]`. And the handler that has to have every method of its trait.
//!
//! Errors and events must be able to grow, so none of them may be such a type. The others are
//! listed below with the reason. `cargo public-api` shows the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use syn::{
    Attribute, Fields, ImplItem, Item, ItemEnum, ItemImpl, ItemStruct, ItemTrait, TraitItem, Type,
    Visibility,
};

/// The types that are exhaustive on purpose.
const EXHAUSTIVE: [(&str, &[&str]); 10] = [
    (
        "settings: they are made with `..Default::default()`, so a new field breaks no program",
        &[
            "BackplaneConfig",
            "AppLimits",
            "Config",
            "DeflateConfig",
            "HeadLimits",
            "HistoryLimits",
            "HttpLimits",
            "LagLimits",
            "LagPolicy",
            "Limits",
            "ListenOptions",
            "LogLimits",
            "RateLimits",
            "ReactorConfig",
            "RoomHistory",
            "RoomLimits",
            "Timeouts",
            "UnixListen",
            "UnixSocketPermissions",
        ],
    ),
    (
        "the RFCs have these and no other",
        &[
            "BodyFraming",
            "DeflateParameters",
            "FrameHeader",
            "Message",
            "Opcode",
            "OwnedMessage",
            "Persistence",
            "Role",
        ],
    ),
    ("a connection has two ends", &["Peer", "Side"]),
    (
        "the words of RFC 2119, and the depths of a run",
        &["Depth", "Level"],
    ),
    ("gives back the message that was refused", &["Full"]),
    ("a stream of another crate, as it is", &["FuturesIo"]),
    (
        "the arguments of one method",
        &["Publication", "WriteOptions"],
    ),
    (
        "made by implementations of a trait",
        &["ChannelInput", "KeptMessages"],
    ),
    (
        "a number, or a choice of two that is complete",
        &["HttpVersion", "Retry", "Timestamp"],
    ),
    (
        "behind the feature `internals`, which promises nothing",
        &["FlushBudget", "Lag", "Skipped"],
    ),
];

#[test]
fn errors_and_events_can_grow() {
    let found = exhaustive_types();
    let listed: BTreeSet<&str> = EXHAUSTIVE
        .iter()
        .flat_map(|(_, names)| *names)
        .copied()
        .collect();
    let unlisted: Vec<_> = found
        .iter()
        // By their name they are settings, which the first reason of the list covers.
        .filter(|(name, _)| !listed.contains(&***name) && !name.ends_with("Settings"))
        .collect();
    assert!(
        unlisted.is_empty(),
        "add #[non_exhaustive], or a reason to the list in this test: {unlisted:?}"
    );
    let gone: Vec<_> = listed
        .iter()
        .filter(|name| !found.contains_key(**name))
        .collect();
    assert!(
        gone.is_empty(),
        "no longer exhaustive, to be taken off the list: {gone:?}"
    );
}

/// Name and file of each.
fn exhaustive_types() -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for file in published_files() {
        let text = fs::read_to_string(&file).expect("a source file can be read");
        let parsed = syn::parse_file(&text).expect("the library is Rust");
        for name in parsed.items.iter().filter_map(exhaustive) {
            found.insert(name, file.clone());
        }
    }
    found
}

/// The sources of the library and of the other crates that are libraries.
fn published_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = rust_files(&root.join("src"));
    for entry in fs::read_dir(root.join("crates")).expect("a folder can be listed") {
        let path = entry.expect("a folder can be listed").path();
        // The program has no public types, and the harness of the tests is not published.
        if !path.ends_with("cli") && !path.ends_with("testing") {
            files.extend(rust_files(&path.join("src")));
        }
    }
    files
}

/// The item's name, if it is such a type.
fn exhaustive(item: &Item) -> Option<String> {
    let (name, is_exhaustive) = match item {
        Item::Enum(ItemEnum {
            ident, vis, attrs, ..
        }) => (ident, is_open(vis, attrs)),
        Item::Struct(ItemStruct {
            ident,
            vis,
            attrs,
            fields,
            ..
        }) => (ident, is_open(vis, attrs) && all_public(fields)),
        _ => return None,
    };
    is_exhaustive.then(|| name.to_string())
}

fn is_open(visibility: &Visibility, attributes: &[Attribute]) -> bool {
    let is_public = matches!(visibility, Visibility::Public(_));
    is_public
        && !attributes
            .iter()
            .any(|attribute| attribute.path().is_ident("non_exhaustive"))
}

fn all_public(fields: &Fields) -> bool {
    fields
        .iter()
        .all(|field| matches!(field.vis, Visibility::Public(_)))
}

/// Every `.rs` file under the folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn each_kind_of_exhaustive_type_is_found() {
    let names = |code: &str| -> Vec<String> {
        let parsed = syn::parse_file(code).expect("it is Rust");
        parsed.items.iter().filter_map(exhaustive).collect()
    };
    let found = "pub enum A { B } pub struct C { pub d: u8 } pub struct E; pub struct F(pub u8);";
    assert_eq!(names(found), ["A", "C", "E", "F"]);
    let closed = "pub(crate) enum A {} enum B {} pub struct C { pub d: u8, e: u8 } \
        #[non_exhaustive] pub struct F; #[non_exhaustive] pub enum G { H } pub struct I(u8);";
    assert_eq!(names(closed), [""; 0]);
}

/// `fn main() -> Result<(), Box<dyn Error>>` prints an error by `Debug`: `InvalidName(())` would tell a user nothing.
#[test]
fn debug_of_a_public_type_is_not_an_empty_value() {
    let mut found = Vec::new();
    for file in published_files() {
        let text = fs::read_to_string(&file).expect("a source file can be read");
        let parsed = syn::parse_file(&text).expect("the library is Rust");
        found.extend(parsed.items.iter().filter_map(empty));
    }
    assert!(found.is_empty(), "give them a reason to hold: {found:?}");
    let parsed = syn::parse_file("pub struct A(()); pub struct B; pub struct C(u8); struct D(());");
    let items = parsed.expect("it is Rust").items;
    assert_eq!(items.iter().filter_map(empty).collect::<Vec<_>>(), ["A"]);
}

/// The name of a public struct that has fields, and all of them are `()`.
fn empty(item: &Item) -> Option<String> {
    let Item::Struct(item) = item else {
        return None;
    };
    let is_unit = |ty: &Type| matches!(ty, Type::Tuple(tuple) if tuple.elems.is_empty());
    let is_public = matches!(item.vis, Visibility::Public(_));
    let is_empty = !item.fields.is_empty() && item.fields.iter().all(|field| is_unit(&field.ty));
    (is_public && is_empty).then(|| item.ident.to_string())
}

/// A method that has a default in the trait would be lost, if the handler of two applications did not have it.
#[test]
fn handler_of_two_applications_passes_on_every_method_of_the_trait() {
    let trait_methods = methods("src/server/handler.rs", |item| match item {
        Item::Trait(item) if item.ident == "Handler" => Some(names_in_trait(item)),
        _ => None,
    });
    assert!(trait_methods.len() > 9, "{trait_methods:?}");
    let passed_on = methods("src/server/with_fallback.rs", |item| match item {
        Item::Impl(item) if is_of(item, "WithFallback") && item.trait_.is_some() => {
            Some(names_in_impl(item))
        }
        _ => None,
    });
    assert_eq!(passed_on, trait_methods);
}

/// The methods of the first item of a file that `of` accepts.
fn methods(file: &str, of: impl Fn(&Item) -> Option<BTreeSet<String>>) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(&path).expect(file);
    let parsed = syn::parse_file(&text).expect("it is Rust");
    parsed.items.iter().find_map(of).expect(file)
}

/// Whether the block is for a type of this name.
fn is_of(item: &ItemImpl, name: &str) -> bool {
    let Type::Path(path) = &*item.self_ty else {
        return false;
    };
    path.path
        .segments
        .last()
        .is_some_and(|last| last.ident == name)
}

fn names_in_trait(item: &ItemTrait) -> BTreeSet<String> {
    let methods = item.items.iter().filter_map(|item| match item {
        TraitItem::Fn(method) => Some(method.sig.ident.to_string()),
        _ => None,
    });
    methods.collect()
}

fn names_in_impl(item: &ItemImpl) -> BTreeSet<String> {
    let methods = item.items.iter().filter_map(|item| match item {
        ImplItem::Fn(method) => Some(method.sig.ident.to_string()),
        _ => None,
    });
    methods.collect()
}
