// The page: a form for the name and the room (the gate), then the room.
//
//   gate --submit--> entering --welcome--> inside --leave--> gate
//                        |                   |  ^
//                        +--error--> gate    +--+ lost: the connection reconnects
//                                                 and joins again automatically
//
// docs/chat-protocol.md specifies the messages.

import { Connection } from "./connection.js";
import { Conversation, colour, element, peak } from "./conversation.js";
import { diagnose } from "./diagnosis.js";
import { Presence } from "./presence.js";

const SUBPROTOCOL = "yamabiko.chat.v2";
/** How many messages of the past are shown to somebody who enters. */
const HISTORY_MESSAGES = 200;
const ROOM_REFUSED = "A room's name has 1 to 64 letters and digits of any script, - _ and .";
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
const text = at("text");
const composer = at("composer");
const composerFault = at("composer-fault");
const people = at("people");
const peopleToggle = at("people-toggle");

const conversation = new Conversation(at("log"), at("newer"));
const presence = new Presence(presenceChanged);

/** "gate", "entering" or "inside". */
let stage = "gate";
let connection = null;
let own = { name: "", room: "" };
let textBytesMax = 4096;
/** The unsent text of each room: room -> text. */
const drafts = new Map();
/** Whether the error at the message box disappears when the connection is back. */
let faultOfConnection = false;
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
/** The person: all tabs of this browser share it. The tab: a reload is the same one. */
const session = secret("yamabiko.session", () => localStorage);
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
for (const field of [gate.name, gate.room]) {
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
  if (!name) return gateFault("Enter your name.", gate.name);
  if (!room) return gateFault("Give the room a name.", gate.room);
  if (!pathOf(room)) return gateFault(ROOM_REFUSED, gate.room);
  gate.name.value = name;
  gate.room.value = room;
  own = { name, room };
  stage = "entering";
  open();
}

function gateFault(message, field = null, suggestion = "") {
  gate.error.textContent = message;
  for (const input of [gate.name, gate.room]) input.setAttribute("aria-invalid", String(input === field));
  gate.suggestion.hidden = !suggestion;
  gate.suggestion.dataset.name = suggestion;
  gate.suggestion.textContent = suggestion ? `Enter as ${suggestion}` : "";
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
  unseen = 0;
  gate.name.focus();
}

function showRoom() {
  stage = "inside";
  lostCalls.clear();
  gate.all.hidden = true;
  chat.hidden = false;
  conversation.clear();
  write(drafts.get(own.room) ?? "");
  at("room-title").textContent = own.room;
  document.title = `${own.room} · yamabiko`;
  remember("yamabiko.room", own.room);
  if (roomOfAddress() !== own.room) history.replaceState(null, "", `#${encodeURIComponent(own.room)}`);
  text.focus();
}

function keepDraft() {
  if (text.value) drafts.set(own.room, text.value);
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
  position = "";
}

function connectionChanged(state) {
  clearInterval(ticking);
  status.countdown.textContent = "";
  if (state.kind === "open") return joining();
  if (state.kind === "stopped" && state.code) return takenOver();
  if (state.kind !== "waiting") return showStatus(state.kind, "Connecting…");
  clearTimeout(rejoin.timer);
  if (stage === "entering" && state.cause === "no_room") {
    showGate();
    return gateFault(ROOM_REFUSED, gate.room);
  }
  disconnected();
  const offline = navigator.onLine ? "" : " Your device is offline.";
  showStatus("waiting", `${explanation(state.cause)}${offline} Trying again automatically.`);
  ticking = setInterval(tick, 250, state.until);
  tick(state.until);
}

function disconnected() {
  if (joined) conversation.mark("Disconnected", Date.now());
  joined = false;
  replaying = 0;
  presence.clear();
  showPeople();
  loseCalls();
}

/** This tab has another connection, perhaps because the browser has copied the tab. Two that take over from each other would never end. */
function takenOver() {
  disconnected();
  showStatus("waiting", "This room was entered again by a copy of this tab.");
}

/** The reason why there is no connection, and what the user can do. */
function explanation(cause) {
  const lost = stage === "inside" ? "Connection lost." : "";
  switch (cause) {
    case "unreachable":
      return `${lost} The server cannot be reached.`.trim();
    case "unavailable":
      return "The server answers, but accepts no connections now. It may be full.";
    case "no_room":
      return "The server answers, but refuses the name of this room.";
    case "refused":
      return (
        "The server answers, but refuses this page. " +
        `Its operator can allow it (--allow-origin ${location.origin}); a proxy has to let WebSocket through.`
      );
    default:
      return lost || "The connection failed.";
  }
}

