"""Makes a project of the programs and the dependencies in crates/tokio/README.md.

    project.py FOLDER

Each block of Rust becomes a program, without the lines that rustdoc hides. The block of TOML is
the list of dependencies: the path of this checkout takes the place of the version of
yamabiko-tokio. The versions of the others are those of Cargo.lock. The servers get their address
from the variable ADDRESS instead of the one in the text.
"""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "crates/tokio/README.md"

# The program, by a call that only its block has.
PROGRAMS = {"echo": "yamabiko_tokio::accept(", "client": "yamabiko_tokio::connect(", "axum_echo": "axum::serve("}

# The address in the text. Its parts are looked up when the program runs.
ADDRESS = "127.0.0.1:9001"


def blocks(language):
    text = README.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def program(call):
    [block] = [block for block in blocks("rust") if call in block]
    lines = [line for line in block.splitlines() if not line.startswith("#") or line.startswith("#[")]
    text = "\n".join(lines) + "\n"
    text = text.replace(f'bind("{ADDRESS}")', 'bind(std::env::var("ADDRESS").unwrap())')
    return text.replace(f'connect("ws://{ADDRESS}/")', 'connect(&format!("ws://{}/", std::env::var("ADDRESS").unwrap()))')


def manifest():
    [dependencies] = blocks("toml")
    path = f'yamabiko-tokio = {{ path = "{ROOT}/crates/tokio"'
    dependencies, count = re.subn(r'^yamabiko-tokio = \{ version = "[^"]*"', path, dependencies, flags=re.MULTILINE)
    if count != 1:
        raise SystemExit(f"{README}: the dependencies do not name yamabiko-tokio with a version")
    return f'[package]\nname = "readme"\nversion = "0.0.0"\nedition = "2024"\n\n[workspace]\n\n{dependencies}'


def main(folder):
    programs = folder / "src/bin"
    shutil.rmtree(folder / "src", ignore_errors=True)
    programs.mkdir(parents=True)
    for name, call in PROGRAMS.items():
        (programs / f"{name}.rs").write_text(program(call), encoding="utf-8")
    (folder / "Cargo.toml").write_text(manifest(), encoding="utf-8")
    shutil.copy(ROOT / "Cargo.lock", folder / "Cargo.lock")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
