// Finds web addresses in a message, so that the page can display them as links. A pure
// function; tests/browser/links.test.mjs has a table of cases.
//
// A link begins at http or https with colon and slashes, or at a host name that begins with
// "www.", in upper or lower case, and not inside a Latin word. An address with user
// information (user@host) is not a link: it can display one host and lead to another.
//
// A link contains letters of every script (RFC 3987: an IRI), and of ASCII the URL code points
// of the URL Standard and % # [ ]. It ends before white space and before:
//
//   - brackets, quotation marks and punctuation at the end of a clause or a sentence, if they
//     are not ASCII: 。 、 「 ） ！ ؟ … and the em dash;
//   - an ASCII closing bracket without an opening one in the address: (see …/a_(b));
//   - Hiragana directly after a Latin letter or a digit. Japanese text continues after an
//     address without a space, mostly with a particle (…/a を); addresses rarely contain such
//     a sequence;
//   - in the last label of a host name that begins with Latin letters: a letter of another
//     script. There is no such domain.
//
// ASCII punctuation at the end belongs to the sentence, not to the address.

const LABEL = String.raw`[\p{L}\p{M}\p{N}_\-]+`;
const LAST_LABEL = String.raw`(?:[\p{Script=Latin}\p{M}0-9_\-]+|${LABEL})`;
const NO_USER = String.raw`(?![\w.~%!$&'()*+,;=:\-]*@)`;
const PORT = String.raw`(?::[0-9]+)?`;
const WITH_SCHEME = String.raw`(?<![A-Za-z0-9])https?:\/\/${NO_USER}(?:(?:${LABEL}\.)*${LAST_LABEL}|\[[0-9A-Fa-f:.]+\])${PORT}`;
const WITHOUT_SCHEME = String.raw`(?<![A-Za-z0-9@.\/_\-])www\.${NO_USER}(?:${LABEL}\.)+${LAST_LABEL}${PORT}`;

const ASCII_PART = /[A-Za-z0-9!$&'()*+,\-./:;=?@_~%#[\]]/;
const OTHER_END = /[\p{Z}\p{C}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{Terminal_Punctuation}\p{Quotation_Mark}\u2014\u2015\u2025\u2026]/u;
/** Joiners, as in Persian words and emoji. Other characters of their class end a link. */
const JOINER = /[\u200C\u200D]/;
const HIRAGANA = /\p{Script=Hiragana}/u;
const TRAILING = /(?:[!'(*,.:;?[_~\u301C\uFF5E]|(?![\0-\x7F])\p{P})+$/u;
const CLOSES = { ")": "(", "]": "[" };

/**
 * Splits a text into parts: {text} is plain, {text, href} is an address. The concatenated
 * parts are the text.
 *
 * @param {string} text
 * @returns {{text: string, href?: string}[]}
 */
export function partsOf(text) {
  const parts = [];
  let plainFrom = 0;
  const begins = new RegExp(`${WITH_SCHEME}|${WITHOUT_SCHEME}`, "giu");
  for (let begin; (begin = begins.exec(text)); ) {
    const tailFrom = begin.index + begin[0].length;
    const address = begin[0] + tailAt(text, tailFrom);
    const href = hrefOf(address);
    if (!href) continue;
    if (begin.index > plainFrom) parts.push({ text: text.slice(plainFrom, begin.index) });
    parts.push({ text: address, href });
    plainFrom = begins.lastIndex = begin.index + address.length;
  }
  if (plainFrom < text.length) parts.push({ text: text.slice(plainFrom) });
  return parts;
}

/** Path, query and fragment of the address whose host ends at `from`. */
function tailAt(text, from) {
  if (!/^[/?#]/.test(text.slice(from, from + 1))) return "";
  const opened = [];
  let before = "";
  let to = from;
  for (const character of text.slice(from)) {
    if (!isPart(character, before)) break;
    if (character === "(" || character === "[") opened.push(character);
    if (CLOSES[character] && opened.pop() !== CLOSES[character]) break;
    before = character;
    to += character.length;
  }
  return text.slice(from, to).replace(TRAILING, "");
}

function isPart(character, before) {
  if (character <= "\x7F") return ASCII_PART.test(character);
  if (HIRAGANA.test(character) && /[A-Za-z0-9]/.test(before)) return false;
  return JOINER.test(character) || !OTHER_END.test(character);
}

/**
 * The target of the link, or "" if the address is not valid (a port above 65535, 1.2.3.4.5).
 * Without a scheme it is https, as in a browser's address bar.
 */
function hrefOf(address) {
  const href = /^www\./i.test(address) ? `https://${address}` : address;
  try {
    return ["http:", "https:"].includes(new URL(href).protocol) ? href : "";
  } catch {
    return "";
  }
}
