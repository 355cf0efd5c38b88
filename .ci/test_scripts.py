"""The shell scripts of the project."""

import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Commands that may end before they have read all of their input.
ENDS_EARLY = re.compile(
    r"\|\s*(?:head\b|read\b|grep\b.*\s(?:-[a-zA-Z]*[qm]|--quiet|--max-count)|awk\b.*\bexit\b|sed\b.*\d\s*q\b)"
)


def scripts():
    for line in subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0"):
        file = ROOT / line
        if line and file.suffix in ("", ".sh") and file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace")
            if re.match(r"#!.*\b(?:ba)?sh\b", text):
                yield line, text


class Scripts(unittest.TestCase):
    def test_no_reader_of_a_pipe_ends_early_where_that_fails_the_pipe(self):
        """With `pipefail`, the SIGPIPE of the writer fails the pipe, but only if it comes in time."""
        checked = 0
        for name, text in scripts():
            if "pipefail" not in text:
                continue
            checked += 1
            for line in text.replace("|\n", "| ").splitlines():
                if not line.lstrip().startswith("#"):
                    self.assertIsNone(ENDS_EARLY.search(line), f"{name}: {line}")
        self.assertGreater(checked, 5)

    def test_a_step_that_does_not_exist_is_refused(self):
        run = subprocess.run([ROOT / ".ci/run", "--only", "no-such-step"], capture_output=True, text=True)
        self.assertEqual((run.returncode, run.stderr), (2, "no step no-such-step\n"))


if __name__ == "__main__":
    unittest.main()
