// A text that the user enters: a message, or a command. The terminal client has the same rules (entry.rs).
//
// A text that begins with a slash is a command and is never sent to the room, also if there is no such command: a typing error
// must not be published. Two slashes send a text that begins with one.

/** What each command needs behind its name: a text, nothing, either, a number, or a text and a number. */
const COMMANDS = {
  help: "nothing",
  who: "nothing",
  leave: "nothing",
  me: "text",
  nick: "text",
  topic: "either",
  mute: "text and number",
  kick: "text",
  ban: "text and number",
  slow: "number",
  invite: "number",
  revoke: "nothing",
};

/** Other names of commands. */
const ALIASES = { quit: "leave", names: "who", "?": "help" };

/**
 * @param {string} entered not blank
 * @returns {{kind: string, text?: string, number?: number}} `kind` is "message", the name of a command, "needs" (a command without
 *   what it needs: `text` is its name) or "unknown" (`text` is the name)
 */
export function commandOf(entered) {
  const start = entered.trimStart();
  if (!start.startsWith("/")) return { kind: "message", text: entered };
  if (start.startsWith("//")) return { kind: "message", text: start.slice(1) };
  const [, written, rest] = start.match(/^\/(\S*)\s*([^]*)$/u);
  const typed = written.toLowerCase();
  const name = Object.hasOwn(ALIASES, typed) ? ALIASES[typed] : typed;
  if (!Object.hasOwn(COMMANDS, name)) return { kind: "unknown", text: written };
  switch (COMMANDS[name]) {
    case "nothing":
      return { kind: name };
    case "text and number":
    case "number":
      return withNumber(name, rest.trim());
    case "text":
      if (!rest.trim()) return { kind: "needs", text: name };
  }
  return { kind: name, text: rest.trimEnd() };
}

/** The number is the last word. */
function withNumber(name, rest) {
  const [, text, digits] = rest.match(/^([^]*?)\s*(?<!\S)(\d{1,6})$/u) ?? [];
  const isComplete = digits !== undefined && (text === "") === (COMMANDS[name] === "number");
  if (!isComplete) return { kind: "needs", text: name };
  return text ? { kind: name, text, number: Number(digits) } : { kind: name, number: Number(digits) };
}
