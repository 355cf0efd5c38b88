// The page shows what the server reports, and sends what its visitor has edited. It decodes nothing itself.
//
//   visitor ─▶ forms ─▶ command ─▶ outer WebSocket ─▶ server
//   ends, tables, list ◀─ report ◀───────────────────┘
//
// Every text is inserted as text. The commands and reports are described in crates/playground/src/messages.rs.

const STATES = ["connecting", "open", "closing", "closed", "failed", "lost"];
const BAD_STATES = ["failed", "lost"];
const DISSECT_AFTER_MS = 150;
const SHOWN_STEPS_MAX = 100;

const at = (id) => document.getElementById(id);

/** A new element with these children: texts or elements. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// ---- the outer connection ----

let socket;
/** The number of the newest dissection; older reports are discarded. */
let dissections = 0;
let examples = [];
let openings = [];
let responses = [];

function connect() {
  const address = new URL("./wire", location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(address);
  socket.onmessage = ({ data }) => receive(JSON.parse(data));
  socket.onclose = ({ code, reason }) => ended(code, reason);
}

function command(value) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(value));
}

function receive(report) {
  const actions = {
    welcome,
    opening: showOpening,
    exchange: showExchange,
    dissection: showDissection,
    composed: showComposed,
    fault: showFault,
  };
  actions[report.kind]?.(report);
}

function ended(code, reason) {
  showStatus("closed", `The server has closed the connection of this page (${code}${reason && `: ${reason}`}). Load the page again.`);
  for (const id of ["open", "respond", "send", "compose", "cut"]) at(id).disabled = true;
}

function showStatus(state, text) {
  at("status").dataset.state = state;
  at("status-text").textContent = text;
}

function welcome(report) {
  showStatus("open", "Connected to the server.");
  ({ openings, examples } = report);
  at("opening-example").replaceChildren(...openings.map(({ name }, index) => element("option", { value: index }, name)));
  at("request").value = shownHead(openings[0].request);
  for (const id of ["open", "compose"]) at(id).disabled = false;
  listExamples();
  choose(0);
  showEnds({ client: { state: "connecting" }, server: { state: "connecting" }, tcp_open: false });
}

// ---- the two ends ----

function showEnds({ client, server, tcp_open: tcpOpen }) {
  showEnd("client", client);
  showEnd("server", server);
  at("tcp").dataset.open = tcpOpen;
  const opened = client.state !== "connecting";
  at("tcp-text").textContent = tcpOpen ? "TCP: open" : opened ? "TCP: ended" : "TCP: no connection";
  for (const id of ["send", "cut"]) at(id).disabled = !tcpOpen;
}

function showEnd(name, { state, ended: how, code }) {
  const items = STATES.map((each) => {
    const item = element("li", {}, each);
    if (each === state) item.setAttribute("aria-current", "step");
    if (BAD_STATES.includes(each)) item.dataset.bad = "";
    return item;
  });
  at(`${name}-states`).replaceChildren(...items);
  at(`${name}-ended`).textContent = how ? `${how}; the application gets the code ${code}` : "";
}

// ---- the opening handshake ----

const shownHead = (head) => head.replaceAll("\r\n", "\n").trimEnd();
const sentHead = (text) => `${text.trimEnd().replaceAll(/\r?\n/g, "\r\n")}\r\n\r\n`;

function openingVerdict(report) {
  if (report.accepted) {
    const text = report.compressed ? "Accepted, with compression. Both ends are open." : "Accepted. Both ends are open.";
    return element("p", { class: "good" }, text);
  }
  const who = report.refused_by === "client" ? "The client does not go on" : "Refused";
  return element("p", { class: "mark" }, `${who}: ${report.reason}`);
}

function showOpening(report) {
  at("wire").replaceChildren();
  const result = at("opening-result");
  result.replaceChildren(
    openingVerdict(report),
    ...quotation(report.rule),
    lineTable("The request, line by line", report.request),
    ...(report.response.length ? [lineTable(report.edited ? "The response that you gave the client" : "The response", report.response)] : []),
    ...acceptKey(report.accept_key),
  );
  result.hidden = false;
  result.focus();
  if (!report.edited) listResponses(report.responses);
  showEnds(report.ends);
  report.steps.forEach(showStep);
}

