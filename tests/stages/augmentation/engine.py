"""A small program that is called like Apertium, and misbehaves as it is told."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

PROGRAM = r"""#!{python}
import pathlib, re, subprocess, sys, time

here = pathlib.Path(__file__).parent
if "-V" in sys.argv:
    print("Apertium 9.9.9")
    sys.exit(0)
mode = sys.argv[-1]
data = sys.stdin.buffer.read()
with (here / "calls").open("a") as calls:
    calls.write(mode + "\n")
if b"HANG" in data:
    child = subprocess.Popen(["sleep", "300"])
    (here / "child").write_text(str(child.pid))
    time.sleep(300)
if b"DIE" in data:
    sys.exit(1)
lines = re.findall(rb".*?\[\]\[\n[0-9]+\]", data, re.DOTALL)
lines = [line for line in lines if b"LOSE" not in line]
if b"MOVE" in data:
    lines = lines[::-1]
english = b"This is a sentence about the weather and the old house near the river, which nobody asked for, "
english += b"and it goes on about children, gardens and the long road to the town, since nothing better comes to mind"
lines = [re.sub(rb".*OTHER[^[]*", english + b".", line, flags=re.DOTALL) for line in lines]
out = b"".join(lines).replace(b"BYTES", b"\xff\xfe").replace(b"EMPTY", b"").replace(b"MARKS", b"*a @b #c")
words = {{"oci-fra": [(b"casa", b"maison")], "fra-oci": [(b"maison", b"ostal")]}}
for old, new in words.get(mode, []):
    out = out.replace(old, new)
sys.stdout.buffer.write(out)
"""


def install(folder: Path, modes: tuple[str, ...] = ("oci-fra", "fra-oci")) -> dict[str, object]:
    """Write the program and its modes into a folder; the options that lead a translator to it."""
    program = folder / "apertium"
    program.write_text(PROGRAM.format(python=sys.executable), encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (folder / "modes").mkdir()
    for mode in modes:
        data = folder / f"{mode}.bin"
        data.write_bytes(mode.encode())
        (folder / "modes" / f"{mode}.mode").write_text(f"lt-proc '{data}'", encoding="utf-8")
    return {"program": str(program), "data_directory": str(folder)}


def calls(folder: Path) -> list[str]:
    """The modes that the program was called with, in order."""
    path = folder / "calls"
    return path.read_text(encoding="utf-8").split() if path.exists() else []
