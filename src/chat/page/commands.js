// A text that the user enters: a message, or a command. The terminal client has the same rules (entry.rs).
//
// A text that begins with a slash is a command and is never sent to the room, also if there is no such command: a typing error
// must not be published. Two slashes send a text that begins with one.

/** What each command needs behind its name: `text`, nothing, or either. */
const COMMANDS = {
  help: "nothing",
  who: "nothing",
  leave: "nothing",
  me: "text",
  nick: "text",
  topic: "either",
};

/** Other names of commands. */
const ALIASES = { quit: "leave", names: "who", "?": "help" };

/**
 * @param {string} entered not blank
 * @returns {{kind: string, text?: string}} `kind` is "message", the name of a command, "needs" (a command without its text: `text`
 *   is its name) or "unknown" (`text` is the name)
 */
export function commandOf(entered) {
  const start = entered.trimStart();
  if (!start.startsWith("/")) return { kind: "message", text: entered };
  if (start.startsWith("//")) return { kind: "message", text: start.slice(1) };
  const [, written, rest] = start.match(/^\/(\S*)\s*([^]*)$/u);
  const typed = written.toLowerCase();
  const name = Object.hasOwn(ALIASES, typed) ? ALIASES[typed] : typed;
  if (!Object.hasOwn(COMMANDS, name)) return { kind: "unknown", text: written };
  if (COMMANDS[name] === "text" && !rest.trim()) return { kind: "needs", text: name };
  return COMMANDS[name] === "nothing" ? { kind: name } : { kind: name, text: rest.trimEnd() };
}