/** The server's own response, to be changed. */
function listResponses(found) {
  responses = found;
  at("answer").hidden = responses.length === 0;
  at("respond").disabled = responses.length === 0;
  at("response-example").replaceChildren(...responses.map(({ name }, index) => element("option", { value: index }, name)));
  at("response").value = responses.length ? shownHead(responses[0].response) : "";
}

function lineTable(title, lines) {
  const rows = lines.map(({ text, meaning }) =>
    element("tr", {}, element("td", { class: "bytes" }, text), element("td", { class: "meaning" }, meaning)));
  return table(title, ["Line", "Meaning"], rows);
}

function acceptKey(key) {
  if (!key) return [];
  return [element("p", {}, "The accept key is the SHA-1 of the text ", element("code", {}, key.hashed), ", in Base64: ", element("code", {}, key.accept))];
}

// ---- frames as tables ----

function table(title, headings, rows) {
  const head = element("tr", {}, ...headings.map((heading) => element("th", { scope: "col" }, heading)));
  const made = element("table", {}, element("caption", {}, title), element("thead", {}, head), element("tbody", {}, ...rows));
  return element("div", { class: "scroll" }, made);
}

function frameTable(frame, index) {
  const bytes = frame.bytes.split(" ");
  let start = 0;
  const rows = frame.parts.map((part) => {
    const own = bytes.slice(start, start + part.length).join(" ");
    start += part.length;
    const shown = element("td", { class: "bytes" }, own);
    if (part.bits) shown.append(element("span", { class: "bits" }, part.bits));
    if (part.unmasked) shown.append(element("span", { class: "unmasked" }, `unmasked ${part.unmasked}`));
    return element("tr", {}, shown, element("td", {}, part.name), element("td", { class: "meaning" }, part.meaning));
  });
  const made = table(`Frame ${index + 1}: ${frame.title}`, ["Bytes", "Part", "Meaning"], rows);
  const notes = [];
  if (frame.missing_bytes > 0) notes.push(element("p", { class: "hint" }, `${frame.missing_bytes} bytes are still missing.`));
  if (frame.problem) notes.push(element("p", { class: "mark" }, `Breaks a rule: ${frame.problem}`));
  return element("div", { class: "frame" }, made, ...notes);
}

function frameTables({ frames, omitted_bytes: omitted }) {
  const tables = frames.map(frameTable);
  if (omitted > 0) tables.push(element("p", { class: "hint" }, `${omitted} bytes of further frames are not shown.`));
  return tables;
}

function quotation(rule) {
  if (!rule) return [];
  const address = `https://www.rfc-editor.org/rfc/rfc${rule.rfc}#section-${rule.section}`;
  const source = element("a", { href: address, rel: "noreferrer" }, `RFC ${rule.rfc}, section ${rule.section}`);
  return [element("blockquote", {}, element("p", {}, rule.sentence), element("footer", {}, source))];
}

// ---- what went over the wire ----

const otherEnd = (end) => (end === "client" ? "server" : "client");

function showExchange({ steps, ends }) {
  steps.forEach(showStep);
  showEnds(ends);
  if (!ends.tcp_open) {
    const text = steps.length ? "The server closes TCP." : "TCP was cut: no Close, and no answer any more.";
    at("wire").append(element("li", {}, text));
  }
  announce(steps, ends);
}

function showStep(step) {
  const { from, automatic, read, events, error } = step;
  const title = `${from} → ${otherEnd(from)}${automatic ? ", by itself" : ""}`;
  const item = element("li", { class: "step" }, element("h3", {}, title[0].toUpperCase() + title.slice(1)), ...frameTables(step));
  item.dataset.from = from;
  if (!read) item.append(element("p", { class: "hint" }, `The ${otherEnd(from)} reads no more: these bytes have no effect.`));
  item.append(eventList(otherEnd(from), events, step.omitted_events));
  if (error) {
    const text = `The ${otherEnd(from)} fails the connection with ${error.close_code}: ${error.text}`;
    item.append(element("p", { class: "mark" }, text), ...quotation(error.rule));
  }
  at("wire").append(item);
  while (at("wire").children.length > SHOWN_STEPS_MAX) at("wire").firstChild.remove();
}

