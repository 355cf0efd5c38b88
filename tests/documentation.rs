//! The Markdown pages of the repository: their links lead somewhere, and the book in docs/ has all
//! pages of the folder.
//!
//! - A link to a file or folder of the repository exists, and so does the heading that it names.
//! - A link from a name in code font to a source file names something in that file:
//!   [`accept_key`](../src/websocket/handshake/accept_key.rs) fails when the function is renamed.
//! - A link to another site has the form of an https address. No test fetches it.
//!
//! - Code in Rust is compiled: its page is in the documentation of a crate. Or it is marked `ignore` and is a part of an example
//!   that the page names.
//! - Each message of the log has its row in docs/monitoring.md.
//! - The declarations for TypeScript have each option and member of the module for pages, as its comments have them.
//!
//! The chapters in Japanese name the state of the English chapter that they translate. A test names
//! those that have fallen behind.

use proc_macro2::{TokenStream, TokenTree};
use pulldown_cmark::{CodeBlockKind, Event, LinkType, Options, Parser, Tag, TagEnd};
use sha1::{Digest, Sha1};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

#[test]
fn links_lead_somewhere() {
    let pages: BTreeMap<PathBuf, Page> = markdown_files()
        .into_iter()
        .map(|path| (path.clone(), Page::read(&path)))
        .collect();
    let mut faults = Vec::new();
    for (path, page) in &pages {
        for link in &page.links {
            if let Err(fault) = check(path, link, &pages) {
                faults.push(format!("{}: {}: {fault}", path.display(), link.target));
            }
        }
    }
    assert!(pages.len() > 30, "only {} pages were found", pages.len());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn book_has_every_page_of_docs() {
    let summary = Path::new("docs/SUMMARY.md");
    let listed: BTreeSet<PathBuf> = Page::read(summary)
        .links
        .iter()
        .map(|link| normal(&Path::new("docs").join(&link.target)))
        .collect();
    let missing: Vec<PathBuf> = markdown_files()
        .into_iter()
        .filter(|path| path.starts_with("docs") && path != summary && !listed.contains(path))
        .collect();
    assert!(missing.is_empty(), "not in docs/SUMMARY.md: {missing:?}");
}

#[test]
fn code_in_rust_is_compiled_or_a_part_of_an_example() {
    let mut faults = Vec::new();
    let mut pages = 0;
    // The code of the chapters in Japanese is that of the English ones.
    let is_original = |page: &PathBuf| !page.starts_with("docs/ja");
    for page in markdown_files().into_iter().filter(is_original) {
        let text = fs::read_to_string(&page).expect("a page is UTF-8");
        let blocks = code_in_rust(&text);
        pages += usize::from(!blocks.is_empty());
        for (attributes, code) in &blocks {
            let fault = match attributes.iter().any(|attribute| attribute == "ignore") {
                true => example_fault(&text, code),
                false => (!is_compiled(&page)).then_some("the page is in no crate's documentation"),
            };
            if let Some(fault) = fault {
                let first = code.lines().next().unwrap_or_default();
                faults.push(format!("{}: {first}: {fault}", page.display()));
            }
        }
    }
    assert!(pages > 20, "only {pages} pages with code were found");
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn module_for_pages_has_the_types_that_its_comments_name() {
    let read = |name| fs::read_to_string(Path::new("browser").join(name)).expect("a file");
    let module = read("reconnecting-websocket.js");
    let types = read("reconnecting-websocket.d.ts");
    let options: Vec<String> = module
        .lines()
        .filter_map(|line| line.strip_prefix(" * @property {")?.split_once("} ["))
        .filter_map(|(kind, rest)| Some(format!("  {}?: {kind};", rest.split_once(']')?.0)))
        .collect();
    let (_, class) = module.split_once("export class").expect("a class");
    let (class, _) = class.split_once("\n}\n").expect("its end");
    let members: Vec<String> = class
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.strip_suffix(") {"))
        .map(|member| member.trim_start_matches("async "))
        .filter(|member| member.starts_with(char::is_lowercase) && !member.starts_with("get #"))
        .filter_map(|member| Some(format!("  {}(", member.split_once('(')?.0)))
        .collect();
    assert!(options.len() > 5 && members.len() > 5, "{members:?}");
    for line in options.iter().chain(&members) {
        assert!(types.contains(line), "{line}");
    }
    let (_, declared) = types.split_once("type Options = {").expect("options");
    let (declared, _) = declared.split_once("\n};\n").expect("their end");
    assert_eq!(declared.matches("?: ").count(), options.len());
}

/// The blocks of code in Rust, each with what stands behind `rust,`.
fn code_in_rust(page: &str) -> Vec<(Vec<String>, String)> {
    let mut blocks = Vec::new();
    let mut block: Option<(Vec<String>, String)> = None;
    for event in Parser::new_ext(page, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let mut attributes = info.split(',').map(str::to_owned);
                if attributes.next().as_deref() == Some("rust") {
                    block = Some((attributes.collect(), String::new()));
                }
            }
            Event::Text(text) => {
                if let Some((_, code)) = &mut block {
                    code.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => blocks.extend(block.take()),
            _ => {}
        }
    }
    blocks
}

/// Whether `cargo test --doc` compiles the code of a page, by a line in the `lib.rs` of its crate.
fn is_compiled(page: &Path) -> bool {
    let contains = |file: &Path, line: String| {
        fs::read_to_string(file).is_ok_and(|source| source.contains(&line))
    };
    let include = |path: &Path| format!("include_str!(\"../{}\")", path.display());
    let mut parts = page.components().map(|part| part.as_os_str());
    match (parts.next(), parts.next()) {
        (Some(first), Some(name)) if first == "crates" => {
            let package = Path::new("crates").join(name);
            let path = page.strip_prefix(&package).expect("it is in the folder");
            contains(&package.join("src/lib.rs"), include(path))
        }
        _ => {
            let library = Path::new("src/lib.rs");
            let in_book = page.strip_prefix("docs").ok();
            let of_book = in_book.map(|path| format!(": \"{}\",", path.display()));
            contains(library, include(page)) || of_book.is_some_and(|line| contains(library, line))
        }
    }
}

/// Each line of the code stands in an example that the page names, one behind the other.
fn example_fault(page: &str, code: &str) -> Option<&'static str> {
    let names = page.split(['(', ')', '`']).filter_map(|part| {
        let at = part.find("examples/")?;
        part.ends_with(".rs").then(|| &part[at..])
    });
    let mut examples = names.filter_map(|name| fs::read_to_string(name).ok());
    let trimmed = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim().to_owned());
        lines.collect()
    };
    let code = trimmed(code);
    let has_code = |example: String| trimmed(&example).windows(code.len()).any(|at| at == code);
    let found = examples.any(has_code);
    (!found).then_some("it is a part of no example that the page names")
}

