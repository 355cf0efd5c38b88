"""What core.py reads out of measurements.

    python3 -m unittest discover -s benches
"""

import argparse
import json
import pathlib
import tempfile
import unittest
from unittest import mock

import core

LIBRARIES = """\
| arrival, payload | yamabiko | one | two | by hand |
|---|---|---|---|---|
| Batched, ascii 16 B | 17 | 18.5 | – | 9 |
| Batched, ascii 65536 B | 4,000 | 3,600 | 5,000 | 3,000 |
| Batched, ascii 125 B | 103 | 100 | 101 | 99 |
"""


class Losses(unittest.TestCase):
    def test_rows_in_which_a_library_is_faster_are_named_and_the_floor_is_no_library(self):
        lost = core.losses([LIBRARIES]).splitlines()
        self.assertEqual(lost[0], "### Where we lose")
        self.assertEqual(lost[-1], "| Batched, ascii 65536 B | 4,000 | one 3,600 (10%) |")
        self.assertEqual(sum(line.startswith("| Batched") for line in lost), 1)

    def test_a_difference_of_three_percent_is_no_loss(self):
        first, second = LIBRARIES.splitlines()[:2]
        for ours, is_lost in ((103, False), (103.1, True)):
            text = f"{first}\n{second}\n| row | {ours} | 100 | 200 | 1 |"
            self.assertEqual(bool(list(core.lost_rows(text))), is_lost)

    def test_rows_of_all_tables_are_named(self):
        self.assertEqual(core.losses([LIBRARIES] * 2).count("| 4,000 |"), 2)

    def test_it_says_so_when_there_are_none(self):
        first = "\n".join(LIBRARIES.splitlines()[:3])
        expected = "No library is faster in any row by more than 3%."
        self.assertEqual(core.losses([first]), expected)


class Criterion(unittest.TestCase):
    def nanoseconds(self, throughput):
        with tempfile.TemporaryDirectory() as folder:
            new = pathlib.Path(folder)
            estimates = {"median": {"point_estimate": 600.0}}
            (new / "estimates.json").write_text(json.dumps(estimates))
            (new / "benchmark.json").write_text(json.dumps({"throughput": throughput}))
            return core.nanoseconds(new)

    def test_time_is_that_of_one_message(self):
        self.assertEqual(self.nanoseconds({"ElementsAndBytes": {"elements": 3, "bytes": 48}}), 200)
        self.assertEqual(self.nanoseconds({"Bytes": 48}), 600)
        self.assertEqual(self.nanoseconds(None), 600)


class Tables(unittest.TestCase):
    def test_cycles_are_nanoseconds_times_the_frequency_that_was_measured(self):
        group = {
            "clock": {"": 1000.0},  # three cycles in a nanosecond
            "text, yamabiko": {"128": 20.0},
            "text, floor": {"128": 10.0},
            "mask, yamabiko": {"1024": 11.0},
            "mask, floor": {"1024": 9.0},
        }
        first = core.cycles_table(group).splitlines()[2]
        self.assertEqual(first, "| a masked text of 128 B, received | 20.0 | 10.0 | 60 | 30 |")

    def test_sizes_are_in_the_order_of_numbers_and_compared_with_the_floor(self):
        sizes = {"1024": 12.0, "16": 2.0}
        group = {name: sizes for name in ("mask", "byte by byte", "memcpy")}
        group["floor"] = {"1024": 10.0, "16": 2.0}
        lines = core.masking_table(group).splitlines()[2:]
        self.assertEqual(lines[0], "| 16 B | 2.00 | 2.00 | 2.00 | 2.00 | 1.00× |")
        self.assertEqual(lines[1], "| 1024 B | 12.0 | 12.0 | 10.0 | 12.0 | 1.20× |")


class Parts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        patch = mock.patch.object(core, "MEASURED", pathlib.Path(folder.name) / "core")
        patch.start()
        self.addCleanup(patch.stop)

    def wanted(self, now, **options):
        options = {"page": False, "missing": False, "only": None} | options
        return core.wanted(argparse.Namespace(**options), now)

    def test_all_parts_are_measured_unless_some_are_named(self):
        self.assertEqual(self.wanted("a"), list(core.PARTS))
        self.assertEqual(self.wanted("a", only=["masking"]), ["masking"])
        self.assertEqual(self.wanted("a", page=True), [])

    def test_missing_parts_were_not_measured_at_this_commit(self):
        for part, commit in (("receive", "now"), ("masking", "before")):
            with mock.patch.object(core, "commit", return_value=commit):
                core.keep(part, {})
        missing = self.wanted("now", missing=True)
        self.assertEqual(missing, [part for part in core.PARTS if part != "receive"])

    def test_head_names_the_parts_where_they_differ(self):
        same = {"processor": "P", "compiler": "C", "date": "D"}
        parts = {"one": same | {"yamabiko": "1"}, "two": same | {"yamabiko": "2"}}
        rows = core.head(parts)
        self.assertIn(("date", "D"), rows)
        self.assertIn(("yamabiko, one", "1"), rows)
        self.assertIn(("yamabiko, two", "2"), rows)


if __name__ == "__main__":
    unittest.main()
