"""Judges a report of the Autobahn suite, more strictly than the suite does.

    judge.py ROLE SET REPORT SUMMARY     judges the folder REPORT, prints what it found, writes it to the file SUMMARY
    judge.py --table SUMMARY...          prints the summaries of one or two roles as a Markdown table

A report passes when
- every case of the set is in it, and no other;
- every case is OK, in what was exchanged and in how the connection ended. `NON-STRICT` and `UNIMPLEMENTED` are not
  OK. The three cases that the suite only informs about are the one exception;
- in every case in which the peer has to fail the connection, it sent a Close frame with a code that tells why;
- in every case of compression, the handshake agreed on what the case asks for, and the messages were compressed both
  ways (compression.py).

REPORT has a folder for each part of the set that was run on its own.

Ends with 0 when the report passes, 1 when it does not, 2 when there is none to judge.
"""
import json
import os
import sys
from collections import Counter

from cases import AGENT, CLOSE_CODES, COMPRESSION, GROUPS, INFORMATIONAL, SETS, group_of
from compression import faults_of_compression


def faults(results, cases, role="server"):
    """What keeps the results (case -> entry of the suite's index, and for a case of compression the suite's record of
    it as `exchange`) of these cases from passing: a list of sentences."""
    found = [f"{case}: is not in the report" for case in cases if case not in results]
    found += [f"{case}: was not asked for" for case in results if case not in cases]
    for case in cases:
        if case in results:
            found += [f"{case}: {fault}" for fault in faults_of_case(case, results[case], role)]
    return found


def faults_of_case(case, result, role):
    accepted = {"OK", "INFORMATIONAL"} if case in INFORMATIONAL else {"OK"}
    if result["behavior"] not in accepted:
        yield f"behaviour is {result['behavior']}"
    if result["behaviorClose"] not in accepted:
        yield f"closing behaviour is {result['behaviorClose']}"
    if not close_code_sent(case, result):
        wanted = " or ".join(map(str, sorted(CLOSE_CODES[case])))
        yield f"the connection was to be failed with {wanted}, the close code sent is {result.get('remoteCloseCode')}"
    # An unimplemented case has agreed on nothing, as its behaviour says.
    if case in COMPRESSION and result["behavior"] == "OK":
        yield from faults_of_compression(case, role, result["exchange"])


def close_code_sent(case, result):
    return case not in CLOSE_CODES or result.get("remoteCloseCode") in CLOSE_CODES[case]


def summary_of(role, set_name, results):
    """The verdict in a form for machines, small enough to be kept."""
    cases = SETS[set_name]
    found = faults(results, cases, role)
    to_be_failed = [case for case in cases if case in CLOSE_CODES]
    with_code = [case for case in to_be_failed if case in results and close_code_sent(case, results[case])]
    groups = {group: [case for case in cases if group_of(case) == group] for group in sorted(set(map(group_of, cases)))}
    return {
        "agent": AGENT,
        "role": role,
        "set": set_name,
        "passed": not found,
        "cases": len(cases),
        "failures_with_close_code": len(with_code),
        "failures": len(to_be_failed),
        "groups": {
            str(group): {"cases": len(members), **behaviours(results, members)} for group, members in groups.items()
        },
        "compressed": compressed(results, cases),
        "faults": found,
    }


def compressed(results, cases):
    """What the peer sent in the cases of compression, in octets before and after."""
    traffic = [results[case].get("exchange", {}).get("trafficStats") or {} for case in cases if case in results]
    return {
        "before": sum(octets.get("incomingOctetsAppLevel", 0) for octets in traffic),
        "after": sum(octets.get("incomingOctetsWebSocketLevel", 0) for octets in traffic),
    }


def behaviours(results, cases):
    """How many of the cases behaved how: {"OK": 16}."""
    return dict(Counter(results[case]["behavior"] if case in results else "MISSING" for case in cases))


def print_verdict(summary):
    print(f"Autobahn, set {summary['set']}, {summary['agent']} as {summary['role']}")
    for group, counts in summary["groups"].items():
        print(f"  {group:>2} {GROUPS[int(group)]:<24} {counts['cases']:>4} cases: {in_words(counts)}")
    print(f"  close code sent in {summary['failures_with_close_code']} of {summary['failures']} failed connections")
    if summary["compressed"]["before"]:
        print(f"  compressed {summary['compressed']['before']:,} octets to {summary['compressed']['after']:,}")
    for fault in summary["faults"]:
        print(f"  FAULT {fault}")
    verdict = "passed" if summary["passed"] else f"FAILED with {len(summary['faults'])} faults"
    print(f"  {summary['cases']} cases: {verdict}")


def in_words(counts):
    return ", ".join(f"{count} {behaviour}" for behaviour, count in counts.items() if behaviour != "cases")


def markdown(summaries):
    """One row a group, one column a role."""
    roles = [f"{summary['agent']} as {summary['role']}" for summary in summaries]
    lines = [row("group", "what", "cases", *roles), row("--:", "---", "--:", *("---" for _ in roles))]
    for group in sorted({group for summary in summaries for group in summary["groups"]}, key=int):
        counts = [summary["groups"].get(group, {"cases": 0}) for summary in summaries]
        cases = max(count["cases"] for count in counts)
        lines.append(row(group, GROUPS[int(group)], cases, *(in_words(count) or "not run" for count in counts)))
    totals = [sum((Counter(counts) for counts in summary["groups"].values()), Counter()) for summary in summaries]
    lines.append(row("all", "", max(total["cases"] for total in totals), *map(in_words, totals)))
    sent = [f"{summary['failures_with_close_code']} of {summary['failures']}" for summary in summaries]
    lines.append(row("", "failed connections with a close code", summaries[0]["failures"], *sent))
    return "\n".join(lines)


def row(*cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def results_of(report):
    """Merges the parts; a case that two of them have is judged by the later one, and none is missed."""
    results = {}
    for part in sorted(os.scandir(report), key=lambda entry: entry.name):
        index = os.path.join(part.path, "index.json")
        if not part.is_dir() or not os.path.exists(index):
            continue
        for case, result in read(index).get(AGENT, {}).items():
            if case in COMPRESSION:
                result["exchange"] = read(os.path.join(part.path, result["reportfile"]))
            results[case] = result
    return results


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        print(f"judge: {error}", file=sys.stderr)
        sys.exit(2)


def main(arguments):
    if arguments[:1] == ["--table"]:
        print(markdown([read(path) for path in arguments[1:]]))
        return 0
    role, set_name, report, summary_path = arguments
    summary = summary_of(role, set_name, results_of(report))
    print_verdict(summary)
    with open(summary_path, "w", encoding="utf-8") as file:
        json.dump(summary, file, indent=2)
        file.write("\n")
    return 0 if summary["passed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