function eventList(end, events, omitted) {
  const items = events.map(({ event, text }) => element("li", {}, `The application of the ${end} gets: ${eventText(event, text)}`));
  if (omitted > 0) items.push(element("li", {}, `${omitted} further events`));
  return element("ul", { class: "events" }, ...items);
}

function eventText(event, text) {
  if (event === "text") return `the text “${text}”`;
  if (event === "close") return `a Close, ${text}`;
  return text ? `a ${event}, ${text}` : `a ${event}`;
}

/** One sentence for a screen reader; the tables are in the list. */
function announce(steps, ends) {
  const errors = steps.filter((step) => step.error).map((step) => `${otherEnd(step.from)} fails: ${step.error.text}.`);
  const events = steps.flatMap((step) => step.events.slice(0, 3).map(({ event, text }) => `${otherEnd(step.from)} gets ${eventText(event, text)}.`));
  const states = `Client ${ends.client.state}, server ${ends.server.state}.`;
  at("news").textContent = [...errors, ...events, states].join(" ");
}

// ---- the editor ----

const chosenEnd = () => document.querySelector("input[name=from]:checked").value;

function listExamples() {
  const of = (broken) => examples
    .map((example, index) => ({ ...example, index }))
    .filter((example) => example.from === chosenEnd() && example.broken === broken)
    .map(({ name, index }) => element("option", { value: index }, name));
  at("example").replaceChildren(
    element("optgroup", { label: "Legal" }, ...of(false)),
    element("optgroup", { label: "Breaks a rule" }, ...of(true)),
  );
}

function choose(index) {
  at("example").value = index;
  edit(examples[index].bytes);
}

function edit(bytes) {
  at("bytes").value = bytes;
  dissect();
}

let waiting = 0;

function dissectSoon() {
  clearTimeout(waiting);
  waiting = setTimeout(dissect, DISSECT_AFTER_MS);
}

function dissect() {
  clearTimeout(waiting);
  dissections += 1;
  if (!at("bytes").value.trim()) {
    at("meaning").replaceChildren();
    return;
  }
  command({ do: "dissect", number: dissections, from: chosenEnd(), bytes: at("bytes").value });
}

function showDissection(report) {
  if (report.number !== dissections) return;
  at("bytes-fault").textContent = "";
  at("bytes").removeAttribute("aria-invalid");
  at("meaning").replaceChildren(...frameTables(report));
}

function showComposed({ bytes }) {
  edit(bytes);
}

function showFault({ text }) {
  at("bytes-fault").textContent = text;
  at("bytes").setAttribute("aria-invalid", "true");
}

/** The frame of the form, as a command describes it. */
function composed() {
  const [kind, value] = [at("kind").value, at("payload").value];
  if (kind === "binary") return { opcode: kind, bytes: value };
  if (kind !== "close") return { opcode: kind, text: value };
  const code = at("code").value.trim();
  // A text that is no number goes as it is, and the server says so.
  const number = Number(code);
  return { opcode: kind, code: code === "" ? null : Number.isNaN(number) ? code : number, reason: value };
}

// ---- forms ----

const openingForm = () => ({ request: sentHead(at("request").value), compress: at("compress").checked });

at("opening").addEventListener("submit", (event) => {
  event.preventDefault();
  command({ do: "open", ...openingForm() });
});
at("opening-example").addEventListener("change", () => {
  at("request").value = shownHead(openings[at("opening-example").value].request);
});
at("answer").addEventListener("submit", (event) => {
  event.preventDefault();
  command({ do: "open", ...openingForm(), response: sentHead(at("response").value) });
});
at("response-example").addEventListener("change", () => {
  at("response").value = shownHead(responses[at("response-example").value].response);
});
at("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  command({ do: "send", from: chosenEnd(), bytes: at("bytes").value });
});
for (const radio of document.querySelectorAll("input[name=from]")) {
  radio.addEventListener("change", () => {
    listExamples();
    choose(at("example").value);
  });
}
at("example").addEventListener("change", () => choose(at("example").value));
at("bytes").addEventListener("input", dissectSoon);
at("kind").addEventListener("change", () => {
  at("code-label").hidden = at("kind").value !== "close";
});
at("compose").addEventListener("click", () => command({ do: "compose", from: chosenEnd(), frame: composed() }));
at("cut").addEventListener("click", () => command({ do: "cut" }));
at("clear").addEventListener("click", () => at("wire").replaceChildren());

connect();
