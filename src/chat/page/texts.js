// What the page says, in English and in Japanese.
//
// Each text has a key. A text with values is a function of them. In the HTML, `data-text`, `data-label` (aria-label) and
// `data-placeholder` name the keys; `translate` fills them in. tests/browser/texts.test.mjs compares the languages.

export const LANGUAGES = { en: "English", ja: "日本語" };

const bytes = (count) => `${count} ${count === 1 ? "byte" : "bytes"}`;

const TEXTS = {
  en: {
    motto: "One call, and every mountain answers.",
    your_name: "Your name",
    room: "Room",
    room_hint: "Letters, digits, - _ and .",
    enter_room: "Enter the room",
    enter_as: (name) => `Enter as ${name}`,
    enter_name: "Enter your name.",
    name_the_room: "Give the room a name.",
    password: "Password of the room",
    rooms: "Rooms",
    people: (count) => (count === 1 ? "1 person" : `${count} people`),
    create_room: "Create a room",
    visibility: "Who may enter",
    create_none: "Do not create it",
    create_listed: "Everybody; the room is in the list",
    create_unlisted: "Everybody who knows its name",
    create_private: "With its password or an invitation",
    removed: "A moderator has removed you from this room.",
    delete: "Delete",
    deleted: (by) => `Deleted by ${by}.`,
    muted: (by, name, minutes) => `${by} has muted ${name} for ${minutes} minutes.`,
    unmuted: (by, name) => `${by} lets ${name} write again.`,
    kicked: (by, name) => `${by} has removed ${name}.`,
    banned: (by, name, minutes) => `${by} has banned ${name} for ${minutes} minutes.`,
    slow: (by, seconds) => `${by} has set slow mode: a message in ${seconds} seconds.`,
    not_slow: (by) => `${by} has ended slow mode.`,
    revoked: (by) => `${by} has made all invitations void.`,
    invitation: (until) => `Whoever has this address may enter, until ${until}:`,
    help_moderator:
      "/mute NAME MINUTES, /mute NAME 0 ends it. /kick NAME. /ban NAME MINUTES.\n" +
      "/slow SECONDS, /slow 0 ends it. /invite HOURS. /revoke makes all invitations void.",
    room_refused: "A room's name has 1 to 64 letters and digits of any script, - _ and .",
    skip: "Skip to the message box",
    as: "as",
    here_show_who: " here, show who",
    leave: "Leave",
    settings: "Settings",
    language: "Language",
    notify: "Notify me",
    notify_off: "never",
    notify_mentions: "when I am mentioned",
    notify_all: "of every message",
    notify_blocked: "The browser does not allow notifications for this page.",
    notification: (name, room) => `${name} in ${room}`,
    try_now: "Try now",
    conversation: "Conversation",
    messages: "Messages",
    write_message: "Write a message",
    message: "Message",
    send: "Send",
    composer_hint: "Enter sends, Shift and Enter begins a new line. A slash begins a command: /help lists them.",
    composer_hint_touch: "Enter begins a new line. A slash begins a command: /help lists them.",
    here_now: "Here now",
    you: "you",
    of_you: " (you)",
    and_more: (count) => `and ${count} more`,
    and_more_people: (count) => (count === 1 ? "1 more" : `${count} more`),
    not_known: "Not known while you are disconnected.",
    connecting: "Connecting…",
    connected: "Connected",
    offline_open: "Your device is offline; this connection is still open.",
    offline: "Your device is offline.",
    again: "Trying again automatically.",
    lost: "Connection lost.",
    failed: "The connection failed.",
    unreachable: "The server cannot be reached.",
    unavailable: "The server answers, but accepts no connections now. It may be full.",
    no_room: "The server answers, but refuses the name of this room.",
    refused: (origin) =>
      "The server answers, but refuses this page. " +
      `Its operator can allow it (--allow-origin ${origin}); a proxy has to let WebSocket through.`,
    copied_tab: "This room was entered again by a copy of this tab.",
    name_taken_by_us: (name) => `The name ${name} is taken, perhaps by your lost connection. Trying again.`,
    join_as: (name) => `Join as ${name}`,
    seconds: (count) => `${count} s`,
    disconnected: "Disconnected",
    back: "You are back.",
    back_with_gap: "You are back. Some messages may be missing here.",
    name_written: (name) => `The server writes your name as ${name}.`,
    you_entered: (room) => `You entered ${room}.`,
    entered: (names) => `${names} entered.`,
    left: (names) => `${names} left.`,
    renamed: (was, name) => `${was} is now ${name}.`,
    topic_is: (topic) => `The topic is: ${topic}`,
    topic_none: "This room has no topic.",
    topic_set: (by, topic) => `${by} has set the topic: ${topic}`,
    topic_removed: (by) => `${by} has removed the topic.`,
    is_writing: (name) => `${name} is writing…`,
    are_writing: (names) => `${names} are writing…`,
    many_writing: "Several people are writing…",
    skipped: (count) => `This connection is slow: ${count === 1 ? "a message was" : `${count} messages were`} skipped here.`,
    too_long: (excess) => `Too long by ${bytes(excess)}.`,
    kept: "Not connected. Your text is kept here.",
    unconfirmed: "The connection was lost before this message was confirmed.",
    send_again: "Send again",
    delivered: "Delivered",
    whole: "Show the whole message",
    less: "Show less",
    new_messages: (count) => (count === 1 ? "1 new message ↓" : `${count} new messages ↓`),
    new_since: "New since you were last here",
    who: (count, names) => `${count} here: ${names}`,
    unknown_command: (name) => `There is no command /${name}. Nothing was sent. /help lists the commands.`,
    command_needs: (command) => `Write ${command}`,
    help:
      "/me TEXT says what you do.\n/nick NAME changes your name.\n/topic shows the topic, /topic TEXT sets it, /topic - removes it.\n" +
      "/who lists who is here.\n/leave leaves the room.\n//TEXT sends a text that begins with a slash.\n" +
      "`code` and ```code of several lines``` are shown as they are; @NAME mentions somebody.",
  },
  ja: {
    motto: "一声に、山々がこたえる。",
    your_name: "お名前",
    room: "部屋",
    room_hint: "文字、数字、- _ .",
    enter_room: "部屋に入る",
    enter_as: (name) => `${name}として入る`,
    enter_name: "お名前を入力してください。",
    name_the_room: "部屋の名前を入力してください。",
    password: "部屋のパスワード",
    rooms: "部屋の一覧",
    people: (count) => `${count}人`,
    create_room: "部屋を作る",
    visibility: "入れる人",
    create_none: "作らない",
    create_listed: "全員（一覧に載る）",
    create_unlisted: "名前を知っている人",
    create_private: "パスワードまたは招待のある人",
    removed: "管理者がこの部屋から退出させました。",
    delete: "削除",
    deleted: (by) => `${by}が削除しました。`,
    muted: (by, name, minutes) => `${by}が${name}の発言を${minutes}分間止めました。`,
    unmuted: (by, name) => `${by}が${name}の発言を再び許可しました。`,
    kicked: (by, name) => `${by}が${name}を退出させました。`,
    banned: (by, name, minutes) => `${by}が${name}の入室を${minutes}分間禁止しました。`,
    slow: (by, seconds) => `${by}が低速モードにしました：${seconds}秒に1件。`,
    not_slow: (by) => `${by}が低速モードを終えました。`,
    revoked: (by) => `${by}がすべての招待を無効にしました。`,
    invitation: (until) => `このアドレスで${until}まで入れます：`,
    help_moderator:
      "/mute 名前 分（0で解除）。/kick 名前。/ban 名前 分。\n/slow 秒（0で解除）。/invite 時間。/revoke：すべての招待を無効にします。",
    room_refused: "部屋の名前は、文字、数字、- _ . の1〜64文字です。",
    skip: "メッセージ入力欄へ移動",
    as: "名前",
    here_show_who: "人。一覧を表示",
    leave: "退出",
    settings: "設定",
    language: "言語",
    notify: "通知",
    notify_off: "しない",
    notify_mentions: "自分が呼ばれたとき",
    notify_all: "すべてのメッセージ",
    notify_blocked: "ブラウザがこのページの通知を許可していません。",
    notification: (name, room) => `${name}（${room}）`,
    try_now: "今すぐ再試行",
    conversation: "会話",
    messages: "メッセージ一覧",
    write_message: "メッセージを書く",
    message: "メッセージ",
    send: "送信",
    composer_hint: "Enterで送信、Shift+Enterで改行。/で始まる行はコマンドです。/helpで一覧を表示します。",
    composer_hint_touch: "Enterで改行。/で始まる行はコマンドです。/helpで一覧を表示します。",
    here_now: "参加者",
    you: "自分",
    of_you: "（自分）",
    and_more: (count) => `ほか${count}人`,
    and_more_people: (count) => `ほか${count}人`,
    not_known: "切断中のため、参加者はわかりません。",
    connecting: "接続しています…",
    connected: "接続中",
    offline_open: "端末はオフラインですが、この接続はまだ開いています。",
    offline: "端末はオフラインです。",
    again: "自動的に再試行します。",
    lost: "接続が切れました。",
    failed: "接続できませんでした。",
    unreachable: "サーバーに到達できません。",
    unavailable: "サーバーは応答しましたが、今は接続を受け付けていません。満員かもしれません。",
    no_room: "サーバーは応答しましたが、この部屋の名前を受け付けません。",
    refused: (origin) =>
      "サーバーは応答しましたが、このページを受け付けません。" +
      `運営者は --allow-origin ${origin} で許可できます。プロキシはWebSocketを通す必要があります。`,
    copied_tab: "このタブの複製が、同じ部屋に入りました。",
    name_taken_by_us: (name) => `${name}という名前は使用中です。切れた接続が残っているのかもしれません。再試行します。`,
    join_as: (name) => `${name}として入る`,
    seconds: (count) => `${count}秒`,
    disconnected: "切断",
    back: "再接続しました。",
    back_with_gap: "再接続しました。ここには一部のメッセージがない可能性があります。",
    name_written: (name) => `サーバーでのお名前の表記は${name}です。`,
    you_entered: (room) => `${room}に入りました。`,
    entered: (names) => `${names}が入りました。`,
    left: (names) => `${names}が退出しました。`,
    renamed: (was, name) => `${was}は${name}に改名しました。`,
    topic_is: (topic) => `話題：${topic}`,
    topic_none: "この部屋に話題は設定されていません。",
    topic_set: (by, topic) => `${by}が話題を設定しました：${topic}`,
    topic_removed: (by) => `${by}が話題を消しました。`,
    is_writing: (name) => `${name}が入力しています…`,
    are_writing: (names) => `${names}が入力しています…`,
    many_writing: "数人が入力しています…",
    skipped: (count) => `接続が遅いため、ここで${count}件のメッセージを飛ばしました。`,
    too_long: (excess) => `${excess}バイト長すぎます。`,
    kept: "接続していません。文章はここに残ります。",
    unconfirmed: "送信の確認前に接続が切れました。",
    send_again: "もう一度送る",
    delivered: "配信済み",
    whole: "全文を表示",
    less: "折りたたむ",
    new_messages: (count) => `新しいメッセージ${count}件 ↓`,
    new_since: "ここから未読",
    who: (count, names) => `${count}人：${names}`,
    unknown_command: (name) => `/${name}というコマンドはありません。何も送信していません。/helpで一覧を表示します。`,
    command_needs: (command) => `${command} と書いてください`,
    help:
      "/me 文章：自分の動作を伝えます。\n/nick 名前：名前を変えます。\n/topic：話題を表示します。/topic 文章：設定します。/topic -：消します。\n" +
      "/who：参加者を表示します。\n/leave：退出します。\n//文章：/で始まる文章を送ります。\n" +
      "`コード` と ```複数行のコード``` はそのまま表示します。@名前 で呼びかけます。",
    errors: {
      binary: "バイナリのメッセージは使えません。",
      too_long: "メッセージが大きすぎます。",
      name_empty: "名前には、見える文字が必要です。",
      name_too_long: "名前は32文字までです。",
      name_invalid: "名前に、制御文字、見えない文字、未知の文字は使えません。",
      name_taken: "同じ名前、またはよく似た名前の参加者がいます。",
      text_empty: "文章には、見える文字が必要です。",
      text_too_long: "文章は4096バイトまでです。",
      text_invalid: "文章に、タブと改行以外の制御文字は使えません。",
      topic_too_long: "話題は512バイトまでです。",
      topic_invalid: "話題は1行の見える文章です。",
      forbidden: "この部屋は読むことだけができます。",
      too_fast: (wait) => `送信が速すぎます。${wait}秒後に試してください。`,
      slow_mode: (wait) => `低速モードです。${wait}秒後に試してください。`,
      muted: (wait) => `管理者が発言を止めています。あと${wait}秒です。`,
      removed: "管理者がこの部屋から退出させました。",
      banned: "管理者がこの部屋への入室を禁止しています。",
      password_required: "この部屋には、パスワードまたは招待が必要です。",
      password_wrong: "部屋のパスワードが違います。",
      too_many_passwords: (wait) => `この部屋のパスワードの間違いが多すぎます。${wait}秒後に試してください。`,
      room_exists: "同じ名前の部屋がすでにあります。",
      not_moderator: "部屋を作った人と運営者だけができます。",
      no_member: "この名前の参加者はいません。",
      not_private: "招待は、非公開の部屋だけにあります。",
      busy: "サーバーは今これを実行できません。数秒後に試してください。",
      not_published: "サーバーは今メッセージを保存できません。最後のメッセージは届いていないかもしれません。",
      wrong_field: "入力の長さまたは形が正しくありません。",
      too_often: "短時間に要求が多すぎます。数秒後に試してください。",
    },
  },
};

