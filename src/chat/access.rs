//! Who may use a WebSocket of the chat: anyone, the owners of tokens, or nobody.

use crate::server::{Refusal, Status, Upgrade};
use crate::tokens::TokenError;

/// Who may use the WebSockets of `/chat/` or of `/broadcast/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Every client that the server admits.
    #[default]
    Open,
    /// Clients whose token grants the room: to subscribe, to publish, or both. The server's
    /// [`Config::tokens`](crate::server::Config) check it.
    Token,
    /// Nobody: the path does not exist.
    Off,
}

/// What a client may do in its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rights {
    pub(super) publish: bool,
    pub(super) subscribe: bool,
}

impl Rights {
    pub(super) const ALL: Rights = Rights {
        publish: true,
        subscribe: true,
    };
}

impl Access {
    /// What the client may do in the room of this topic.
    ///
    /// # Errors
    /// 404, 401, or 403 if it may do nothing there.
    pub(super) fn check(self, request: &Upgrade<'_>, topic: &str) -> Result<Rights, Refusal> {
        match self {
            Access::Open => Ok(Rights::ALL),
            Access::Off => Err(Refusal::new(
                Status::NotFound,
                "this server has no WebSocket at this path",
            )),
            Access::Token => {
                let grant = request.grant().ok_or(TokenError::Missing)?;
                let rights = Rights {
                    publish: grant.may_publish(topic),
                    subscribe: grant.may_subscribe(topic),
                };
                match rights.publish || rights.subscribe {
                    true => Ok(rights),
                    false => Err(TokenError::NotAllowed.into()),
                }
            }
        }
    }
}
