// What the page keeps in the browser: the session, the last name and room, the language, where the user has read to. A browser may allow no
// storage; then nothing is kept.

/** Rooms whose read position is kept; the room that was read least recently is dropped. */
const ROOMS_READ_MAX = 100;
const READ = "yamabiko.read";
const SESSION = "yamabiko.session";
/** Sessions of the server begin with it. */
const SIGNED = "s1.";

/** Does nothing if the browser does not allow storage. */
export function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {}
}

export function recall(key) {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

let session = "";

/** The session that the server has given this browser: the person, which all its tabs share. Without storage each load of the page is a
 *  person of its own. */
export function rememberSession(text) {
  session = text;
  remember(SESSION, text);
}

/** The session, or "". Another tab may have got it. What an earlier version of the page has kept there is none. */
export function recallSession() {
  const kept = recall(SESSION);
  return kept.startsWith(SIGNED) ? kept : session;
}

/** A random text, from the storage if it has one. */
export function secret(key, storage) {
  const made = random();
  try {
    const kept = storage().getItem(key);
    if (kept) return kept;
    storage().setItem(key, made);
  } catch {}
  return made;
}

/** 16 random bytes as 32 hexadecimal digits. */
export function random() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The user has read a room up to this position. */
export function rememberRead(room, position) {
  const read = readPositions().filter(([name]) => name !== room);
  read.push([room, position]);
  remember(READ, JSON.stringify(read.slice(-ROOMS_READ_MAX)));
}

/** The position up to which the user has read a room, or "". */
export function recallRead(room) {
  return readPositions().find(([name]) => name === room)?.[1] ?? "";
}

function readPositions() {
  try {
    const read = JSON.parse(recall(READ) || "[]");
    return Array.isArray(read) ? read.filter((pair) => Array.isArray(pair) && pair.every((text) => typeof text === "string")) : [];
  } catch {
    return [];
  }
}

/** Whether a position is behind another one of the same epoch: "epoch-offset". */
export function isBehind(position, other) {
  const [epoch, offset] = position.split("-");
  const [otherEpoch, otherOffset] = other.split("-");
  return Boolean(offset && otherOffset) && epoch === otherEpoch && BigInt(offset) > BigInt(otherOffset);
}
