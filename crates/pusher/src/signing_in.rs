//! Signing in: a connection shows which user it belongs to, and watches other users.

use std::sync::Arc;

use yamabiko::server::Context;

use crate::connection::{Connection, User, fail, send};
use crate::wire::{
    ServerMessage, SignIn, UNAUTHORIZED, USER_ID_CHARACTERS_MAX, UserData, WATCHLIST_MAX,
    WATCHLIST_TOO_LONG,
};

/// `pusher:signin`. A wrong one closes the connection.
pub(crate) fn sign_in(connection: &mut Connection, request: &SignIn, context: &mut Context<'_>) {
    let data = match check(connection, request) {
        Ok(data) => data,
        Err(reason) => return fail(context, UNAUTHORIZED, reason),
    };
    send(context, &ServerMessage::signed_in(&request.user_data));
    if connection.user.is_none() {
        let id: Arc<str> = (&*data.id).into();
        let info = data.user_info.map(ToOwned::to_owned);
        go_online(connection, &id, context);
        connection.user = Some(User { id, info });
        watch(connection, data.watchlist.unwrap_or_default(), context);
    }
}

fn check<'r>(connection: &Connection, request: &'r SignIn) -> Result<UserData<'r>, &'static str> {
    let app = &connection.app;
    let socket_id = connection.socket_id.to_string();
    let signed = [&socket_id, "::user::", &request.user_data];
    if !app
        .secret
        .verify_authorisation(&request.auth, app.app.key(), &signed)
    {
        return Err("the signature is not that of this connection and user data");
    }
    let data = UserData::parse(&request.user_data);
    let data = data.ok_or("the user data have no id that is a text, or are no JSON")?;
    if data.id.is_empty() || data.id.chars().count() > USER_ID_CHARACTERS_MAX {
        return Err("the id of a user has 1 to 128 characters");
    }
    let bytes_max = app.app.app_limits().user_info_bytes_max;
    if data
        .user_info
        .is_some_and(|info| info.get().len() > bytes_max)
    {
        return Err("the user_info is too long");
    }
    match &connection.user {
        Some(user) if *user.id != data.id => Err("the connection has signed in as another user"),
        _ => Ok(data),
    }
}

/// Whoever watches the user is told, if this is the first of its connections.
fn go_online(connection: &Connection, id: &Arc<str>, context: &mut Context<'_>) {
    let app = &connection.app;
    let mut online = app.users.lock();
    let change = online.sign_in(id, context.id());
    if let Some(cluster) = app.cluster().filter(|_| change.on_server) {
        cluster.user_is_online(id);
    }
    if change.of_user {
        let message = ServerMessage::watchlist(true, &[id]);
        context.publish_ordered(&app.watched_room(id), &message);
    }
}

/// The connection has ended.
pub(crate) fn sign_out(connection: &mut Connection, context: &mut Context<'_>) {
    let Some(User { id, .. }) = connection.user.take() else {
        return;
    };
    let app = &connection.app;
    let mut online = app.users.lock();
    let change = online.sign_out(&id, context.id());
    if let Some(cluster) = app.cluster().filter(|_| change.on_server) {
        cluster.user_is_offline(&id);
    }
    if change.of_user {
        let message = ServerMessage::watchlist(false, &[&id]);
        context.publish_ordered(&app.watched_room(&id), &message);
    }
}

/// Tells who of these users is online, and every change from now on. A change that is on its way may be told again: it is the state
/// that the client knows.
fn watch(connection: &Connection, mut watchlist: Vec<String>, context: &mut Context<'_>) {
    if watchlist.len() > WATCHLIST_MAX {
        watchlist.truncate(WATCHLIST_MAX);
        let reason = "a watchlist has at most 100 users; the first 100 are watched";
        let error = ServerMessage::error(reason, Some(WATCHLIST_TOO_LONG), None);
        send(context, &error);
    }
    watchlist.retain(|id| id.chars().count() <= USER_ID_CHARACTERS_MAX);
    for id in &watchlist {
        context.join(&connection.app.watched_room(id));
    }
    let online = connection.app.users.lock();
    let ids = watchlist.iter().map(String::as_str);
    let ids: Vec<&str> = ids.filter(|id| online.contains(id)).collect();
    if !ids.is_empty() {
        send(context, &ServerMessage::watchlist(true, &ids));
    }
}
