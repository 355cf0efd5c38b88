// The page: a form for the name and the room (the gate), then the room.
//
//   gate --submit--> entering --welcome--> inside --leave--> gate
//                        |                   |  ^
//                        +--error--> gate    +--+ lost: the connection reconnects
//                                                 and joins again automatically
//
// docs/chat-protocol.md specifies the messages.

import { commandOf } from "./commands.js";
import { Composer } from "./composer.js";
import { Connection, REMOVED } from "./connection.js";
import { Conversation, colour, element, peak } from "./conversation.js";
import { diagnose } from "./diagnosis.js";
import { Notifications } from "./notifications.js";
import { Presence } from "./presence.js";
import { isBehind, random, recall, recallRead, recallSession, remember, rememberRead, rememberSession, secret } from "./storage.js";
import { LANGUAGES, currentLanguage, enumeration, errorText, formatTime, preferredLanguage, say, setLanguage, translate } from "./texts.js";
import { Typing } from "./typing.js";

const SUBPROTOCOL = "yamabiko.chat.v2";
/** How many messages of the past are shown to somebody who enters. */
const HISTORY_MESSAGES = 200;
/** Rooms in the list of the gate. */
const ROOMS_SHOWN_MAX = 8;
/** Delays before a join is repeated with a name that our own dead connection may still have. */
const REJOIN_FIRST_MS = 1_000;
const REJOIN_MAX_MS = 8_000;

const at = (id) => document.getElementById(id);
const gate = {
  all: at("gate"),
  form: at("gate-form"),
  name: at("name"),
  room: at("room"),
  error: at("gate-error"),
  suggestion: at("gate-suggestion"),
  visibility: at("visibility"),
  password: at("password"),
  passwordField: at("password-field"),
  enter: at("enter"),
  status: at("gate-status"),
};
const status = {
  all: at("status"),
  text: at("status-text"),
  countdown: at("countdown"),
  retry: at("retry"),
  suggestion: at("status-suggestion"),
};
const chat = at("chat");
const people = at("people");
const peopleToggle = at("people-toggle");

setLanguage(preferredLanguage(recall("yamabiko.language"), navigator.languages));
const presence = new Presence(presenceChanged);
const conversation = new Conversation(at("log"), at("newer"), () => [...presence.names, own.name]);
const composer = new Composer(
  { form: at("composer"), text: at("text"), fault: at("composer-fault") },
  { entered, changed: (draft) => typing.changed(draft) && connection?.send({ type: "typing" }) },
);
const typing = new Typing(at("typing"));
const notifications = new Notifications(at("notify"), at("notify-fault"));

/** "gate", "entering" or "inside". */
let stage = "gate";
let connection = null;
/** `revision`: the revision of the room's names in which the name is ours. */
let own = { name: "", room: "", revision: 0 };
let topic = { text: "", revision: 0 };
/** What the next request to enter has beyond the name: a visibility, a password, an invitation. */
let entry = {};
let isModerator = false;
let textBytesMax = 4096;
/** The unsent text of each room: room -> text. */
const drafts = new Map();
/** Whether we are a member of the room, as far as the page knows. */
let joined = false;
/** Messages that were sent and not received back: id -> {text, article}. */
const calls = new Map();
/** The same when the connection was lost: a message of the past may still confirm them. */
const lostCalls = new Map();
let lastId = 0;
/** The position of the last message of the room that is shown, or "". */
let position = "";
/** How many messages of the past are still to come. */
let replaying = 0;
/** Whether a note about the entry follows behind them. */
let noteFollows = false;
/** The position up to which the user has read the room, while messages of the past come. */
let readUpTo = "";
/** The tab: a reload is the same one. */
const tab = secret("yamabiko.tab", () => sessionStorage);
/** An id is used once, also by a tab that was loaded again. */
const idPrefix = random().slice(0, 8);
let rejoin = { timer: 0, wait: REJOIN_FIRST_MS };
let ticking = 0;
let unseen = 0;

// ---- the gate ---------------------------------------------------------------

gate.form.addEventListener("submit", (event) => {
  event.preventDefault();
  enter(gate.name.value, gate.room.value);
});
gate.suggestion.addEventListener("click", () => enter(gate.suggestion.dataset.name, gate.room.value));
for (const field of [gate.name, gate.room, gate.password]) {
  field.addEventListener("input", () => {
    gateFault("");
    giveUp();
  });
}

