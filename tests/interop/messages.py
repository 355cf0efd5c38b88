"""The messages that the tests send: text and binary, of each length at which the framing or the window changes.

A message is a file, so that every program reads the same bytes: `0007.text` holds UTF-8. A program sends the files in
the order of their names.
"""
import base64
import json
import random

LENGTHS = [0, 1, 125, 126, 65535, 65536, 1 << 20]
WORDS = "山彦 yamabiko 🏔 écho Ἠχώ こだま, "
# Part of the last message of each member of a room.
END = b"the end"


def text_of(length):
    """UTF-8 of exactly this number of bytes, with characters of one to four bytes."""
    repeated = WORDS * (length // len(WORDS.encode()) + 1)
    text = repeated.encode()[:length].decode(errors="ignore")
    return text.encode() + b"." * (length - len(text.encode()))


def structured(length):
    """Binary data that compresses well, even with a window of 512 bytes, of which zlib uses 250."""
    period = bytes(index * index >> 7 & 0xFF for index in range(200))
    return (period * (length // len(period) + 1))[:length]


def noise(length, seed):
    """Binary data that does not compress."""
    return random.Random(seed).randbytes(length)


def all_lengths(lengths=LENGTHS):
    """[(kind, payload)]: each length as text and as both kinds of binary data, then one message twice."""
    messages = []
    for length in lengths:
        messages += [("text", text_of(length)), ("binary", structured(length)), ("binary", noise(length, length))]
    # Compressed, the second has three quarters of its length; if it can refer to the first, it has less than 100 bytes.
    twice = ("text", base64.b64encode(noise(3000, "twice")))
    return [*messages, twice, twice]


def is_end(kind, payload):
    return kind == "text" and len(payload) < 300 and END in payload


def broadcast(member):
    """The messages of one member of a room. The server sends it the first, which shows that it has joined; every third
    member sends the longest messages too."""
    lengths = LENGTHS if member % 3 == 0 else LENGTHS[:-1]
    first, last = f"{member} is here".encode(), b"I am %d, and this is %s" % (member, END)
    return [("text", first), *all_lengths(lengths), ("text", last)]


def chat(member):
    """The messages of one member of a chat: it joins with a name, then sends texts of up to 4096 bytes, the maximum."""
    texts = [text_of(length).decode() for length in (1, 125, 126, 1500, 4096)]
    sent = [{"type": "message", "text": text} for text in (*texts, f"I am {member}, and this is {END.decode()}")]
    joined = {"type": "join", "name": f"Member {member}"}
    return [("text", json.dumps(message, ensure_ascii=False).encode()) for message in (joined, *sent)]


def write(folder, messages):
    folder.mkdir(parents=True)
    for number, (kind, payload) in enumerate(messages):
        (folder / f"{number:04}.{kind}").write_bytes(payload)


def read(folder):
    """The messages that `write` wrote: [(kind, payload)]."""
    return [(path.suffix[1:], path.read_bytes()) for path in sorted(folder.iterdir())]
