"""The cost in length of compressing each message separately.

A server that sends a message to many clients can compress it once for all of them only
if no message refers to an earlier one (RFC 7692 §7.1.1, `server_no_context_takeover`).
This module computes the cost in bytes: Python's zlib compresses messages with and without
context takeover. They are similar to the messages of the load generator, but each has
different numbers. The messages are the same in every run, and so is the result.
"""

import json
import random
import zlib

MESSAGES = 200
SYMBOLS = ("KAZE", "MORI", "YAMA", "KAWA", "SORA", "TAKI", "HOSHI", "NAMI")
EMPTY_BLOCK = 4


def ratios(message_bytes, level):
    """The compression ratio of messages of about this length: without and with context
    takeover."""
    messages = [message(number, message_bytes) for number in range(MESSAGES)]
    plain = sum(len(one) for one in messages)
    by_itself = sum(len(compressed(fresh(level), one)) for one in messages)
    kept = fresh(level)
    with_context = sum(len(compressed(kept, one)) for one in messages)
    return plain / by_itself, plain / with_context


def fresh(level):
    return zlib.compressobj(level, zlib.DEFLATED, -15)


def compressed(compressor, one):
    """The message as it is sent, without the empty block at its end (§7.2.1)."""
    return (compressor.compress(one) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-EMPTY_BLOCK]


def message(number, message_bytes):
    """A message with as many quotes as fit into this length."""
    random_numbers = random.Random(number)
    text = f'{{"id":"{random_numbers.getrandbits(160):040x}","room":"bench","quotes":['
    comma = ""
    while len(text + comma + (one := quote(random_numbers))) + len("]}") <= message_bytes:
        text += comma + one
        comma = ","
    return (text + "]}").encode()


def quote(random_numbers):
    return json.dumps(
        {
            "symbol": random_numbers.choice(SYMBOLS),
            "bid": random_numbers.randrange(10_000, 100_000) / 100,
            "spread": random_numbers.randrange(50) / 100,
            "volume": random_numbers.randrange(4096),
            "time": f"09:30:{random_numbers.randrange(60):02}",
        },
        separators=(",", ":"),
    )
