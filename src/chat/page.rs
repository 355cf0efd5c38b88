//! The files of the page, compiled into the binary.
//!
//! There is no build step, and nothing is loaded from other servers. With
//! [`CONTENT_SECURITY_POLICY`] the browser enforces this. It also rejects every script or
//! style that is not one of these files, and every conversion of text into HTML.

use crate::server::{InvalidField, RequestHead, Response, StaticFile, Status};

/// One file of the page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asset {
    pub(super) path: &'static str,
    pub(super) content_type: &'static str,
    pub(super) body: &'static str,
}

/// The files as they are served: with their header fields, and compressed beforehand.
#[derive(Debug)]
pub(super) struct Page {
    /// Each with its path.
    files: Vec<(&'static str, StaticFile)>,
}

impl Page {
    /// Compresses all files: some milliseconds.
    pub(super) fn new() -> Page {
        // A file with an invalid field would be missing; a test asks for each of them.
        let files = ASSETS
            .iter()
            .filter_map(|asset| Some((asset.path, static_file(asset).ok()?)));
        Page {
            files: files.collect(),
        }
    }

    /// The response to a request for a file.
    pub(super) fn respond(&self, asset: &Asset, request: &RequestHead<'_>) -> Response {
        match self.files.iter().find(|(path, _)| *path == asset.path) {
            Some((_, file)) => file.respond(request),
            None => Response::new(Status::InternalServerError),
        }
    }
}

fn static_file(asset: &Asset) -> Result<StaticFile, InvalidField> {
    let file = StaticFile::new(asset.content_type, asset.body.as_bytes())?;
    let add = |file: StaticFile, (name, value)| file.field(name, value);
    ASSET_FIELDS.into_iter().try_fold(file, add)
}

/// The file at this path.
pub(super) fn asset(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// Header fields of every file. A browser asks each time whether a file has changed, which it does
/// only with the program, and gets a 304 if it has not.
pub(super) const ASSET_FIELDS: [(&str, &str); 4] = [
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-cache"),
];

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

pub(super) static ASSETS: [Asset; 17] = [
    file("/", HTML, include_str!("page/index.html")),
    file("/chat.css", CSS, include_str!("page/chat.css")),
    file("/chat.js", JAVASCRIPT, include_str!("page/chat.js")),
    file("/commands.js", JAVASCRIPT, include_str!("page/commands.js")),
    file("/composer.js", JAVASCRIPT, include_str!("page/composer.js")),
    file(
        "/connection.js",
        JAVASCRIPT,
        include_str!("page/connection.js"),
    ),
    file(
        "/conversation.js",
        JAVASCRIPT,
        include_str!("page/conversation.js"),
    ),
    file(
        "/diagnosis.js",
        JAVASCRIPT,
        include_str!("page/diagnosis.js"),
    ),
    file("/format.js", JAVASCRIPT, include_str!("page/format.js")),
    file("/links.js", JAVASCRIPT, include_str!("page/links.js")),
    file(
        "/notifications.js",
        JAVASCRIPT,
        include_str!("page/notifications.js"),
    ),
    file("/presence.js", JAVASCRIPT, include_str!("page/presence.js")),
    file(
        "/reconnecting-websocket.js",
        JAVASCRIPT,
        include_str!("../../browser/reconnecting-websocket.js"),
    ),
    file("/storage.js", JAVASCRIPT, include_str!("page/storage.js")),
    file("/texts.js", JAVASCRIPT, include_str!("page/texts.js")),
    file("/typing.js", JAVASCRIPT, include_str!("page/typing.js")),
    file("/favicon.svg", SVG, include_str!("page/favicon.svg")),
];

const fn file(path: &'static str, content_type: &'static str, body: &'static str) -> Asset {
    Asset {
        path,
        content_type,
        body,
    }
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

#[cfg(test)]
mod tests {
    use super::*;

    fn of_type(content_type: &str) -> impl Iterator<Item = &'static Asset> + '_ {
        ASSETS
            .iter()
            .filter(move |asset| asset.content_type == content_type)
    }

    #[test]
    fn page_requests_only_files_that_are_served() {
        let quoted = |asset: &'static Asset| asset.body.split(['"', '\'']);
        let requested = ASSETS.iter().flat_map(quoted).filter_map(|word| {
            let path = word.strip_prefix("./").or_else(|| word.strip_prefix('/'))?;
            (path.ends_with(".js") || path.ends_with(".css") || path.ends_with(".svg"))
                .then_some(path)
        });
        let requested: Vec<&str> = requested.collect();
        assert!(requested.len() >= ASSETS.len() - 1, "{requested:?}");
        for path in requested {
            assert!(asset(&format!("/{path}")).is_some(), "{path} is not served");
        }
    }

    #[test]
    fn page_contains_nothing_that_its_policy_rejects() {
        for page in of_type(HTML) {
            for rejected in [
                "<style",
                " style=",
                "<script>",
                " onclick=",
                " onload=",
                "javascript:",
            ] {
                assert!(!page.body.contains(rejected), "{}: {rejected}", page.path);
            }
        }
    }

    #[test]
    fn no_file_loads_anything_from_another_server() {
        for asset in &ASSETS {
            for (position, _) in asset.body.match_indices("://") {
                let after = &asset.body[position..];
                let is_a_namespace = after.starts_with("://www.w3.org/");
                let is_this_server = after.starts_with("://${location.host}");
                let is_a_link_of_a_message = after.starts_with("://${address}");
                assert!(
                    is_a_namespace || is_this_server || is_a_link_of_a_message,
                    "{}: …{after:.40}",
                    asset.path
                );
            }
        }
    }

    #[test]
    fn scripts_never_convert_text_into_html() {
        for script in of_type(JAVASCRIPT) {
            for sink in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
            ] {
                assert!(!script.body.contains(sink), "{}: {sink}", script.path);
            }
        }
    }
}