/** Checks only input that cannot be sent; the server checks the name. */
function enter(name, room) {
  name = name.trim();
  room = room.trim();
  gateFault("");
  giveUp();
  if (!name) return gateFault(say("enter_name"), gate.name);
  if (!room) return gateFault(say("name_the_room"), gate.room);
  if (!pathOf(room)) return gateFault(say("room_refused"), gate.room);
  gate.name.value = name;
  gate.room.value = room;
  own = { name, room, revision: 0 };
  entry = entryOf(gate.visibility.value, gate.password.value);
  stage = "entering";
  open();
}

function entryOf(create, password) {
  const invitation = invitationOfAddress();
  return { ...(create && { create }), ...(password && { password }), ...(invitation && { invitation }) };
}

gate.visibility.addEventListener("change", showPasswordField);

function showPasswordField(needed = gate.visibility.value === "private") {
  gate.passwordField.hidden = needed !== true && gate.visibility.value !== "private";
  gate.password.autocomplete = gate.visibility.value ? "new-password" : "current-password";
}

/** The rooms that everybody may see, the largest first; nothing if the server does not tell. */
async function showRooms() {
  const response = await fetch("./rooms", { cache: "no-store" }).catch(() => null);
  const listed = response?.ok ? await response.json().catch(() => null) : null;
  const rooms = (listed?.chat?.rooms ?? []).sort((one, other) => other.members - one.members).slice(0, ROOMS_SHOWN_MAX);
  at("rooms-title").hidden = rooms.length === 0;
  at("rooms").replaceChildren(...rooms.map(roomItem));
}

function roomItem({ room, members }) {
  const button = element("button", "link", room);
  button.type = "button";
  button.dir = "auto";
  button.addEventListener("click", () => {
    gate.room.value = room;
    gate.enter.focus();
  });
  const item = element("li");
  item.append(button, element("span", "hint", ` ${say("people", members)}`));
  return item;
}

function gateFault(message, field = null, suggestion = "") {
  gate.error.textContent = message;
  for (const input of [gate.name, gate.room, gate.password]) input.setAttribute("aria-invalid", String(input === field));
  gate.suggestion.hidden = !suggestion;
  gate.suggestion.dataset.name = suggestion;
  gate.suggestion.textContent = suggestion ? say("enter_as", suggestion) : "";
  field?.focus();
}

/** Ends an attempt to enter with earlier input. */
function giveUp() {
  if (stage !== "entering") return;
  stage = "gate";
  close();
}

function showGate() {
  if (stage === "inside") keepDraft();
  stage = "gate";
  close();
  chat.hidden = true;
  gate.all.hidden = false;
  gate.status.textContent = "";
  document.title = "yamabiko";
  showRooms();
  unseen = 0;
  gate.name.focus();
}

function showRoom() {
  stage = "inside";
  lostCalls.clear();
  gate.all.hidden = true;
  chat.hidden = false;
  conversation.clear();
  composer.write(drafts.get(own.room) ?? "");
  at("room-title").textContent = own.room;
  document.title = `${own.room} · yamabiko`;
  remember("yamabiko.room", own.room);
  if (roomOfAddress() !== own.room || invitationOfAddress()) history.replaceState(null, "", `#${encodeURIComponent(own.room)}`);
  composer.focus();
}

function keepDraft() {
  if (composer.draft) drafts.set(own.room, composer.draft);
  else drafts.delete(own.room);
}

// ---- the connection ---------------------------------------------------------

function open() {
  close();
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const path = pathOf(own.room);
  connection = new Connection(`${scheme}://${location.host}${path}`, SUBPROTOCOL, {
    state: connectionChanged,
    message: received,
    probe: () => ({ type: "names", id: "probe" }),
    diagnose: (signal) => diagnose(path, signal),
  });
  connection.start();
}

// "/", or what a proxy has put in front of it.
const folder = location.pathname.replace(/[^/]*$/, "");

/** The path of a room below the page's own folder, or "" if no path can name it. */
function pathOf(room) {
  // In a path these two mean a folder, also if they are encoded (URL Standard).
  if (room === "." || room === "..") return "";
  try {
    return `${folder}chat/${encodeURIComponent(room)}`;
  } catch {
    return ""; // half of a surrogate pair
  }
}