/// The messages of the program's log, and the rows of docs/monitoring.md. `…` in a row stands for any end.
#[test]
fn each_message_of_the_log_has_its_row() {
    let page = fs::read_to_string("docs/monitoring.md").expect("a page is UTF-8");
    let rows = below(&page, "| message | level |").lines().skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let listed: BTreeSet<String> = rows
        .flat_map(|row| {
            let names = row.split('|').nth(1).expect("a cell").split('`').skip(1);
            names.step_by(2).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let mut messages = BTreeSet::new();
    for file in sources() {
        let text = fs::read_to_string(&file).expect("a source file can be read");
        // Tests stand at the end.
        let source = text.split("\n#[cfg(test)]\nmod tests {").next();
        let tokens: TokenStream = source.unwrap_or_default().parse().expect("it is Rust");
        messages.extend(messages_of(tokens));
    }
    // The log's own lines are no events.
    messages.extend(["lines suppressed", "lines dropped: "].map(str::to_owned));
    let is_of = |row: &str, message: &str| match row.strip_suffix('…') {
        Some(beginning) => message.starts_with(beginning),
        None => message == row,
    };
    let without_row: Vec<_> = messages
        .iter()
        .filter(|message| !listed.iter().any(|row| is_of(row, message)))
        .collect();
    let gone: Vec<_> = listed
        .iter()
        .filter(|row| !messages.iter().any(|message| is_of(row, message)))
        .collect();
    assert!(messages.len() > 15, "{messages:?}");
    assert!(
        without_row.is_empty() && gone.is_empty(),
        "docs/monitoring.md, ## The log: without a row: {without_row:?}; no longer there: {gone:?}"
    );
}

/// The sources of the library and of the other crates, without their tests.
fn sources() -> Vec<PathBuf> {
    let crates = fs::read_dir("crates").expect("a folder can be read");
    let crates = crates.map(|entry| entry.expect("an entry can be read").path().join("src"));
    let mut folders: Vec<PathBuf> = crates.chain([PathBuf::from("src")]).collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder can be read") {
            let path = entry.expect("an entry can be read").path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|end| end == "rs") => files.push(path),
                false => {}
            }
        }
    }
    files
}

