"""Which programs of substitution are installed here, and a small one that is called like a parser, and misbehaves."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from stages.augmentation.substitution.english import EnglishSubstitution
from stages.augmentation.substitution.wordnet import WordNet

ENGLISH_PROBLEM = EnglishSubstitution().requirement().problem
needs_english = pytest.mark.skipif(ENGLISH_PROBLEM is not None, reason=str(ENGLISH_PROBLEM))
needs_wordnet = pytest.mark.skipif(bool(WordNet().missing()), reason="WordNet is not installed")

_PARSER = """#!{python}
import sys, time

if "--version" in sys.argv:
    print("Version: link-grammar-9.9.9")
    sys.exit(0)
lines = sys.stdin.read().splitlines()
if any("HANG" in line for line in lines):
    time.sleep(300)
for line in lines:
    if "DIE" in line:
        sys.exit(1)
    if "LOSE" in line:
        continue
    print(line)
    words = line.rstrip(".").split()
    tree = "(S (NP " + " ".join(words[:-1] + [words[-1] + ".n"]) + ") .)"
    print("(S (NP unbalanced" if "BROKEN" in line else tree.replace("MORE", "and MORE"))
"""


def install_parser(folder: Path) -> str:
    """Write the program into a folder; its path. It takes every sentence for one noun phrase."""
    program = folder / "link-parser"
    program.write_text(_PARSER.format(python=sys.executable), encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)
