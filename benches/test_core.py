"""What core.py reads out of measurements.

    python3 -m unittest discover -s benches
"""

import json
import pathlib
import tempfile
import unittest

import core

LIBRARIES = """\
| arrival, payload | yamabiko | one | two | by hand |
|---|---|---|---|---|
| Batched, ascii 16 B | 17 | 18.5 | – | 9 |
| Batched, ascii 65536 B | 4,000 | 3,900 | 5,000 | 3,000 |
"""


class Losses(unittest.TestCase):
    def test_rows_in_which_a_library_is_faster_are_named_and_the_floor_is_no_library(self):
        lost = core.losses(LIBRARIES).splitlines()
        self.assertEqual(lost[0], "Where we lose:")
        self.assertEqual(lost[-1], "| Batched, ascii 65536 B | 4,000 | one 3,900 |")
        self.assertEqual(len(lost), 5)

    def test_it_says_so_when_there_are_none(self):
        first = "\n".join(LIBRARIES.splitlines()[:3])
        self.assertEqual(core.losses(first), "No library is faster in any row.")


class Criterion(unittest.TestCase):
    def nanoseconds(self, throughput):
        with tempfile.TemporaryDirectory() as folder:
            new = pathlib.Path(folder) / "new"
            new.mkdir()
            estimates = {"median": {"point_estimate": 600.0}}
            (new / "estimates.json").write_text(json.dumps(estimates))
            (new / "benchmark.json").write_text(json.dumps({"throughput": throughput}))
            return core.nanoseconds(pathlib.Path(folder))

    def test_time_is_that_of_one_message(self):
        self.assertEqual(self.nanoseconds({"ElementsAndBytes": {"elements": 3, "bytes": 48}}), 200)
        self.assertEqual(self.nanoseconds({"Bytes": 48}), 600)
        self.assertEqual(self.nanoseconds(None), 600)


if __name__ == "__main__":
    unittest.main()