/// What the events of a file say: the last argument of `tracing::event!(…)`, `tracing::info!(…)` and so on. If that is no literal, it is
/// the argument of a macro of the file.
fn messages_of(file: TokenStream) -> Vec<String> {
    let groups = groups(file);
    let events = |groups: &[Group]| -> Vec<Option<String>> {
        let events = groups.iter().filter(|group| group.is_event());
        events.map(Group::last_literal).collect()
    };
    let is_macro = |group: &&Group| {
        group
            .before
            .iter()
            .nth_back(2)
            .is_some_and(|token| token == "macro_rules")
    };
    let passes_on = |group: &&Group| events(&self::groups(group.content.clone())).contains(&None);
    let macros = groups.iter().filter(is_macro).filter(passes_on);
    let names: Vec<_> = macros.filter_map(|group| group.before.last()).collect();
    let is_call = |group: &&Group| {
        let name = group.before.strip_suffix(&["!".to_owned()]);
        name.and_then(<[String]>::last)
            .is_some_and(|name| names.contains(&name))
    };
    let passed_on = groups.iter().filter(is_call).map(Group::last_literal);
    events(&groups)
        .into_iter()
        .chain(passed_on)
        .flatten()
        .collect()
}

/// What stands in brackets.
struct Group {
    /// Up to five tokens in front of it.
    before: Vec<String>,
    content: TokenStream,
}

/// All groups of a file, those in groups too.
fn groups(tokens: TokenStream) -> Vec<Group> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            let before = &tokens[at.saturating_sub(5)..at];
            found.push(Group {
                before: before.iter().map(ToString::to_string).collect(),
                content: group.stream(),
            });
            found.extend(groups(group.stream()));
        }
    }
    found
}

impl Group {
    /// Whether these are the arguments of `tracing::event!`, or of a macro of one level.
    fn is_event(&self) -> bool {
        let before = self.before.join("");
        ["event", "error", "warn", "info", "debug", "trace"]
            .iter()
            .any(|name| before.ends_with(&format!("tracing::{name}!")))
    }

    /// The text at the end.
    fn last_literal(&self) -> Option<String> {
        let last = self.content.clone().into_iter().last()?.to_string();
        let text = last.strip_prefix('"')?.strip_suffix('"')?;
        Some(text.to_owned())
    }
}

