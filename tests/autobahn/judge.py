"""Decides whether a report of the Autobahn suite passes, by stricter rules than the suite's.

    judge.py ROLE SET REPORT SUMMARY     reads the folder REPORT, prints a summary and writes it to the file SUMMARY
    judge.py --table SUMMARY...          prints the summaries of one or two roles as a Markdown table
    judge.py --results SUMMARY...        prints the result of each case in each role as CSV

A report passes when
- it has every case of the set, and no other case;
- the suite reports OK for the messages and for the close of every case. `NON-STRICT` and `UNIMPLEMENTED` are not OK.
  The only exception are the three cases that the suite calls informational;
- in every case in which the peer must fail the connection, it sent a Close frame with the right close code;
- in every case of compression, the handshake agreed on the parameters that the case requires, and both endpoints
  compressed their messages (compression.py).

REPORT has a folder for each part of the set.

The exit status is 0 if the report passes, 1 if it does not, and 2 if there is no report.
"""
import json
import os
import sys
from collections import Counter

from cases import AGENT, CLOSE_CODES, COMPRESSION, GROUPS, INFORMATIONAL, SETS, group_of
from compression import faults_of_compression


def faults(results, cases, role="server"):
    """The faults in the results of these cases, as sentences.

    `results` has, for each case, its entry in the suite's index. For a case of compression, the entry also has the
    suite's record of the case, as `exchange`."""
    found = [f"{case}: not in the report" for case in cases if case not in results]
    found += [f"{case}: not in the set" for case in results if case not in cases]
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
        required = " or ".join(map(str, sorted(CLOSE_CODES[case])))
        sent = result.get("remoteCloseCode")
        yield f"the peer must fail the connection with {required}, but the close code is {sent}"
    # A case with the behaviour UNIMPLEMENTED has no agreement to check.
    if case in COMPRESSION and result["behavior"] == "OK":
        yield from faults_of_compression(case, role, result["exchange"])


def close_code_sent(case, result):
    return case not in CLOSE_CODES or result.get("remoteCloseCode") in CLOSE_CODES[case]


def summary_of(role, set_name, results):
    """The result and its numbers, for the JSON file."""
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
        "results": {case: result_of(results.get(case)) for case in cases},
    }


def result_of(result):
    """The verdicts of the suite on a case, and the close code that the peer sent; `None`: the case is not there."""
    keys = ("behavior", "behaviorClose", "remoteCloseCode")
    return result and [result.get(key) for key in keys]


def csv(summaries):
    """A row for each case: the verdict on the messages, the verdict on the close and the close code, as server and as client."""
    of_role = {summary["role"]: summary["results"] for summary in summaries}
    roles = [role for role in ("server", "client") if role in of_role]
    lines = [",".join(["case", *(f"{role}{column}" for role in roles for column in ("", "_close", "_code"))])]
    for case in SETS["full"]:
        cells = [of_role[role].get(case) or ["not run", "", ""] for role in roles]
        lines.append(",".join([case, *("" if cell is None else str(cell) for three in cells for cell in three)]))
    return "\n".join(lines)


def compressed(results, cases):
    """The bytes that the peer sent in the cases of compression, before and after compression."""
    traffic = [results[case].get("exchange", {}).get("trafficStats") or {} for case in cases if case in results]
    return {
        "before": sum(one.get("incomingOctetsAppLevel", 0) for one in traffic),
        "after": sum(one.get("incomingOctetsWebSocketLevel", 0) for one in traffic),
    }


def behaviours(results, cases):
    """The number of cases with each behaviour: {"OK": 16}."""
    return dict(Counter(results[case]["behavior"] if case in results else "MISSING" for case in cases))


def print_summary(summary):
    print(f"Autobahn, set {summary['set']}, {summary['agent']} as {summary['role']}")
    for group, counts in summary["groups"].items():
        print(f"  {group:>2} {GROUPS[int(group)]:<24} {counts['cases']:>4} cases: {text_of(counts)}")
    print(f"  close code sent in {summary['failures_with_close_code']} of {summary['failures']} failed connections")
    if summary["compressed"]["before"]:
        print(f"  compressed {summary['compressed']['before']:,} bytes to {summary['compressed']['after']:,}")
    for fault in summary["faults"]:
        print(f"  FAULT {fault}")
    outcome = "passed" if summary["passed"] else f"FAILED with {len(summary['faults'])} faults"
    print(f"  {summary['cases']} cases: {outcome}")


def text_of(counts):
    return ", ".join(f"{count} {behaviour}" for behaviour, count in counts.items() if behaviour != "cases")


def markdown(summaries):
    """A table with a row for each group and a column for each role."""
    roles = [f"{summary['agent']} as {summary['role']}" for summary in summaries]
    lines = [row("group", "subject", "cases", *roles), row("--:", "---", "--:", *("---" for _ in roles))]
    for group in sorted({group for summary in summaries for group in summary["groups"]}, key=int):
        counts = [summary["groups"].get(group, {"cases": 0}) for summary in summaries]
        cases = max(count["cases"] for count in counts)
        lines.append(row(group, GROUPS[int(group)], cases, *(text_of(count) or "not run" for count in counts)))
    totals = [sum((Counter(counts) for counts in summary["groups"].values()), Counter()) for summary in summaries]
    lines.append(row("all", "", max(total["cases"] for total in totals), *map(text_of, totals)))
    sent = [f"{summary['failures_with_close_code']} of {summary['failures']}" for summary in summaries]
    lines.append(row("", "failed connections with a close code", summaries[0]["failures"], *sent))
    return "\n".join(lines)


def row(*cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def results_of(report):
    """The results of all parts of the report. If two parts have the same case, the later result counts."""
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
    if arguments[:1] == ["--results"]:
        print(csv([read(path) for path in arguments[1:]]))
        return 0
    role, set_name, report, summary_path = arguments
    summary = summary_of(role, set_name, results_of(report))
    print_summary(summary)
    with open(summary_path, "w", encoding="utf-8") as file:
        json.dump(summary, file, indent=2)
        file.write("\n")
    return 0 if summary["passed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
