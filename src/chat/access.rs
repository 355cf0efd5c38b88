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
    /// An operator: moderates the room.
    pub(super) moderate: bool,
}

impl Rights {
    /// Without a token.
    pub(super) const ALL: Rights = Rights {
        publish: true,
        subscribe: true,
        moderate: false,
    };
}

/// A token that grants publishing to `/moderate/{room}` is that of an operator.
const MODERATE_PREFIX: &str = "/moderate/";

impl Access {
    /// What the client may do in this room, whose topic has the prefix.
    ///
    /// # Errors
    /// 404, 401, or 403 if it may do nothing there.
    pub(super) fn check(
        self,
        request: &Upgrade<'_>,
        prefix: &str,
        room: &str,
    ) -> Result<Rights, Refusal> {
        let moderate = request
            .grant()
            .is_some_and(|grant| grant.may_publish(&format!("{MODERATE_PREFIX}{room}")));
        match self {
            Access::Open => Ok(Rights {
                moderate,
                ..Rights::ALL
            }),
            Access::Off => Err(Refusal::new(
                Status::NotFound,
                "this server has no WebSocket at this path",
            )),
            Access::Token => {
                let grant = request.grant().ok_or(TokenError::Missing)?;
                let topic = format!("{prefix}{room}");
                let rights = Rights {
                    moderate,
                    publish: grant.may_publish(&topic),
                    subscribe: grant.may_subscribe(&topic),
                };
                match rights.publish || rights.subscribe {
                    true => Ok(rights),
                    false => Err(TokenError::NotAllowed.into()),
                }
            }
        }
    }
}
