"""Checks that permessage-deflate was agreed on as the case requires, and was used in both directions (RFC 7692).

The suite requires less: it reports OK even if the response lacks a parameter that the suite offered, or if the peer
sent all messages uncompressed. Therefore this module reads the handshake and the numbers of bytes that the suite
records for each case of groups 12 and 13:

    Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; server_max_window_bits=9
                              └── one element ──┘  └────────────────── parameters ──────────────────┘

Each `faults_` function yields the faults that it finds, as sentences.
"""
from cases import AGREEMENTS, MESSAGE_SIZES

EXTENSION = "permessage-deflate"
# All messages of this size or more that the suite sends are compressible, even without context takeover. Of smaller
# messages, parts of the bitmap and of the PDF are not, and a peer may send small messages uncompressed to save time.
COMPRESSIBLE_FROM = 1024
MESSAGES = 1000


def faults_of_compression(case, role, exchange):
    """The faults in the suite's record of one case, for a peer in this role."""
    offers = elements(exchange["httpRequest"])
    accepted = elements(exchange["httpResponse"])
    if [name for name, _ in accepted] != [EXTENSION]:
        yield f"the response accepts {' and '.join(name for name, _ in accepted) or 'no extension'}"
        return
    response = accepted[0][1]
    offered = [parameters for name, parameters in offers if name == EXTENSION]
    if not any(fits(response, offer) for offer in offered):
        yield f"the response ({text_of(response)}) fits no offer ({' | '.join(map(text_of, offered))})"
    yield from faults_of_agreement(case.rpartition(".")[0], role, dict(response))
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


def fits(response, offer):
    """Whether a server may accept this offer with these parameters: each parameter once, as RFC 7692 §7.1 permits."""
    agreed, offered = dict(response), dict(offer)
    if len(agreed) != len(response) or not set(agreed) <= set(PARAMETERS):
        return False
    if "server_no_context_takeover" in offered and "server_no_context_takeover" not in agreed:
        return False
    if "server_max_window_bits" in offered and "server_max_window_bits" not in agreed:
        return False
    if "client_max_window_bits" in agreed and "client_max_window_bits" not in offered:
        return False
    if not all(is_legal(name, value) for name, value in agreed.items()):
        return False
    return all(int(agreed[name]) <= int(offered[name]) for name in agreed if offered.get(name))


PARAMETERS = [
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
]


def is_legal(name, value):
    """A window has 8 to 15 bits, and the other two parameters have no value."""
    return value in map(str, range(8, 16)) if name.endswith("bits") else value is None


def faults_of_agreement(subgroup, role, agreed):
    """The response must bind the peer to the parameters that the subgroup requires."""
    required = AGREEMENTS.get(subgroup, {})
    if required.get("no_context_takeover") and f"{role}_no_context_takeover" not in agreed:
        yield f"the response lacks {role}_no_context_takeover, which the case requires"
    bits = agreed.get(f"{role}_max_window_bits") or "99"
    if "max_window_bits" in required and int(bits) > required["max_window_bits"]:
        yield f"the response lacks {role}_max_window_bits={required['max_window_bits']}, which the case requires"


def faults_of_traffic(case, traffic):
    """Compares the bytes of the messages before and after compression. In the record, `incoming` is from the peer."""
    if traffic is None:
        yield "the record has no traffic"
        return
    for direction, endpoint in (("incoming", "the peer"), ("outgoing", "the suite")):
        count = traffic[f"{direction}WebSocketMessages"]
        plain, sent = traffic[f"{direction}OctetsAppLevel"], traffic[f"{direction}OctetsWebSocketLevel"]
        if count != MESSAGES:
            yield f"{endpoint} sent {count} messages, not {MESSAGES}"
        if MESSAGE_SIZES[int(case.rpartition(".")[2])] >= COMPRESSIBLE_FROM and sent >= plain:
            yield f"{endpoint} did not compress: {sent} bytes for {plain}"
        if direction == "incoming" and sent > plain:
            yield f"{endpoint} made the messages longer: {sent} bytes for {plain}"


def text_of(parameters):
    return "; ".join(name if value is None else f"{name}={value}" for name, value in parameters) or "no parameters"
