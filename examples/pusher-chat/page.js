// The page of the chat: a public channel, a private one, and who is typing.

const settings = await (await fetch("/settings")).json();
const pusher = new Pusher(settings.key, {
  cluster: "any",
  wsHost: settings.wsHost,
  wsPort: settings.wsPort,
  forceTLS: false,
  enabledTransports: ["ws"],
  channelAuthorization: { endpoint: "/pusher/auth", transport: "ajax" },
});
const find = (id) => document.getElementById(id);
find("name").value = `guest ${1 + Math.floor(Math.random() * 99)}`;

pusher.connection.bind("state_change", ({ current }) => { find("state").textContent = current; });

/** One of the two conversations. */
function conversation(channelName) {
  const section = find(channelName);
  const list = section.querySelector("ol");
  const typing = section.querySelector(".typing");
  const channel = pusher.subscribe(channelName);

  const show = ({ name, text }, own = false) => {
    const item = document.createElement("li");
    item.className = own ? "own" : "";
    item.append(Object.assign(document.createElement("b"), { textContent: name }), ` ${text}`);
    list.append(item);
    item.scrollIntoView();
    typing.textContent = "";
  };
  channel.bind("message", (message) => show(message));
  // Clients may send events to private channels only.
  let stopped;
  channel.bind("client-typing", ({ name }) => {
    typing.textContent = `${name} is typing …`;
    clearTimeout(stopped);
    // It is told once in a second.
    stopped = setTimeout(() => { typing.textContent = ""; }, 3000);
  });

  let told = 0;
  section.querySelector("input").addEventListener("input", () => {
    if (!channelName.startsWith("private-") || Date.now() - told < 1000) return;
    told = Date.now();
    channel.trigger("client-typing", { name: find("name").value });
  });
  section.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const input = section.querySelector("input");
    const message = { name: find("name").value, text: input.value };
    input.value = "";
    told = 0;
    show(message, true);
    const body = JSON.stringify({ ...message, channel: channelName, socketId: pusher.connection.socket_id });
    const response = await fetch("/messages", { method: "POST", body });
    if (!response.ok) show({ name: "not sent:", text: (await response.json()).error });
  });
}

conversation("chat");
conversation("private-chat");
