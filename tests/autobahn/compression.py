"""Whether permessage-deflate was agreed on, as the case asks, and used in both directions (RFC 7692).

The suite is content with less: it calls a case OK in which a parameter that it asked for was not acknowledged, or in
which every message came back plain. So this reads the two ends' handshakes and the octets counted, which the suite
records for each case of groups 12 and 13:

    Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; server_max_window_bits=9
                              └── one element ──┘  └────────────────── parameters ──────────────────┘

Each function yields the faults found as sentences.
"""
from cases import AGREEMENTS, MESSAGE_SIZES

EXTENSION = "permessage-deflate"
# From this size on, all that the suite sends gets smaller by compression, also without reference to earlier messages.
# Below, parts of the bitmap and of the PDF do not, and a peer may think it not worth the time.
SHRINKS_FROM = 1024
MESSAGES = 1000


def faults_of_compression(case, role, exchange):
    """What is wrong with the record of one case that the suite wrote of a peer in this role."""
    offers = elements(exchange["httpRequest"])
    answers = elements(exchange["httpResponse"])
    if [name for name, _ in answers] != [EXTENSION]:
        yield f"the answer agrees to {' and '.join(name for name, _ in answers) or 'no extension'}"
        return
    answer = answers[0][1]
    offered = [parameters for name, parameters in offers if name == EXTENSION]
    if not any(fits(answer, offer) for offer in offered):
        yield f"the answer ({words(answer)}) fits no offer ({' | '.join(map(words, offered))})"
    yield from faults_of_agreement(case.rpartition(".")[0], role, dict(answer))
    yield from faults_of_traffic(case, exchange["trafficStats"])


def elements(head):
    """The elements of Sec-WebSocket-Extensions in an HTTP head: [(name, [(parameter, value or None)])]."""
    values = []
    for line in head.split("\r\n")[1:]:
        field, _, value = line.partition(":")
        if field.strip().lower() == "sec-websocket-extensions":
            values += value.split(",")
    return [element(value) for value in values]


def element(text):
    name, *parameters = text.split(";")
    return name.strip(), [parameter(part) for part in parameters]


def parameter(text):
    name, sign, value = text.partition("=")
    return name.strip(), value.strip(' "') if sign else None


def fits(answer, offer):
    """Whether a server may answer this offer so: each parameter once, and as RFC 7692 §7.1 permits."""
    told, asked = dict(answer), dict(offer)
    if len(told) != len(answer) or not set(told) <= set(PARAMETERS):
        return False
    if "server_no_context_takeover" in asked and "server_no_context_takeover" not in told:
        return False
    if "server_max_window_bits" in asked and "server_max_window_bits" not in told:
        return False
    if "client_max_window_bits" in told and "client_max_window_bits" not in asked:
        return False
    if not all(is_legal(name, value) for name, value in told.items()):
        return False
    return all(int(told[name]) <= int(asked[name]) for name in told if asked.get(name))


PARAMETERS = [
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
]


def is_legal(name, value):
    """A window has 8 to 15 bits, and the other two parameters have no value."""
    return value in map(str, range(8, 16)) if name.endswith("bits") else value is None


def faults_of_agreement(subgroup, role, told):
    """The peer in question is bound as the subgroup asks."""
    wanted = AGREEMENTS.get(subgroup, {})
    if wanted.get("no_context_takeover") and f"{role}_no_context_takeover" not in told:
        yield f"the answer lacks {role}_no_context_takeover, for which the case is there"
    bits = told.get(f"{role}_max_window_bits") or "99"
    if "max_window_bits" in wanted and int(bits) > wanted["max_window_bits"]:
        yield f"the answer lacks {role}_max_window_bits={wanted['max_window_bits']}, for which the case is there"


def faults_of_traffic(case, traffic):
    """In octets of messages, from the suite's side: incoming is what the peer sent."""
    if traffic is None:
        yield "nothing was counted"
        return
    for direction, end in (("incoming", "the peer"), ("outgoing", "the suite")):
        count = traffic[f"{direction}WebSocketMessages"]
        plain, sent = traffic[f"{direction}OctetsAppLevel"], traffic[f"{direction}OctetsWebSocketLevel"]
        if count != MESSAGES:
            yield f"{end} sent {count} messages, not {MESSAGES}"
        if MESSAGE_SIZES[int(case.rpartition(".")[2])] >= SHRINKS_FROM and sent >= plain:
            yield f"{end} did not compress: {sent} octets for {plain}"
        if direction == "incoming" and sent > plain:
            yield f"{end} sent more than it had to: {sent} octets for {plain}"


def words(parameters):
    return "; ".join(name if value is None else f"{name}={value}" for name, value in parameters) or "no parameters"
