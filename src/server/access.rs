//! The token of a request, against [`Config::tokens`]. Without the feature `tokens` nothing is checked.

#[cfg(feature = "tokens")]
pub(super) use with_tokens::Granted;
#[cfg(not(feature = "tokens"))]
pub(super) use without_tokens::Granted;

#[cfg(feature = "tokens")]
mod with_tokens {
    use super::super::config::Config;
    use crate::http::{Refusal, RequestHead};
    use crate::tokens::{Grant, SUBPROTOCOL, TokenError};
    use crate::websocket::handshake::Upgrade;
    use std::time::{Duration, SystemTime};

    /// What the request for a WebSocket is granted.
    pub(crate) struct Granted {
        grant: Option<Grant>,
        /// The server knows tokens.
        is_checked: bool,
    }

    impl Granted {
        /// # Errors
        /// The token is not valid, or there is none and one is needed.
        pub(crate) fn check(
            request: &RequestHead<'_>,
            config: &Config,
            now: SystemTime,
        ) -> Result<Granted, Refusal> {
            let Some(tokens) = &config.tokens else {
                return Ok(Granted {
                    grant: None,
                    is_checked: false,
                });
            };
            let grant = tokens.authenticate(request, now)?;
            if grant.is_none() && !tokens.is_optional() {
                return Err(TokenError::Missing.into());
            }
            Ok(Granted {
                grant,
                is_checked: true,
            })
        }

        pub(crate) fn grant(&self) -> Option<&Grant> {
            self.grant.as_ref()
        }

        /// How long the connection may stay open. `None`: without an end.
        pub(crate) fn lifetime(&self, now: SystemTime) -> Option<Duration> {
            let expires_at = self.grant.as_ref()?.expires_at()?;
            Some(expires_at.duration_since(now).unwrap_or_default())
        }

        /// The subprotocol where the handler selects none.
        pub(crate) fn subprotocol(&self, upgrade: &Upgrade<'_>) -> Option<&'static str> {
            match self.is_checked {
                true => upgrade.choose_subprotocol(&[SUBPROTOCOL]),
                false => None,
            }
        }
    }
}

#[cfg(not(feature = "tokens"))]
mod without_tokens {
    use super::super::config::Config;
    use crate::http::{Refusal, RequestHead};
    use crate::websocket::handshake::Upgrade;
    use std::time::{Duration, SystemTime};

    /// Every request for a WebSocket is granted.
    pub(crate) struct Granted;

    impl Granted {
        pub(crate) fn check(
            _: &RequestHead<'_>,
            _: &Config,
            _: SystemTime,
        ) -> Result<Granted, Refusal> {
            Ok(Granted)
        }

        pub(crate) fn lifetime(&self, _: SystemTime) -> Option<Duration> {
            None
        }

        pub(crate) fn subprotocol(&self, _: &Upgrade<'_>) -> Option<&'static str> {
            None
        }
    }
}
