"""The cases of the Autobahn suite, and the stricter requirements of judge.py: the cases in which the peer must fail the
connection, and the compression that each case must agree on.

    cases.py server SET PART/PARTS URL FOLDER     prints the configuration of the suite's client, which tests a server
    cases.py client SET PART/PARTS URL FOLDER     prints the configuration of the suite's server, which tests a client

`2/3` is the second of three parts that take about the same time. All parts run at once.

judge.py requires every case of the set in the report: the suite itself reports success even if the peer ends in the
middle of a run.
"""
import json
import os
import sys

# The peer's name in the report.
AGENT = os.environ.get("AGENT", "yamabiko")

GROUPS = {
    1: "framing",
    2: "pings and pongs",
    3: "reserved bits",
    4: "reserved opcodes",
    5: "fragmentation",
    6: "UTF-8",
    7: "closing handshake",
    9: "limits and performance",
    10: "automatic fragmentation",
    12: "compression",
    13: "compression parameters",
}

# Subgroup -> number of cases; they are numbered from 1.
SUBGROUPS = {
    "1.1": 8, "1.2": 8,
    "2": 11,
    "3": 7,
    "4.1": 5, "4.2": 5,
    "5": 20,
    "6.1": 3, "6.2": 4, "6.3": 2, "6.4": 4, "6.5": 5, "6.6": 11, "6.7": 4, "6.8": 2,
    "6.9": 4, "6.10": 3, "6.11": 5, "6.12": 8, "6.13": 5, "6.14": 10, "6.15": 1, "6.16": 3,
    "6.17": 5, "6.18": 5, "6.19": 5, "6.20": 7, "6.21": 8, "6.22": 34, "6.23": 7,
    "7.1": 6, "7.3": 6, "7.5": 1, "7.7": 13, "7.9": 9, "7.13": 2,
    "9.1": 6, "9.2": 6, "9.3": 9, "9.4": 9, "9.5": 6, "9.6": 6, "9.7": 6, "9.8": 6,
    "10.1": 1,
    "12.1": 18, "12.2": 18, "12.3": 18, "12.4": 18, "12.5": 18,
    "13.1": 18, "13.2": 18, "13.3": 18, "13.4": 18, "13.5": 18, "13.6": 18, "13.7": 18,
}

# Protocol errors: the peer must fail the connection with 1002 (RFC 6455 §7.4.1). The suite also accepts a peer that
# closes TCP without a Close frame; judge.py does not.
PROTOCOL_ERRORS = {
    "2": [5],
    "3": range(1, 8),
    "4.1": range(1, 6), "4.2": range(1, 6),
    "5": [1, 2, *range(9, 19)],
    "7.3": [2, 6],
    "7.9": range(1, 10),
}

# Text that is not UTF-8: the peer must fail the connection with 1007 (§8.1).
INVALID_TEXTS = {
    "6.3": [1, 2], "6.4": range(1, 5), "6.6": [1, 3, 4, 6, 8, 10], "6.8": [1, 2],
    "6.10": range(1, 4), "6.11": [5], "6.12": range(1, 9), "6.13": range(1, 6),
    "6.14": range(1, 11), "6.15": [1], "6.16": range(1, 4), "6.17": range(1, 6),
    "6.18": range(1, 6), "6.19": range(1, 6), "6.20": range(1, 8), "6.21": range(1, 9),
}

# The suite accepts every behaviour in these cases, and reports which it was.
INFORMATIONAL = {"7.1.6", "7.13.1", "7.13.2"}


def names(numbers_of):
    return [f"{subgroup}.{number}" for subgroup, numbers in numbers_of.items() for number in numbers]


def group_of(case):
    return int(case.split(".")[0])


# Case -> the close codes; the peer must send one of them.
CLOSE_CODES = {
    **{case: {1002} for case in names(PROTOCOL_ERRORS)},
    **{case: {1007} for case in names(INVALID_TEXTS)},
    # The reason in a Close frame is not UTF-8: both codes describe that.
    "7.5.1": {1002, 1007},
}

ALL = names({subgroup: range(1, count + 1) for subgroup, count in SUBGROUPS.items()})
COMPRESSION = [case for case in ALL if group_of(case) in (12, 13)]

