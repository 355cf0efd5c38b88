//! The messages of a client: which part of the crate gets each of them.

use std::time::Instant;

use yamabiko::server::Context;

use crate::connection::{Connection, send};
use crate::wire::{
    ClientMessage, PING, PONG, SIGNIN, SUBSCRIBE, ServerMessage, SignIn, Subscribe, UNSUBSCRIBE,
    Unsubscribe,
};
use crate::{client_events, signing_in, subscribing};

/// Handles one message. A wrong one is answered with an error, and the connection goes on.
pub(crate) fn handle(connection: &mut Connection, json: &str, context: &mut Context<'_>) {
    let Some(message) = ClientMessage::parse(json) else {
        return refuse(context, "a message is a JSON object with 'event', a text");
    };
    let now = Instant::now();
    match &*message.event {
        PING => send(context, &ServerMessage::pong()),
        // Not awaited: any byte from a client is a sign of life.
        PONG => {}
        SUBSCRIBE => match message.data::<Subscribe>() {
            Some(request) => subscribing::subscribe(connection, &request, now, context),
            None => refuse(
                context,
                "the data of pusher:subscribe are an object with 'channel'",
            ),
        },
        UNSUBSCRIBE => match message.data::<Unsubscribe>() {
            Some(request) => subscribing::unsubscribe(connection, &request.channel, now, context),
            None => refuse(
                context,
                "the data of pusher:unsubscribe are an object with 'channel'",
            ),
        },
        SIGNIN => match message.data::<SignIn>() {
            Some(request) => signing_in::sign_in(connection, &request, context),
            None => refuse(
                context,
                "the data of pusher:signin are an object with 'auth' and 'user_data'",
            ),
        },
        _ => client_events::publish(connection, &message, now, context),
    }
}

fn refuse(context: &mut Context<'_>, reason: &str) {
    send(context, &ServerMessage::error(reason, None, None));
}