function close() {
  joined = false;
  connection?.stop();
  connection = null;
  clearTimeout(rejoin.timer);
  clearInterval(ticking);
  calls.clear();
  presence.clear();
  typing.clear();
  position = "";
}

function connectionChanged(state) {
  clearInterval(ticking);
  status.countdown.textContent = "";
  if (state.kind === "open") return joining();
  if (state.kind === "stopped" && state.code) return notAgain(say(state.code === REMOVED ? "removed" : "copied_tab"));
  if (state.kind !== "waiting") return showStatus(state.kind, say("connecting"));
  clearTimeout(rejoin.timer);
  if (stage === "entering" && state.cause === "no_room") {
    showGate();
    return gateFault(say("room_refused"), gate.room);
  }
  disconnected();
  const offline = navigator.onLine ? "" : say("offline");
  showStatus("waiting", [explanation(state.cause), offline, say("again")].filter(Boolean).join(" "));
  ticking = setInterval(tick, 250, state.until);
  tick(state.until);
}

function disconnected() {
  if (joined) conversation.mark(say("disconnected"), Date.now());
  joined = false;
  replaying = 0;
  presence.clear();
  typing.clear();
  showPeople();
  loseCalls();
}

/** A moderator has removed the user; or this tab has another connection, perhaps because the browser has copied the tab: two that take over
 *  from each other would never end. */
function notAgain(reason) {
  disconnected();
  showStatus("waiting", reason);
}

/** The reason why there is no connection, and what the user can do. */
function explanation(cause) {
  const lost = stage === "inside" ? say("lost") : "";
  switch (cause) {
    case "unreachable":
      return `${lost} ${say("unreachable")}`.trim();
    case "unavailable":
    case "no_room":
      return say(cause);
    case "refused":
      return say("refused", location.origin);
    default:
      return lost || say("failed");
  }
}

function tick(until) {
  const seconds = Math.max(0, Math.ceil((until - Date.now()) / 1000));
  status.countdown.textContent = say("seconds", seconds);
}

function joining() {
  if (presence.revision !== null) return showConnected();
  rejoin.wait = REJOIN_FIRST_MS;
  showStatus("connecting", say("connecting"));
  join();
}

function join() {
  const place = position ? { after: position } : { history: HISTORY_MESSAGES };
  const session = recallSession();
  connection?.send({ type: "enter", name: own.name, ...(session && { session }), tab, typing: true, ...place, ...entry });
}

function showConnected() {
  if (navigator.onLine) showStatus("connected", say("connected"));
  else showStatus("connected", say("offline_open"));
}

/** The one place where the status line is written. */
function showStatus(kind, message, suggestion = "") {
  status.all.dataset.state = kind;
  if (status.text.textContent !== message) status.text.textContent = message;
  status.retry.hidden = kind !== "waiting";
  status.suggestion.hidden = !suggestion;
  status.suggestion.dataset.name = suggestion;
  status.suggestion.textContent = suggestion ? say("join_as", suggestion) : "";
  gate.status.textContent = stage === "entering" ? message : "";
  at("send").setAttribute("aria-disabled", String(kind !== "connected"));
  if (kind === "connected") composer.connected();
}

status.retry.addEventListener("click", () => {
  if (connection?.state.kind === "stopped") connection.start();
  else connection?.retry();
  composer.focus();
});
status.suggestion.addEventListener("click", () => {
  own.name = status.suggestion.dataset.name;
  clearTimeout(rejoin.timer);
  join();
  composer.focus();
});

// ---- messages of the server -------------------------------------------------

const handlers = {
  welcome,
  joined: changed,
  left: changed,
  names: (message) => presence.list(message) && showPeople(),
  message: textReceived,
  topic: topicReceived,
  typing: ({ name }) => name !== own.name && typing.received(name),
  moderated,
  deleted: placed,
  invitation,
  missed,
  error: refused,
};

function received(message) {
  if (Object.hasOwn(handlers, message?.type)) handlers[message.type](message);
}