# The size of the message that a case of groups 12 and 13 sends 1000 times, by the last number of the case: in bytes
# (in 12.1 and 13, in characters).
MESSAGE_SIZES = dict(
    enumerate([16, 64, 256, 1 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10], start=1)
)
# These are sent in fragments of 256 bytes, and the last three in fragments of 1, 4 and 32 KiB.
MESSAGE_SIZES.update(enumerate([8 << 10, 16 << 10, 32 << 10, 64 << 10, *[128 << 10] * 4], start=11))

# The parameters that the suite requires for the messages of the peer: no context takeover, and the largest window in
# bits (RFC 7692 §7.1). 13.7 makes three offers; these are the parameters of the first.
AGREEMENTS = {
    "13.2": {"no_context_takeover": True},
    "13.3": {"max_window_bits": 9},
    "13.4": {"max_window_bits": 15},
    "13.5": {"no_context_takeover": True, "max_window_bits": 9},
    "13.6": {"no_context_takeover": True, "max_window_bits": 15},
    "13.7": {"no_context_takeover": True, "max_window_bits": 9},
}

# The quick set has, of each subgroup, the messages up to 4 KiB, 8 KiB in fragments, and one larger size. Together the
# subgroups have all larger sizes.
QUICK_SIZES = [1, 2, 3, 4, 5, 11]
QUICK_OTHERS = {
    "12.1": 9, "12.2": 7, "12.3": 8, "12.4": 12, "12.5": 6,
    "13.1": 10, "13.2": 13, "13.3": 14, "13.4": 15, "13.5": 16, "13.6": 17, "13.7": 18,
}
QUICK = [
    case
    for case in COMPRESSION
    for subgroup, number in [case.rsplit(".", 1)]
    if int(number) in (*QUICK_SIZES, QUICK_OTHERS[subgroup])
]
BASE = [case for case in ALL if case not in COMPRESSION]

SETS = {
    # The set of CI: 385 cases, which are all cases without compression and 84 with it.
    "quick": BASE + QUICK,
    # All 517 cases.
    "full": ALL,
    # Its two parts: 301 cases without an extension, and 216 with permessage-deflate.
    "base": BASE,
    "deflate": COMPRESSION,
}

# The time in seconds of the 18 cases of a subgroup together, measured with another server. It depends on the data that
# the subgroup sends: JSON, a bitmap, prose, HTML, a PDF. `part_of` uses it to divide a set into equal parts.
SECONDS = {"12.1": 37, "12.2": 220, "12.3": 230, "12.4": 72, "12.5": 125}
SECONDS.update({f"13.{number}": 37 for number in range(1, 8)})


def seconds_of(case):
    subgroup, _, number = case.rpartition(".")
    if subgroup not in SECONDS:
        return 0.05
    return 0.3 + SECONDS[subgroup] * MESSAGE_SIZES[int(number)] / sum(MESSAGE_SIZES.values())


def part_of(cases, part, parts):
    """The cases of one part of several (from 1), in the order of the suite.

    From the longest to the shortest, each case is assigned to the part with the least total time."""
    members = [[] for _ in range(parts)]
    load = [0.0] * parts
    for case in sorted(cases, key=seconds_of, reverse=True):
        least = load.index(min(load))
        members[least].append(case)
        load[least] += seconds_of(case)
    return [case for case in cases if case in members[part - 1]]


def configuration(role, cases, url, folder):
    """Lists each case, because the suite does not match a pattern to the end: `12.*.1` would also run 12.1.10."""
    # The suite's own waits for the opening handshake, for the peer's Close and for the end of TCP, in seconds. They are 5, 1
    # and 1, too little for a busy machine.
    options = {"openHandshakeTimeout": 60, "closeHandshakeTimeout": 20}
    if role == "server":
        options["serverConnectionDropTimeout"] = 20
    selection = {"options": options, "outdir": folder, "cases": cases, "exclude-cases": [], "exclude-agent-cases": {}}
    if role == "server":
        return {"servers": [{"agent": AGENT, "url": url}], **selection}
    return {"url": url, **selection}


if __name__ == "__main__":
    _, role, set_name, part, url, folder = sys.argv
    selected = part_of(SETS[set_name], *map(int, part.split("/")))
    json.dump(configuration(role, selected, url, folder), sys.stdout)