#[test]
fn chapters_in_japanese_are_in_step_with_the_english_ones() {
    let chapters = |folder: &str| -> BTreeSet<String> {
        let files = fs::read_dir(folder).expect("a folder can be read");
        files
            .map(|file| {
                file.expect("an entry can be read")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    };
    assert_eq!(chapters("docs/learn"), chapters("docs/ja"));
    let faults: Vec<String> = chapters("docs/learn")
        .into_iter()
        .filter_map(|name| translation_fault(&name).map(|fault| format!("docs/ja/{name}: {fault}")))
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The table in the README is a part of the tables that are generated from measurements.
#[test]
fn speed_in_the_readme_is_that_of_the_page_of_benchmarks() {
    let readme = fs::read_to_string("README.md").expect("a page is UTF-8");
    let page = fs::read_to_string("docs/benchmarks.md").expect("a page is UTF-8");
    let cpu_time = |chapter: &str| below(below(&page, chapter), "### CPU time per");
    let fan_out = cpu_time("## Fan-out");
    let compressed = below(&page, "### 1000 members, 1 publisher with 1 in flight");
    for (case, row) in [
        ("1000, 1, 1", speeds(fan_out, "1000, 1, 64, 1")),
        ("1000, 10, 1", speeds(fan_out, "1000, 10, 64, 1")),
        ("1000, 10, 64", speeds(fan_out, "1000, 10, 64, 64")),
        (
            "1000, 1, 1; JSON of 1 KiB, compressed",
            speeds_of_servers(compressed),
        ),
        (
            "echo: 64 clients with 16 in flight",
            speeds(cpu_time("## Echo"), "64, 64, 16"),
        ),
    ] {
        let line = format!("| {case} | {row} |");
        assert!(readme.contains(&line), "README.md, ## Speed, needs {line}");
    }
}

/// What follows a heading that begins like this.
fn below<'p>(page: &'p str, heading: &str) -> &'p str {
    let at = page.find(&format!("\n{heading}"));
    &page[at.unwrap_or_else(|| panic!("no {heading}")) + 1..]
}

/// Of a row with a column for each server: yamabiko, the limit, the best other server.
fn speeds(table: &str, case: &str) -> String {
    let mut lines = table.lines().skip_while(|line| !line.starts_with("| case"));
    let header = cells(lines.next().expect("a table"));
    let row = lines.find(|line| line.starts_with(&format!("| {case} |")));
    let row = cells(row.expect("the case has a row"));
    let value = |server: &str| {
        let column = header.iter().position(|name| name == server);
        first_number(&row[column.expect("the server has a column")])
    };
    let ours = [
        "case",
        "yamabiko",
        "yamabiko, two workers",
        "limit",
        "limit, each",
    ];
    let others = header.iter().filter(|name| !ours.contains(&name.as_str()));
    let best = others.map(|name| value(name)).min_by(|a, b| in_order(a, b));
    let best = best.expect("another server");
    format!("{} | {} | {best}", value("yamabiko"), value("limit"))
}

/// Of a table with a row for each server, in the order of their cost: yamabiko, no limit, the best other server.
fn speeds_of_servers(table: &str) -> String {
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(2);
    let rows: Vec<_> = rows.map(cells).take(2).collect();
    assert_eq!(rows[0][0], "yamabiko");
    format!("{} | | {}", rows[0][2], rows[1][2])
}

fn cells(line: &str) -> Vec<String> {
    let cells = line.trim_matches('|').split('|');
    cells.map(|cell| cell.trim().to_owned()).collect()
}

/// `**0.370** (0.90×)` is `0.370`.
fn first_number(cell: &str) -> String {
    let number = cell.split(' ').next().unwrap_or_default();
    number.trim_matches('*').to_owned()
}

fn in_order(one: &str, other: &str) -> std::cmp::Ordering {
    let value = |text: &str| text.parse().unwrap_or(f64::INFINITY);
    value(one).total_cmp(&value(other))
}

/// What readers see at the top of a chapter that nobody has brought up to date yet.
const BEHIND: &str = "> この章は英語版より古い内容です。";

fn translation_fault(name: &str) -> Option<String> {
    let read = |folder: &str| {
        fs::read_to_string(format!("docs/{folder}/{name}")).expect("a page is UTF-8")
    };
    let (original, translation) = (read("learn"), read("ja"));
    if translation.contains(BEHIND) {
        return None;
    }
    let digest = Sha1::digest(&original);
    let hash: String = digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mark = format!("<!-- translates docs/learn/{name}, {hash} -->");
    if !translation.ends_with(&format!("{mark}\n")) {
        return Some(format!(
            "the English chapter has changed. Bring this one up to date and end it with {mark:?}, or begin it with {BEHIND:?}"
        ));
    }
    let differs = code(&original) != code(&translation);
    differs.then(|| "its code is not that of the English chapter".to_owned())
}

/// The blocks of code. Drawings and output are marked `text`, and may be translated.
fn code(page: &str) -> Vec<&str> {
    page.split("\n```")
        .skip(1)
        .step_by(2)
        .filter(|block| !block.starts_with("text\n"))
        .collect()
}

/// What the checks need of one page.
struct Page {
    links: Vec<Link>,
    /// The headings, as the part of an address behind `#`.
    anchors: BTreeSet<String>,
}

struct Link {
    target: String,
    /// The text of the link, if it is one piece of code.
    code: Option<String>,
}

impl Page {
    fn read(path: &Path) -> Page {
        let text = fs::read_to_string(path).expect("a page is UTF-8");
        let mut page = Page {
            links: Vec::new(),
            anchors: BTreeSet::new(),
        };
        let mut heading: Option<String> = None;
        let mut link: Option<(Link, bool)> = None;
        for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    page.add_anchor(&heading.take().unwrap_or_default());
                }
                Event::Start(Tag::Link {
                    link_type,
                    dest_url,
                    ..
                }) if link_type != LinkType::Email => {
                    let target = dest_url.to_string();
                    link = Some((Link { target, code: None }, false));
                }
                Event::Start(Tag::Image { dest_url, .. }) => page.links.push(Link {
                    target: dest_url.to_string(),
                    code: None,
                }),
                Event::End(TagEnd::Link) => {
                    if let Some((mut link, has_text)) = link.take() {
                        link.code = link.code.filter(|_| !has_text);
                        page.links.push(link);
                    }
                }
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&code);
                    }
                    if let Some((link, _)) = &mut link {
                        link.code = Some(code.to_string());
                    }
                }
                Event::Text(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                    if let Some((_, has_text)) = &mut link {
                        *has_text = true;
                    }
                }
                _ => {}
            }
        }
        page
    }

    /// A heading that occurs again gets a number.
    fn add_anchor(&mut self, heading: &str) {
        let anchor: String = heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let mut numbered = anchor.clone();
        let mut number = 0;
        while !self.anchors.insert(numbered.clone()) {
            number += 1;
            numbered = format!("{anchor}-{number}");
        }
    }
}

