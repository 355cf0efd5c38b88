//! Which web pages may open a WebSocket here.
//!
//! Any page that a person visits can make their browser connect to this server,
//! also when it runs on `localhost` or behind a firewall, and the chat asks for
//! no password. So a browser is let in only from a page of this server itself
//! or of a site that the operator has named. Who sends no `Origin` is no
//! browser, and could send any: it is let in.

/// The origins whose pages may connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    any: bool,
    named: Vec<String>,
}

impl Origins {
    /// Pages of this server only: their origin names the same host and port as
    /// the request's `Host`.
    pub fn own() -> Origins {
        Origins::default()
    }

    /// Every page of the web.
    pub fn any() -> Origins {
        Origins { any: true, named: Vec::new() }
    }

    /// Also pages of this origin, such as `https://example.org` (no path).
    #[must_use]
    pub fn and(mut self, origin: impl Into<String>) -> Origins {
        self.named.push(origin.into());
        self
    }

    /// Whether a request with this `Origin` to this `Host` may become a
    /// WebSocket.
    pub fn admit(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
        //# A connection attempt lacking this header field SHOULD NOT be interpreted as coming from a browser client.
        let Some(origin) = origin else { return true };
        //= https://www.rfc-editor.org/rfc/rfc6455#section-10.2
        //# SHOULD verify the |Origin| field is an origin they expect.
        self.any
            || host.is_some_and(|host| is_own(origin, host))
            || self.named.iter().any(|named| named.eq_ignore_ascii_case(origin))
    }
}

/// `http://host:port` or `https://host:port` for this `Host: host:port`. Both
/// leave the scheme's default port out, so they are compared as they stand.
fn is_own(origin: &str, host: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_page_is_let_in_over_http_and_https() {
        let own = Origins::own();
        assert!(own.admit(Some("http://127.0.0.1:8080"), Some("127.0.0.1:8080")));
        assert!(own.admit(Some("https://chat.example.org"), Some("Chat.Example.org")));
        assert!(own.admit(Some("http://[::1]:8080"), Some("[::1]:8080")));
    }

    #[test]
    //= https://www.rfc-editor.org/rfc/rfc6455#section-10.2
    //= type=test
    //# SHOULD verify the |Origin| field is an origin they expect.
    fn page_of_another_site_is_refused_unless_named() {
        let own = Origins::own();
        for foreign in ["http://evil.example", "http://127.0.0.1:8081", "null", "", "file://127.0.0.1:8080"] {
            assert!(!own.admit(Some(foreign), Some("127.0.0.1:8080")), "{foreign}");
        }
        let named = Origins::own().and("https://example.org");
        assert!(named.admit(Some("https://example.org"), Some("127.0.0.1:8080")));
        assert!(!named.admit(Some("https://example.org.evil.example"), Some("127.0.0.1:8080")));
        assert!(Origins::any().admit(Some("null"), None));
    }

    #[test]
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
    //= type=test
    //# A connection attempt lacking this header field SHOULD NOT be interpreted as coming from a browser client.
    fn client_without_an_origin_is_not_taken_for_a_browser() {
        assert!(Origins::own().admit(None, Some("127.0.0.1:8080")));
    }
}
