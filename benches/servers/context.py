"""The cost in length of compressing each message separately.

A server that says the same to many can compress once for all of them only if no
message refers to an earlier one (RFC 7692 §7.1.1, `server_no_context_takeover`).
This tells what is given away: messages such as the load's, but each with numbers of its
own, compressed in both ways by Python's zlib. Always the same messages, so always the
same result.
"""

import json
import random
import zlib

MESSAGES = 200
SYMBOLS = ("KAZE", "MORI", "YAMA", "KAWA", "SORA", "TAKI", "HOSHI", "NAMI")
EMPTY_BLOCK = 4


def ratios(message_bytes, level):
    """How many times shorter messages of about so many bytes become: each by itself,
    and with all before them in the window."""
    messages = [message(number, message_bytes) for number in range(MESSAGES)]
    plain = sum(len(one) for one in messages)
    by_itself = sum(len(compressed(fresh(level), one)) for one in messages)
    kept = fresh(level)
    with_context = sum(len(compressed(kept, one)) for one in messages)
    return plain / by_itself, plain / with_context


def fresh(level):
    return zlib.compressobj(level, zlib.DEFLATED, -15)


def compressed(compressor, one):
    """As it is sent: without the empty block at the end (§7.2.1)."""
    return (compressor.compress(one) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-EMPTY_BLOCK]


def message(number, message_bytes):
    """As many quotes as there is room for."""
    dice = random.Random(number)
    text = f'{{"id":"{dice.getrandbits(160):040x}","room":"bench","quotes":['
    comma = ""
    while len(text + comma + (one := quote(dice))) + len("]}") <= message_bytes:
        text += comma + one
        comma = ","
    return (text + "]}").encode()


def quote(dice):
    return json.dumps(
        {
            "symbol": dice.choice(SYMBOLS),
            "bid": dice.randrange(10_000, 100_000) / 100,
            "spread": dice.randrange(50) / 100,
            "volume": dice.randrange(4096),
            "time": f"09:30:{dice.randrange(60):02}",
        },
        separators=(",", ":"),
    )
