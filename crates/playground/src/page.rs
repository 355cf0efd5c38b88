//! The files of the page, compiled into the program. Nothing is loaded from elsewhere, and the browser enforces that
//! ([`CONTENT_SECURITY_POLICY`]).

use yamabiko::server::{InvalidField, RequestHead, Response, StaticFile, Status};

/// Where everything of the playground is.
pub(crate) const PATH: &str = "/playground";

/// The outer WebSocket.
pub(crate) const WIRE: &str = "/playground/wire";

/// The files as they are served: with their header fields, and compressed beforehand.
#[derive(Debug)]
pub(crate) struct Page {
    files: Vec<(&'static str, StaticFile)>,
}

impl Page {
    /// Compresses all files: some milliseconds.
    pub(crate) fn new() -> Page {
        // A file with an invalid field would be missing; a test asks for each of them.
        let files = FILES.iter().filter_map(|(path, content_type, body)| {
            Some((*path, static_file(content_type, body).ok()?))
        });
        Page {
            files: files.collect(),
        }
    }

    /// The response to a request below [`PATH`], or for it.
    pub(crate) fn respond(&self, request: &RequestHead<'_>) -> Response {
        match self.files.iter().find(|(path, _)| *path == request.path()) {
            Some((_, file)) => file.respond(request),
            None if request.path() == PATH => to_page(),
            None => Response::text(Status::NotFound, "there is nothing here\n"),
        }
    }
}

/// Relative, so that it is right below any base path.
fn to_page() -> Response {
    Response::text(Status::PermanentRedirect, "the page is at playground/\n")
        .field("Location", "playground/")
        .unwrap_or_else(|_| Response::new(Status::InternalServerError))
}

fn static_file(content_type: &'static str, body: &'static str) -> Result<StaticFile, InvalidField> {
    let file = StaticFile::new(content_type, body.as_bytes())?;
    let add = |file: StaticFile, (name, value)| file.field(name, value);
    FIELDS.into_iter().try_fold(file, add)
}

/// Fields of every file. A browser asks each time whether a file has changed, which it does only with the program.
const FIELDS: [(&str, &str); 4] = [
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-cache"),
];

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// Each with its path and its type.
const FILES: [(&str, &str, &str); 4] = [
    (
        "/playground/",
        "text/html; charset=utf-8",
        include_str!("page/index.html"),
    ),
    (
        "/playground/playground.css",
        "text/css; charset=utf-8",
        include_str!("page/playground.css"),
    ),
    (
        "/playground/playground.js",
        "text/javascript; charset=utf-8",
        include_str!("page/playground.js"),
    ),
    (
        "/playground/favicon.svg",
        "image/svg+xml",
        include_str!("page/favicon.svg"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_the_page_requests_is_served() {
        let page = Page::new();
        assert_eq!(page.files.len(), FILES.len());
        let quoted = FILES.iter().flat_map(|(_, _, body)| body.split('"'));
        let requested: Vec<&str> = quoted.filter_map(|word| word.strip_prefix("./")).collect();
        assert!(requested.len() >= FILES.len() - 1, "{requested:?}");
        for path in requested {
            let path = format!("/playground/{path}");
            assert!(
                path == WIRE || FILES.iter().any(|file| file.0 == path),
                "{path}"
            );
        }
    }

    #[test]
    fn no_file_holds_what_its_policy_rejects() {
        for (path, _, body) in FILES {
            for rejected in [
                "<style",
                " style=",
                "<script>",
                " onclick=",
                "javascript:",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                "https://fonts",
            ] {
                assert!(!body.contains(rejected), "{path}: {rejected}");
            }
        }
    }
}