function tick(until) {
  const seconds = Math.max(0, Math.ceil((until - Date.now()) / 1000));
  status.countdown.textContent = `${seconds} s`;
}

function joining() {
  if (presence.revision !== null) return showConnected();
  rejoin.wait = REJOIN_FIRST_MS;
  showStatus("connecting", "Connecting…");
  join();
}

function join() {
  const place = position ? { after: position } : { history: HISTORY_MESSAGES };
  connection?.send({ type: "enter", name: own.name, session, tab, ...place });
}

function showConnected() {
  if (navigator.onLine) showStatus("connected", "Connected");
  else showStatus("connected", "Your device is offline; this connection is still open.");
}

/** The one place where the status line is written. */
function showStatus(kind, message, suggestion = "") {
  status.all.dataset.state = kind;
  if (status.text.textContent !== message) status.text.textContent = message;
  status.retry.hidden = kind !== "waiting";
  status.suggestion.hidden = !suggestion;
  status.suggestion.dataset.name = suggestion;
  status.suggestion.textContent = suggestion ? `Join as ${suggestion}` : "";
  gate.status.textContent = stage === "entering" ? message : "";
  at("send").setAttribute("aria-disabled", String(kind !== "connected"));
  if (kind === "connected" && faultOfConnection) showComposerFault("");
}

status.retry.addEventListener("click", () => {
  if (connection?.state.kind === "stopped") connection.start();
  else connection?.retry();
  text.focus();
});
status.suggestion.addEventListener("click", () => {
  own.name = status.suggestion.dataset.name;
  clearTimeout(rejoin.timer);
  join();
  text.focus();
});

// ---- messages of the server -------------------------------------------------

const handlers = {
  welcome,
  joined: changed,
  left: changed,
  names: (message) => presence.list(message) && showPeople(),
  message: textReceived,
  missed,
  error: refused,
};

function received(message) {
  if (Object.hasOwn(handlers, message?.type)) handlers[message.type](message);
}

function welcome(message) {
  const again = stage === "inside";
  const asked = own.name;
  own = { name: message.you, room: message.room ?? own.room };
  [gate.name.value, gate.room.value] = [own.name, own.room];
  joined = true;
  textBytesMax = message.limits?.text_bytes_max ?? textBytesMax;
  if (!again) showRoom();
  presence.list(message);
  showPeople();
  remember("yamabiko.name", own.name);
  at("you").textContent = own.name;
  colour(at("you"), own.name);
  const past = message.history ?? { position: "", messages: 0, gap: "unknown" };
  position = past.position;
  replaying = past.messages;
  if (again) conversation.mark(past.gap === "none" ? "You are back." : "You are back. Some messages sent meanwhile are gone.", Date.now());
  else noteFollows = true;
  if (past.gap !== "none") lostCalls.clear();
  pastShown();
  if (own.name !== asked) conversation.note(`The server writes your name as ${own.name}.`);
  showConnected();
}

/** A message of the room was shown: one of the past, or a new one. */
function placed(message) {
  if (message.position) position = message.position;
  if (replaying > 0) {
    replaying -= 1;
    pastShown();
  }
}

function pastShown() {
  if (replaying > 0 || !noteFollows) return;
  noteFollows = false;
  conversation.note(`You entered ${own.room}.`);
}

function changed(message) {
  presence.change(message);
  placed(message);
}

function presenceChanged({ type, name }) {
  if (name !== own.name) conversation.note(type === "joined" ? `${name} entered.` : `${name} left.`);
  showPeople();
}

function textReceived(message) {
  const { id, from, text: received, time } = message;
  const mine = from === own.name;
  const call = mine && (calls.get(id) ?? lostCalls.get(id));
  if (call) {
    calls.delete(id);
    lostCalls.delete(id);
    conversation.answered(call.article, { from, text: received, time });
  } else {
    conversation.add({ from, text: received, time, mine });
  }
  if (document.hidden && replaying === 0) showUnseen(unseen + 1);
  placed(message);
}

function missed({ messages }) {
  conversation.note(`This connection is slow: ${messages === 1 ? "a message was" : `${messages} messages were`} skipped here.`);
  connection?.send({ type: "names" });
}