let language = "en";

/** The language of the page, a key of LANGUAGES. */
export function currentLanguage() {
  return language;
}

/** The language that the user has chosen, or the first of the browser's that the page has. */
export function preferredLanguage(chosen, browsers) {
  const wanted = [chosen, ...browsers.map((tag) => tag.toLowerCase().split("-")[0])];
  return wanted.find((name) => Object.hasOwn(LANGUAGES, name)) ?? "en";
}

export function setLanguage(name) {
  language = name;
}

/** A text in the language of the page. */
export function say(key, ...values) {
  const found = TEXTS[language][key];
  return typeof found === "function" ? found(...values) : found;
}

/** The server's sentence about an error, in the language of the page if it has one. */
export function errorText({ code, text, wait_ms }) {
  const own = TEXTS[language].errors;
  const found = own && Object.hasOwn(own, code) ? own[code] : text;
  return typeof found === "function" ? found(Math.ceil((wait_ms ?? 1000) / 1000)) : found;
}

/** The browser's tag of the page's language, with its region: it decides how a time is written. */
function locale() {
  return navigator.languages.find((tag) => tag.toLowerCase().split("-")[0] === language) ?? language;
}

const FORMATS = {
  clock: { hour: "2-digit", minute: "2-digit" },
  day: { dateStyle: "full" },
  calendar: { dateStyle: "full", timeStyle: "medium" },
};
/** Language and format -> formatter: making one takes longer than using it. */
const formatters = new Map();

/** A time in the language of the page, as "clock", "day" or "calendar". */
export function formatTime(time, format) {
  const key = `${language} ${format}`;
  if (!formatters.has(key)) formatters.set(key, new Intl.DateTimeFormat(locale(), FORMATS[format]));
  return formatters.get(key).format(time);
}

/** Names as an enumeration: "Bo, Chie and Dan". */
export function enumeration(names) {
  return new Intl.ListFormat(language, { type: "conjunction" }).format(names);
}

/** Fills in the texts of the HTML. */
export function translate(root) {
  root.documentElement.lang = language;
  for (const node of root.querySelectorAll("[data-text]")) node.textContent = say(node.dataset.text);
  for (const node of root.querySelectorAll("[data-label]")) node.setAttribute("aria-label", say(node.dataset.label));
  for (const node of root.querySelectorAll("[data-placeholder]")) node.placeholder = say(node.dataset.placeholder);
}

/** For the test that compares the languages. */
export const ALL_TEXTS = TEXTS;