function welcome(message) {
  const again = stage === "inside";
  const asked = own.name;
  joined = true;
  textBytesMax = message.limits?.text_bytes_max ?? textBytesMax;
  own = { name: message.you, room: message.room ?? own.room, revision: message.revision };
  if (message.session) rememberSession(message.session);
  if (!again) showRoom();
  // A further connection comes back by its session.
  entry = {};
  gate.visibility.value = "";
  gate.password.value = "";
  showPasswordField(false);
  isModerator = Boolean(message.moderator);
  conversation.onDelete = isModerator ? (position) => send({ type: "delete", position }) : null;
  topic = message.topic ?? { text: "", revision: 0 };
  showTopic();
  presence.list(message);
  showOwnName();
  const past = message.history ?? { position: "", messages: 0, gap: "unknown" };
  position = past.position;
  replaying = past.messages;
  if (again) conversation.mark(say(past.gap === "none" ? "back" : "back_with_gap"), Date.now());
  else noteFollows = true;
  readUpTo = again ? "" : recallRead(own.room);
  if (past.gap !== "none") lostCalls.clear();
  pastShown();
  if (own.name !== asked) conversation.note(say("name_written", own.name));
  showConnected();
}

function showOwnName() {
  [gate.name.value, gate.room.value] = [own.name, own.room];
  conversation.own = own.name;
  remember("yamabiko.name", own.name);
  at("you").textContent = own.name;
  colour(at("you"), own.name);
  showPeople();
}

/** A message of the room was shown: one of the past, or a new one. Those of the past have a position. */
function placed(message) {
  if (message.position) {
    position = message.position;
    if (replaying > 0) {
      replaying -= 1;
      pastShown();
    }
  }
  noteRead();
}

function pastShown() {
  if (replaying > 0 || !noteFollows) return;
  noteFollows = false;
  readUpTo = "";
  conversation.note(say("you_entered", own.room));
  if (topic.text) conversation.note(say("topic_is", topic.text));
  conversation.toUnread();
}

/** The user sees the last message: the next visit begins behind it. */
function noteRead() {
  if (stage === "inside" && position && replaying === 0 && !document.hidden && conversation.isAtEnd) rememberRead(own.room, position);
}

/** The list of `welcome` has the changes of the past already. */
function changed(message) {
  if (replaying === 0 || !message.position) {
    renamedOurselves(message);
    presence.change(message);
  }
  if (message.type === "left") typing.ended(message.name);
  placed(message);
}

/** Of two changes that come in the wrong order, the later one counts. */
function renamedOurselves({ type, name, was, revision }) {
  if (type !== "joined" || was !== own.name || revision <= own.revision) return;
  own = { ...own, name, revision };
  showOwnName();
}

function presenceChanged({ type, name, was, to }) {
  if (was !== undefined) conversation.note(say("renamed", was, name));
  else if (to === undefined && name !== own.name) conversation.changed(name, type === "joined");
  showPeople();
}

function textReceived(message) {
  const { id, from, text, time, action, position } = message;
  const mine = from === own.name;
  const call = mine && (calls.get(id) ?? lostCalls.get(id));
  typing.ended(from);
  if (call) {
    calls.delete(id);
    lostCalls.delete(id);
    conversation.answered(call.article, { from, text, time, action, position });
  } else {
    if (!mine && isUnread(message)) conversation.unreadFromHere();
    const article = conversation.add({ from, text, time, mine, action, position });
    const mentionsMe = article.classList.contains("mentions-me");
    if (!mine && replaying === 0) notifications.received({ from, text, room: own.room, mentionsMe });
  }
  if (document.hidden && replaying === 0) showUnseen(unseen + 1);
  placed(message);
}

/** The user has not seen this message and all behind it: it is behind the read position, or comes while the page is not visible. */
function isUnread({ position }) {
  if (replaying > 0) return Boolean(readUpTo && position) && isBehind(position, readUpTo);
  return document.hidden;
}

function moderated(message) {
  const { action, by, name, seconds, target } = message;
  if (action === "delete") conversation.deleted(target, say("deleted", by));
  else conversation.note(moderationText(action, by, name, seconds));
  placed(message);
}

function moderationText(action, by, name, seconds) {
  const minutes = Math.ceil((seconds ?? 0) / 60);
  switch (action) {
    case "mute":
      return seconds ? say("muted", by, name, minutes) : say("unmuted", by, name);
    case "ban":
      return say("banned", by, name, minutes);
    case "kick":
      return say("kicked", by, name);
    case "slow":
      return seconds ? say("slow", by, seconds) : say("not_slow", by);
    default:
      return say("revoked", by);
  }
}

