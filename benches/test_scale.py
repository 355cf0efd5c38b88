"""What scale.py reads, and how it calculates.

    python3 -m unittest discover -s benches
"""

import pathlib
import tempfile
import unittest

import scale


class Slabs(unittest.TestCase):
    def test_an_object_has_its_share_of_the_rest_of_a_slab(self):
        with tempfile.TemporaryDirectory() as folder:
            slab = pathlib.Path(folder) / "TCP"
            slab.mkdir()
            (slab / "order").write_text("3\n")
            (slab / "objs_per_slab").write_text("13\n")
            found = scale.kernel_objects(pathlib.Path(folder))
        self.assertEqual(found["TCP"], 8 * 4096 / 13)
        self.assertIsNone(found["dentry"])


class Page(unittest.TestCase):
    def measured(self):
        return {
            "machine": {"processor": "one"},
            "rooms": [
                {
                    "subscriptions": size,
                    "records": batch,
                    "nanoseconds": 2.5,
                    "instructions": 40,
                    "bytes": 30,
                }
                for size in scale.SIZES
                for batch in scale.BATCHES
            ],
            "objects": {**dict.fromkeys(scale.OBJECTS, 600), "dentry": None},
            "idle": {"process": 400.0, "slab": 8000.0},
            "limits": {"files": 1_048_576, "system": 2_000_000, "ports": 28_232},
        }

    def test_each_size_has_a_row_with_both_batches(self):
        rows = scale.rooms_table(self.measured()["rooms"]).splitlines()
        self.assertEqual(len(rows), 2 + len(scale.SIZES))
        self.assertEqual(rows[-1], "| 1,000,000 | 2.50 | 40.0 | 2.50 | 40.0 | 30.0 |")

    def test_memory_is_the_sum_of_what_is_known(self):
        text = scale.page(self.measured())
        self.assertIn("Together 3408 bytes, of which yamabiko's part is 12 %", text)
        self.assertIn("need 3.2 GiB", text)
        self.assertIn("4000 for one end", text)

    def test_ports_of_one_address_are_too_few_for_a_million_clients(self):
        self.assertIn("needs 36 addresses", scale.page(self.measured()))

    def test_one_start_that_is_far_off_does_not_count(self):
        starts = [{"process": one, "slab": 8000} for one in (45, 313, 315)]
        self.assertEqual(scale.median_of(starts), {"process": 313, "slab": 8000})

    def test_size_in_the_memory_report_is_in_kilobytes(self):
        self.assertEqual(scale.kilobytes("Slab", "MemFree: 1 kB\nSlab:     12 kB\n"), 12_288)


if __name__ == "__main__":
    unittest.main()