function refused({ id, code, text: reason, about, suggestion }) {
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
    return gateFault(reason, gate.name, suggestion);
  }
  // Reconnected: the server may not have detected yet that our old connection is dead.
  showStatus("connecting", `The name ${own.name} is taken, perhaps by your lost connection. Trying again.`, suggestion);
  clearTimeout(rejoin.timer);
  rejoin.timer = setTimeout(join, rejoin.wait);
  rejoin.wait = Math.min(REJOIN_MAX_MS, rejoin.wait * 2);
}

// ---- sending ----------------------------------------------------------------

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  const draft = text.value.replace(/[^\P{Cc}\n\t]/gu, "");
  if (!draft.trim()) return text.focus();
  const excess = new TextEncoder().encode(draft).length - textBytesMax;
  if (excess > 0) return showComposerFault(`Too long by ${excess} bytes.`);
  if (status.all.dataset.state !== "connected") {
    showComposerFault("Not connected. Your text is kept here.");
    faultOfConnection = true;
    return;
  }
  call(draft);
  write("");
});

text.addEventListener("keydown", (event) => {
  // While an input method composes, Enter selects a word.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  composer.requestSubmit();
});
text.addEventListener("input", () => {
  showComposerFault("");
  fit();
});

function call(draft) {
  const id = `${idPrefix}-${(lastId += 1)}`;
  if (!connection?.send({ type: "message", text: draft, id })) return;
  calls.set(id, { text: draft, article: conversation.call(draft, own.name) });
}

function loseCalls() {
  for (const [id, lost] of calls) {
    unanswered(lost, "The connection was lost before this message was confirmed.", id);
    lostCalls.set(id, lost);
  }
  calls.clear();
}

function unanswered(lost, reason, id = "") {
  conversation.unanswered(lost.article, reason, () => {
    lostCalls.delete(id);
    if (status.all.dataset.state === "connected") return call(lost.text);
    write(text.value ? `${text.value}\n${lost.text}` : lost.text);
    text.focus();
  });
}

/** Sets the text of the message box, and removes the error of the previous text. */
function write(draft) {
  text.value = draft;
  showComposerFault("");
  fit();
}

function showComposerFault(message) {
  composerFault.textContent = message;
  faultOfConnection = false;
}

/** Sets the height to that of the text, up to the limit of the style sheet. */
function fit() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + text.offsetHeight - text.clientHeight}px`;
}

// ---- the members ------------------------------------------------------------

function showPeople() {
  const known = presence.revision !== null;
  const names = [...presence.names].sort((one, other) => one.localeCompare(other));
  at("people-list").replaceChildren(...names.map(person));
  for (const id of ["people-count", "people-count-short"]) at(id).textContent = known ? String(presence.count) : "?";
  const more = presence.count - names.length;
  at("people-more").hidden = known && more <= 0;
  at("people-more").textContent = known ? `and ${more} more` : "Not known while you are disconnected.";
}

function person(name) {
  const item = element("li", name === own.name ? "person own" : "person");
  const shown = element("span", "name", name);
  shown.dir = "auto";
  colour(shown, name);
  item.append(peak(name), shown);
  if (name === own.name) item.append(element("span", "hint", "you"));
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

at("leave").addEventListener("click", () => {
  connection?.send({ type: "leave" });
  showGate();
});

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
  text.focus();
});

document.addEventListener("visibilitychange", () => !document.hidden && showUnseen(0));

function showUnseen(count) {
  unseen = count;
  if (stage === "inside") document.title = `${count ? `(${count}) ` : ""}${own.room} · yamabiko`;
}

/** The room in the address, or "". */
function roomOfAddress() {
  const written = location.hash.slice(1);
  try {
    return decodeURIComponent(written).trim();
  } catch {
    return written; // a % that is not an escape is itself
  }
}

/** A random text, from the storage if it has one. Without storage each load of the page is a person of its own. */
function secret(key, storage) {
  const made = random();
  try {
    const kept = storage().getItem(key);
    if (kept) return kept;
    storage().setItem(key, made);
  } catch {}
  return made;
}

/** 16 random bytes as 32 hexadecimal digits. */
function random() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Does nothing if the browser does not allow storage. */
function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {}
}

function recall(key) {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

gate.name.value = recall("yamabiko.name");
gate.room.value = roomOfAddress() || recall("yamabiko.room") || "lobby";
(gate.name.value ? gate.enter : gate.name).focus();