function invitation({ invitation, until }) {
  const address = `${location.origin}${location.pathname}#${encodeURIComponent(own.room)}?${invitation}`;
  conversation.address(say("invitation", formatTime(until, "calendar")), address);
}

function topicReceived(message) {
  const { text, by, revision } = message;
  if (replaying === 0 && revision > topic.revision) {
    topic = { text, revision };
    showTopic();
  }
  conversation.note(text ? say("topic_set", by, text) : say("topic_removed", by));
  placed(message);
}

function showTopic() {
  at("topic").textContent = topic.text;
  at("topic").title = topic.text;
}

function missed({ messages }) {
  conversation.note(say("skipped", messages));
  connection?.send({ type: "names" });
}

function refused(error) {
  const { id, code, about, suggestion } = error;
  const reason = errorText(error);
  if (about === "enter") return joinRefused(code, reason, suggestion);
  const call = calls.get(id);
  if (!call) return conversation.note(reason);
  calls.delete(id);
  unanswered(call, reason);
}

function joinRefused(code, reason, suggestion) {
  if (code === "already_joined") return;
  if (stage !== "inside" || code !== "name_taken") {
    showGate();
    const needsPassword = ["password_required", "password_wrong", "too_many_passwords"].includes(code);
    if (needsPassword) showPasswordField(true);
    return gateFault(reason, needsPassword ? gate.password : code === "room_exists" ? gate.room : gate.name, suggestion);
  }
  // Reconnected: the server may not have detected yet that our old connection is dead.
  showStatus("connecting", say("name_taken_by_us", own.name), suggestion);
  clearTimeout(rejoin.timer);
  rejoin.timer = setTimeout(join, rejoin.wait);
  rejoin.wait = Math.min(REJOIN_MAX_MS, rejoin.wait * 2);
}

// ---- sending ----------------------------------------------------------------

/** Carries out what the user has entered. What cannot be sent stays in the message box. */
function entered(draft) {
  const command = commandOf(draft);
  const local = LOCAL_COMMANDS[command.kind];
  if (local) return local(command.text, command.number) === false || composer.write("");
  const request = REQUESTS[command.kind](command.text);
  const excess = new TextEncoder().encode(request.text ?? "").length - textBytesMax;
  if (excess > 0) return composer.showFault(say("too_long", excess));
  if (status.all.dataset.state !== "connected") return composer.showFault(say("kept"), true);
  typing.sent();
  if (request.type === "message" || request.type === "action") call(request);
  else connection?.send(request);
  composer.write("");
}

/** Commands that the page carries out. `false`: the text stays in the message box. */
const LOCAL_COMMANDS = {
  help: () => conversation.note(isModerator ? `${say("help")}\n${say("help_moderator")}` : say("help")),
  who: () => conversation.note(say("who", presence.count, enumeration([...presence.names].sort(inOrder)))),
  leave: () => {
    composer.write("");
    leave();
  },
  topic: (text) => {
    if (text) return send({ type: "topic", text: text === "-" ? "" : text });
    conversation.note(topic.text ? say("topic_is", topic.text) : say("topic_none"));
  },
  mute: (name, minutes) => send({ type: "mute", name, seconds: minutes * 60 }),
  kick: (name) => send({ type: "kick", name }),
  ban: (name, minutes) => send({ type: "ban", name, seconds: minutes * 60 }),
  slow: (_, seconds) => send({ type: "slow", seconds }),
  invite: (_, hours) => send({ type: "invite", seconds: hours * 3600 }),
  revoke: () => send({ type: "revoke" }),
  unknown: (name) => fail(say("unknown_command", name)),
  needs: (name) => fail(say("command_needs", FORMS[name])),
};

/** How the commands are written that need something. */
const FORMS = {
  me: "/me TEXT",
  nick: "/nick NAME",
  mute: "/mute NAME MINUTES",
  kick: "/kick NAME",
  ban: "/ban NAME MINUTES",
  slow: "/slow SECONDS",
  invite: "/invite HOURS",
};

/** Commands that are a message to the server. */
const REQUESTS = {
  message: (text) => ({ type: "message", text }),
  me: (text) => ({ type: "action", text }),
  nick: (name) => ({ type: "rename", name }),
};

function fail(reason) {
  composer.showFault(reason);
  return false;
}

/** Sends a request that the log shows when the server answers. */
function send(request) {
  if (status.all.dataset.state === "connected") return connection?.send(request) ?? false;
  composer.showFault(say("kept"), true);
  return false;
}

