"""Tests of transcripts.py."""

import unittest

import transcripts


class Samples(unittest.TestCase):
    def test_each_command_of_a_console_block_has_its_output(self):
        page = "```console\n$ echo a\na\n$ printf 'b\\n'\nb\n```\n"
        self.assertEqual(list(transcripts.samples_in(page)),
                         [(["bash", "-c", "echo a"], "a\n"), (["bash", "-c", "printf 'b\\n'"], "b\n")])

    def test_a_program_has_the_output_of_the_next_block(self):
        page = "```python\nprint(1)\n```\n\n```text\n1\n```\n```text\nother\n```\n"
        self.assertEqual(list(transcripts.samples_in(page)), [(["python3", "-c", "print(1)\n"], "1\n")])

    def test_a_program_without_output_is_refused(self):
        with self.assertRaises(SystemExit):
            list(transcripts.samples_in("```python\nprint(1)\n```\n"))

    def test_other_blocks_are_no_samples(self):
        self.assertEqual(list(transcripts.samples_in("```rust\nx\n```\n```sh\ny\n```\n")), [])


class Outputs(unittest.TestCase):
    def test_three_dots_stand_for_the_rest_of_a_line(self):
        self.assertTrue(transcripts.is_as("Date: ...\nx\n", "Date: today\r\nx\n\n"))
        self.assertFalse(transcripts.is_as("Date: ...\nx\n", "Date: today\ny\n"))

    def test_a_missing_or_further_line_is_a_difference(self):
        self.assertFalse(transcripts.is_as("a\n", "a\nb\n"))
        self.assertFalse(transcripts.is_as("a\nb\n", "a\n"))

    def test_a_wrong_output_is_reported(self):
        self.assertIsNone(transcripts.check("x.md", (["bash", "-c", "echo 8080"], "8080\n"), "9"))
        self.assertIn("x.md", transcripts.check("x.md", (["bash", "-c", "echo a"], "b\n"), "9"))


class Ports(unittest.TestCase):
    def test_the_port_is_in_the_servers_first_line(self):
        self.assertEqual(transcripts.port_in("listening on http://127.0.0.1:4711/\n"), "4711")
        with self.assertRaises(SystemExit):
            transcripts.port_in("")


if __name__ == "__main__":
    unittest.main()
