"""The script that checks the line coverage."""

import unittest

import coverage

SOURCE = """fn covered() {}

fn missed() {}

#[cfg(test)]
mod tests {
    fn test() {}
}
"""

REPORT = """SF:/a.rs
DA:1,5
DA:3,0
DA:7,1
end_of_record
SF:/a.rs
DA:3,2
end_of_record
"""


class Coverage(unittest.TestCase):
    def test_lines_of_one_file_in_two_records_are_added(self):
        self.assertEqual(coverage.lines_by_file(REPORT), {"/a.rs": {1: 5, 3: 2, 7: 1}})

    def test_lines_of_the_test_module_do_not_count(self):
        lines = {1: 5, 3: 0, 7: 1}
        self.assertEqual(coverage.without_tests(lines, SOURCE), {1: 5, 3: 0})

    def test_file_without_a_test_module_counts_as_a_whole(self):
        self.assertEqual(coverage.without_tests({1: 1, 2: 0}, "a\nb\n"), {1: 1, 2: 0})

    def test_missed_lines_are_shown_as_ranges(self):
        self.assertEqual(coverage.ranges([7, 1, 2, 3]), "1-3, 7")


if __name__ == "__main__":
    unittest.main()