/** `request`: a message, or an action. */
function call(request) {
  const id = `${idPrefix}-${(lastId += 1)}`;
  if (!connection?.send({ ...request, id })) return;
  conversation.allRead();
  calls.set(id, { request, article: conversation.call(request.text, own.name, request.type === "action") });
}

function loseCalls() {
  for (const [id, lost] of calls) {
    unanswered(lost, say("unconfirmed"), id);
    lostCalls.set(id, lost);
  }
  calls.clear();
}

function unanswered(lost, reason, id = "") {
  conversation.unanswered(lost.article, reason, () => {
    lostCalls.delete(id);
    if (status.all.dataset.state === "connected") return call(lost.request);
    const text = lost.request.type === "action" ? `/me ${lost.request.text}` : lost.request.text.replace(/^\s*\//, "/$&");
    composer.write(composer.draft ? `${composer.draft}\n${text}` : text);
    composer.focus();
  });
}

// ---- the members ------------------------------------------------------------

function showPeople() {
  const known = presence.revision !== null;
  const names = [...presence.names].sort(inOrder);
  at("people-list").replaceChildren(...names.map(person));
  for (const id of ["people-count", "people-count-short"]) at(id).textContent = known ? String(presence.count) : "?";
  const more = presence.count - names.length;
  at("people-more").hidden = known && more <= 0;
  at("people-more").textContent = known ? say("and_more", more) : say("not_known");
}

function inOrder(one, other) {
  return one.localeCompare(other);
}

function person(name) {
  const item = element("li", name === own.name ? "person own" : "person");
  const shown = element("span", "name", name);
  shown.dir = "auto";
  colour(shown, name);
  item.append(peak(name), shown);
  if (name === own.name) item.append(element("span", "hint", say("you")));
  return item;
}

peopleToggle.addEventListener("click", () => openPeople(!people.classList.contains("open")));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !people.classList.contains("open")) return;
  openPeople(false);
  peopleToggle.focus();
});

function openPeople(open) {
  people.classList.toggle("open", open);
  peopleToggle.setAttribute("aria-expanded", String(open));
}

// ---- leaving, the address, the title ------------------------------------------

at("leave").addEventListener("click", leave);

function leave() {
  connection?.send({ type: "leave" });
  showGate();
}

window.addEventListener("hashchange", () => {
  const room = roomOfAddress();
  const atGate = stage === "gate";
  if (!room || (!atGate && room === own.room)) return;
  if (!atGate) showGate();
  gateFault("");
  gate.room.value = room;
  if (!atGate) enter(own.name, room);
});

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  composer.focus();
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return conversation.allRead();
  showUnseen(0);
  noteRead();
});
at("log").addEventListener("scroll", noteRead, { passive: true });

function showUnseen(count) {
  unseen = count;
  if (stage === "inside") document.title = `${count ? `(${count}) ` : ""}${own.room} · yamabiko`;
}

/** The room in the address, or "". An invitation follows it: #room?invitation. */
function roomOfAddress() {
  const written = location.hash.slice(1).split("?")[0];
  try {
    return decodeURIComponent(written).trim();
  } catch {
    return written; // a % that is not an escape is itself
  }
}

/** The invitation in the address, or "". A name of a room has no question mark. */
function invitationOfAddress() {
  return location.hash.split("?")[1] ?? "";
}

// ---- the language ---------------------------------------------------------------

for (const select of document.querySelectorAll("select.language")) {
  select.append(...Object.entries(LANGUAGES).map(([tag, name]) => new Option(name, tag)));
  select.addEventListener("change", () => {
    setLanguage(select.value);
    remember("yamabiko.language", select.value);
    showLanguage();
    if (stage === "inside") showPeople();
    if (status.all.dataset.state === "connected") showConnected();
  });
}

function showLanguage() {
  translate(document);
  for (const select of document.querySelectorAll("select.language")) select.value = currentLanguage();
  at("composer-hint").textContent = say(composer.isTouched ? "composer_hint_touch" : "composer_hint");
}

showLanguage();
gate.name.value = recall("yamabiko.name");
gate.room.value = roomOfAddress() || recall("yamabiko.room") || "lobby";
showRooms();
(gate.name.value ? gate.enter : gate.name).focus();
