#!/usr/bin/env python3
"""Line coverage of folders, from a report in the format of lcov.

    .ci/coverage.py REPORT FOLDER=PERCENT...

Prints a line for each folder and for each file below its folder's number, with the lines that
no test reaches. Fails if a folder is below its number. The lines of test modules do not count:
they would be covered by themselves.
"""

import re
import sys
from pathlib import Path


def lines_by_file(report):
    """The executed lines of each file: {path: {line: times}}."""
    files, current = {}, {}
    for entry in report.splitlines():
        kind, _, value = entry.partition(":")
        if kind == "SF":
            current = files.setdefault(value, {})
        elif kind == "DA":
            line, times = value.split(",")[:2]
            current[int(line)] = max(current.get(int(line), 0), int(times))
    return files


def first_test_line(source):
    """The line at which the test module of a file begins, or the number of lines and one."""
    found = re.search(r"^#\[cfg\(test\)\]\nmod \w+ \{", source, re.MULTILINE)
    end = found.start() if found else len(source)
    return source.count("\n", 0, end) + 1 if found else source.count("\n") + 2


def without_tests(lines, source):
    end = first_test_line(source)
    return {line: times for line, times in lines.items() if line < end}


def ranges(numbers):
    """[1, 2, 3, 7] as "1-3, 7"."""
    parts = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(f"{a}-{b}" if a != b else f"{a}" for a, b in parts)


def percent(covered, all_lines):
    return 100 * covered / all_lines if all_lines else 100.0


def main(report, demands):
    root = Path(__file__).resolve().parent.parent
    files = lines_by_file(Path(report).read_text())
    failed = False
    for demand in demands:
        folder, least = demand.split("=")
        covered = total = 0
        details = []
        for path, lines in sorted(files.items()):
            path = Path(path)
            if root / folder not in path.parents or path.name == "tests.rs":
                continue
            lines = without_tests(lines, path.read_text())
            missed = [line for line, times in lines.items() if times == 0]
            covered, total = covered + len(lines) - len(missed), total + len(lines)
            share = percent(len(lines) - len(missed), len(lines))
            if share < float(least):
                details.append(f"  {share:5.1f} %  {path.relative_to(root)}: {ranges(missed)}")
        share = percent(covered, total)
        print(f"{share:5.1f} % of {total} lines: {folder} (at least {least} %)")
        print("\n".join(details))
        failed |= total == 0 or share < float(least)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
