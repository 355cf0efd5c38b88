"""What is sent: each length at which the framing or the window changes, as text and as binary.

A message is a file, so that every peer reads the same octets: `07.text` holds UTF-8. They are sent in the order of
their names.
"""
import base64
import json
import random

LENGTHS = [0, 1, 125, 126, 65535, 65536, 1 << 20]
WORDS = "山彦 yamabiko 🏔 écho Ἠχώ こだま, "
# Ends what one member of a room says.
END = b"the end"


def text_of(length):
    """Exactly so many octets of UTF-8, with characters of one to four octets."""
    words = WORDS * (length // len(WORDS.encode()) + 1)
    text = words.encode()[:length].decode(errors="ignore")
    return text.encode() + b"." * (length - len(text.encode()))


def structured(length):
    """Binary that shrinks, also with a window of 512 octets, of which zlib uses 250."""
    period = bytes(index * index >> 7 & 0xFF for index in range(200))
    return (period * (length // len(period) + 1))[:length]


def noise(length, seed):
    """Binary that does not shrink."""
    return random.Random(seed).randbytes(length)


def all_lengths(lengths=LENGTHS):
    """[(kind, payload)]: every length as text and both kinds of binary, and one message twice."""
    messages = []
    for length in lengths:
        messages += [("text", text_of(length)), ("binary", structured(length)), ("binary", noise(length, length))]
    # Without the first, the second takes three quarters of its length; with it, next to nothing.
    twice = ("text", base64.b64encode(noise(3000, "twice")))
    return [*messages, twice, twice]


def is_end(kind, payload):
    return kind == "text" and len(payload) < 300 and END in payload


def broadcast(member):
    """What one member of a room of plain messages says, after a word that shows it that it is in. Every third has the
    longest too."""
    lengths = LENGTHS if member % 3 == 0 else LENGTHS[:-1]
    first, last = f"{member} is here".encode(), b"I am %d, and this is %s" % (member, END)
    return [("text", first), *all_lengths(lengths), ("text", last)]


def chat(member):
    """What one member of a chat says: first who it is, then texts of up to 4096 octets, the longest that may be."""
    texts = [text_of(length).decode() for length in (1, 125, 126, 1500, 4096)]
    said = [{"type": "message", "text": text} for text in (*texts, f"I am {member}, and this is {END.decode()}")]
    joined = {"type": "join", "name": f"Member {member}"}
    return [("text", json.dumps(message, ensure_ascii=False).encode()) for message in (joined, *said)]


def write(folder, messages):
    folder.mkdir(parents=True)
    for number, (kind, payload) in enumerate(messages):
        (folder / f"{number:04}.{kind}").write_bytes(payload)


def read(folder):
    """What `write` wrote: [(kind, payload)]."""
    return [(path.suffix[1:], path.read_bytes()) for path in sorted(folder.iterdir())]
