"""What the Autobahn suite contains: its cases, and in which of them the peer has to fail the connection.

    cases.py server SET URL FOLDER     prints the configuration of the suite's fuzzing client (it tests a server)
    cases.py client SET URL FOLDER     prints the configuration of the suite's fuzzing server (it tests a client)

The judge knows from here what has to be in a report: the suite itself ends
with success when the peer dies half-way.
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

# A protocol error: the connection is to be failed with 1002 (RFC 6455 §7.4.1).
# The suite is content when the peer just drops TCP; the judge is not.
PROTOCOL_ERRORS = {
    "2": [5],
    "3": range(1, 8),
    "4.1": range(1, 6), "4.2": range(1, 6),
    "5": [1, 2, *range(9, 19)],
    "7.3": [2, 6],
    "7.9": range(1, 10),
}

# Text that is not UTF-8: the connection is to be failed with 1007 (§8.1).
INVALID_TEXTS = {
    "6.3": [1, 2], "6.4": range(1, 5), "6.6": [1, 3, 4, 6, 8, 10], "6.8": [1, 2],
    "6.10": range(1, 4), "6.11": [5], "6.12": range(1, 9), "6.13": range(1, 6),
    "6.14": range(1, 11), "6.15": [1], "6.16": range(1, 4), "6.17": range(1, 6),
    "6.18": range(1, 6), "6.19": range(1, 6), "6.20": range(1, 8), "6.21": range(1, 9),
}

# Whatever the peer does in these is right; the suite only tells what it was.
INFORMATIONAL = {"7.1.6", "7.13.1", "7.13.2"}


def names(numbers_of):
    return [f"{subgroup}.{number}" for subgroup, numbers in numbers_of.items() for number in numbers]


def group_of(case):
    return int(case.split(".")[0])


# Case -> the close codes of which the peer has to send one.
CLOSE_CODES = {
    **{case: {1002} for case in names(PROTOCOL_ERRORS)},
    **{case: {1007} for case in names(INVALID_TEXTS)},
    # The reason in a Close frame is not UTF-8: either describes it.
    "7.5.1": {1002, 1007},
}

ALL = names({subgroup: range(1, count + 1) for subgroup, count in SUBGROUPS.items()})
COMPRESSION = [case for case in ALL if group_of(case) in (12, 13)]

SETS = {
    # All that does not need an extension: 301 cases, about 15 s.
    "base": [case for case in ALL if case not in COMPRESSION],
    # What of it is about correctness, and what about limits: 247 and 54.
    "core": [case for case in ALL if group_of(case) not in (9, 12, 13)],
    "limits": [case for case in ALL if group_of(case) == 9],
    # permessage-deflate: messages up to 8 KiB, 84 cases in 40 s; all, 216 in 10 minutes.
    "deflate-quick": [case for case in COMPRESSION if case.split(".")[2] in "1 2 3 4 5 6 11".split()],
    "deflate": COMPRESSION,
    "all": ALL,
}


def configuration(role, cases, url, folder):
    """Names each case: a pattern such as `12.*.1` would run 12.1.10 too, because the suite does not match to the end."""
    selection = {"outdir": folder, "cases": cases, "exclude-cases": [], "exclude-agent-cases": {}}
    if role == "server":
        return {"servers": [{"agent": AGENT, "url": url}], **selection}
    return {"url": url, **selection}


if __name__ == "__main__":
    _, role, set_name, url, folder = sys.argv
    json.dump(configuration(role, SETS[set_name], url, folder), sys.stdout)
