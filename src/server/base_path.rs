//! The path below which a server serves: for a proxy that gives it a part of a site, and passes the path on unchanged.
//!
//! ```text
//!   Config::base_path = "/talk"
//!
//!   GET /talk/chat/hall ─▶ the application sees /chat/hall
//!   GET /talk ───────────▶ 308 to /talk/, because the page names its files relative to its own path
//!   GET /other, /talkers ▶ 404
//! ```
//!
//! Paths are compared as they were sent, without percent-decoding: a proxy compares them so, too. `OPTIONS *` names no path and
//! passes.

use crate::http::{Refusal, RequestHead, Status};
use std::fmt;
use std::str::FromStr;

/// A path such as `/talk`, or the root: see [`Config::base_path`](super::Config::base_path).
///
/// ```
/// use yamabiko::server::BasePath;
///
/// let base: BasePath = "/talk".parse()?;
/// assert_eq!(base.to_string(), "/talk");
/// assert_eq!("/talk/".parse(), Ok(base));
/// assert_eq!("/".parse(), Ok(BasePath::default()));
/// assert!("talk".parse::<BasePath>().is_err());
/// # Ok::<(), yamabiko::server::InvalidBasePath>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasePath {
    /// Empty for the root, otherwise without a slash at its end.
    path: String,
}

impl BasePath {
    /// The request as the application sees it.
    ///
    /// # Errors
    /// It is for a path elsewhere, or for the base path without its slash.
    pub(super) fn below<'a>(&self, head: RequestHead<'a>) -> Result<RequestHead<'a>, Refusal> {
        if self.path.is_empty() || head.path().is_empty() {
            return Ok(head);
        }
        match head.path().strip_prefix(&*self.path) {
            Some(path) if path.starts_with('/') => Ok(head.with_path(path)),
            Some("") => Err(self.redirection(head.query())),
            _ => Err(Refusal::new(
                Status::NotFound,
                format!(
                    "this server serves paths below {}/ (--base-path, Config::base_path)",
                    self.path
                ),
            )),
        }
    }

    /// To the same path with a slash.
    fn redirection(&self, query: Option<&str>) -> Refusal {
        let refusal = Refusal::new(Status::PermanentRedirect, "the path ends with a slash");
        let without_field = refusal.clone();
        let query = query.map_or(String::new(), |query| format!("?{query}"));
        let location = format!("{}/{query}", self.path);
        refusal.field("Location", location).unwrap_or(without_field)
    }
}

impl FromStr for BasePath {
    type Err = InvalidBasePath;

    fn from_str(text: &str) -> Result<BasePath, InvalidBasePath> {
        let path = text.strip_suffix('/').unwrap_or(text);
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:@".contains(&byte);
        let has_root = text.starts_with('/') && !path.contains("//") && !path.ends_with('/');
        match has_root && path.bytes().all(is_plain) {
            true => Ok(BasePath {
                path: path.to_owned(),
            }),
            false => Err(InvalidBasePath {
                reason: "expected a path such as /talk",
            }),
        }
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.path {
            "" => f.write_str("/"),
            path => f.write_str(path),
        }
    }
}

/// The text is no path to serve below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidBasePath {
    reason: &'static str,
}

impl fmt::Display for InvalidBasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason)
    }
}

impl std::error::Error for InvalidBasePath {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HttpVersion, OwnedRequest};

    /// The path that the application sees, or the status and the location.
    fn below(
        base: &str,
        target: &str,
    ) -> Result<(String, Option<String>), (Status, Option<String>)> {
        let base: BasePath = base.parse().unwrap();
        let fields = [("host", &b"localhost"[..])];
        let request = OwnedRequest::new("GET", target, HttpVersion::Http11, fields).unwrap();
        let head = base.below(request.head().unwrap());
        head.map(|head| (head.path().to_owned(), head.query().map(str::to_owned)))
            .map_err(|refusal| {
                let mut written = Vec::new();
                refusal.to_response().write(&mut written);
                let text = String::from_utf8(written).unwrap();
                let line = text
                    .lines()
                    .find_map(|line| line.strip_prefix("Location: "));
                (refusal.status(), line.map(str::to_owned))
            })
    }

    #[test]
    fn application_sees_the_path_below_the_base() {
        for (base, target, path) in [
            ("/", "/chat/hall", "/chat/hall"),
            ("/talk", "/talk/chat/hall", "/chat/hall"),
            ("/talk/", "/talk/", "/"),
            ("/a/b", "/a/b/c", "/c"),
            ("/talk", "http://localhost/talk/x", "/x"),
            ("/talk", "/talk//x", "//x"),
        ] {
            assert_eq!(below(base, target), Ok((path.to_owned(), None)), "{target}");
        }
        let expected = ("/x".to_owned(), Some("room=/talk".to_owned()));
        assert_eq!(below("/talk", "/talk/x?room=/talk"), Ok(expected));
    }

    #[test]
    fn base_without_its_slash_is_redirected_with_the_query() {
        for (target, location) in [("/talk", "/talk/"), ("/talk?a=b", "/talk/?a=b")] {
            let expected = (Status::PermanentRedirect, Some(location.to_owned()));
            assert_eq!(below("/talk", target), Err(expected));
        }
    }

    #[test]
    fn any_other_path_is_not_found() {
        for target in ["/", "/talkers", "/Talk/", "/x/talk/", "/%74alk/", "//talk/"] {
            assert_eq!(
                below("/talk", target),
                Err((Status::NotFound, None)),
                "{target}"
            );
        }
    }

    #[test]
    fn base_is_a_path_of_characters_that_need_no_escape() {
        for text in [
            "", "talk", "//", "/a//b", "/a//", "/a b", "/a?b", "/a#b", "/ä", "/a\\b",
        ] {
            let error = text.parse::<BasePath>().unwrap_err();
            assert_eq!(error.to_string(), "expected a path such as /talk", "{text}");
        }
        for text in ["/", "/talk", "/a/b-c_d.e~f", "/%E4"] {
            assert_eq!(text.parse::<BasePath>().unwrap().to_string(), text);
        }
    }
}