fn check(page: &Path, link: &Link, pages: &BTreeMap<PathBuf, Page>) -> Result<(), String> {
    if let Some(address) = link.target.strip_prefix("https://") {
        let is_address = address.contains('.') && !address.contains(char::is_whitespace);
        return is_address.then_some(()).ok_or("not an address".to_owned());
    }
    // Examples of addresses on this machine.
    if link.target.starts_with("http://127.0.0.1") || link.target.starts_with("ws://") {
        return Ok(());
    }
    if link.target.contains("://") || link.target.starts_with("mailto:") {
        return Err("neither https nor a file".to_owned());
    }
    let (file, anchor) = match link.target.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor)),
        None => (&*link.target, None),
    };
    let file = match file {
        "" => page.to_owned(),
        _ => normal(&page.parent().expect("a page is in a folder").join(file)),
    };
    if !file.exists() && !file.as_os_str().is_empty() {
        return Err("no such file".to_owned());
    }
    if let Some(anchor) = anchor {
        let has_anchor = pages
            .get(&file)
            .is_some_and(|page| page.anchors.contains(anchor));
        return has_anchor
            .then_some(())
            .ok_or(format!("no heading #{anchor}"));
    }
    match &link.code {
        Some(code) if is_source(&file) && is_name(code) => check_name(code, &file),
        _ => Ok(()),
    }
}

fn is_source(file: &Path) -> bool {
    matches!(
        file.extension().and_then(|extension| extension.to_str()),
        Some("rs" | "js" | "py")
    )
}

/// `name` or `Type::name`, and not the name of a file.
fn is_name(code: &str) -> bool {
    code.chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '_' | ':'))
}

/// Each part of `code` stands in the file as a word.
fn check_name(code: &str, file: &Path) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let words: BTreeSet<&str> = text
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    for name in code.split("::") {
        if !words.contains(name) {
            return Err(format!("`{name}` is not in it"));
        }
    }
    Ok(())
}

/// The Markdown files of the repository, relative to it.
fn markdown_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let shown = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &folder
        };
        for entry in fs::read_dir(shown).expect("a folder can be read") {
            let entry = entry.expect("an entry can be read");
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = folder.join(&name);
            if name.starts_with('.') || ["target", "node_modules", "book"].contains(&&*name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".md") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            component => normal.push(component),
        }
    }
    normal
}
