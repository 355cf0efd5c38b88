"""Runs what the chapters of docs/learn show, and compares the output.

    python3 tests/book/transcripts.py PROGRAM

PROGRAM is the built `yamabiko`. It is started as `yamabiko serve` on a free port, which takes the
place of 8080 in the commands.

- A block marked `console` has commands behind `$ `, each with its output. `...` at the end of a
  line stands for any rest of the line.
- A block marked `python` is a program; the block marked `text` behind it is its output.
"""

import pathlib
import re
import select
import subprocess
import sys

CHAPTERS = pathlib.Path(__file__).resolve().parents[2] / "docs/learn"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS_MAX = 60
# curl ends a connection that stays open after a second; on a busy machine the response comes later than that.
IN_THE_PAGE, IN_THE_TEST = "--max-time 1 ", "--max-time 10 "


def main():
    server = subprocess.Popen([sys.argv[1], "serve", "--listen", "127.0.0.1:0"],
                              stdout=subprocess.PIPE, text=True)
    try:
        if not select.select([server.stdout], [], [], SECONDS_MAX)[0]:
            raise SystemExit(f"the server has printed nothing in {SECONDS_MAX} s")
        port = port_in(server.stdout.readline())
        samples = [(chapter, sample) for chapter in sorted(CHAPTERS.glob("*.md"))
                   for sample in samples_in(chapter.read_text())]
        wrong = [fault for chapter, sample in samples
                 if (fault := check(chapter.name, sample, port))]
    finally:
        server.terminate()
        server.wait(SECONDS_MAX)
    for fault in wrong:
        print(fault, file=sys.stderr)
    print(f"{len(samples)} commands and programs of docs/learn, {len(wrong)} with another output")
    sys.exit(1 if wrong or not samples else 0)


def port_in(line):
    """The port of the address in the server's first line."""
    match = re.search(r"127\.0\.0\.1:(\d+)", line)
    if not match:
        raise SystemExit(f"the server has printed no address: {line!r}")
    return match.group(1)


def samples_in(page):
    """The samples of a page as (arguments, expected output)."""
    blocks = FENCE.findall(page)
    for index, (language, text) in enumerate(blocks):
        if language == "console":
            yield from commands_in(text)
        elif language == "python":
            following = blocks[index + 1] if index + 1 < len(blocks) else ("", "")
            if following[0] != "text":
                raise SystemExit("a program without a block of its output")
            yield ["python3", "-c", text], following[1]


def commands_in(text):
    """The commands of a console block, each with its output."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, output = part.split("\n", 1)
        yield ["bash", "-c", command], output


def check(chapter, sample, port):
    """What is wrong with a sample, or None."""
    arguments, expected = sample
    arguments = [argument.replace("8080", port).replace(IN_THE_PAGE, IN_THE_TEST) for argument in arguments]
    result = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            timeout=SECONDS_MAX, check=False)
    if is_as(expected.replace("8080", port), result.stdout):
        return None
    return f"{chapter}: {arguments[-1]}\n--- shown:\n{expected}--- is:\n{result.stdout}"


def is_as(expected, output):
    """Whether the output is what the page shows; line ends and empty lines at the end are free."""
    shown, lines = expected.strip().splitlines(), output.strip().splitlines()
    return len(shown) == len(lines) and all(map(is_line, shown, lines))


def is_line(shown, line):
    if shown.endswith("..."):
        return line.startswith(shown[:-3])
    return line.rstrip() == shown.rstrip()


if __name__ == "__main__":
    main()
