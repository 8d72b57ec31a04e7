"""One run with every fate in it, for tests of the commands that look at runs."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from curator.cli.main import run
from tests.command import curator, write_package
from tests.runs import WORDS, make_texts, recipe_text, rows, write_jsonl

TOY = """
    from curator.stage import Requirement

    class Toy:
        '''Translates into a language by spelling every fifth word with a y.'''

        name, version = "toy", "1"

        def pairs(self):
            return frozenset({("oc", "fr"), ("fr", "oc")})

        def ways(self):
            return {"oc": ("fr",)}

        def translate(self, source, target, texts):
            if target == "fr":
                return list(texts)
            return [" ".join(w + "y" * (n % 5 == 0) for n, w in enumerate(text.split())) for text in texts]

        def requirement(self, pair):
            return Requirement("pair", f"toy {pair[0]}-{pair[1]}", "1", None if "oc" in pair else "is not made yet")
"""
STAGES = (
    "dedup",
    "entropy: {min_bits: 2}",
    "pii",
    "sampling: {alpha: 0.3, max_repeats: 3}",
    "augmentation: {below_tokens: 500, translators: [toy]}",
)


@dataclass(frozen=True)
class Scene:
    """One run with every fate in it; `env` is where the toy translator is found."""

    folder: Path
    source: Path
    recipe: Path
    env: Mapping[str, str]
    process: subprocess.CompletedProcess[str]

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def curator(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return curator(*arguments, env=self.env)

    def explain(self, document: str) -> list[dict[str, object]]:
        """What the command prints as JSON. It runs in this process: most of the time of another is its start."""
        printed = io.BytesIO()
        with contextlib.redirect_stdout(io.TextIOWrapper(printed, encoding="utf-8")):
            assert run(["explain", str(self.run), document, "--json"]) == 0
            return cast("list[dict[str, object]]", json.loads(printed.getvalue()))

    def decided(self, **values: str) -> dict[str, object]:
        """The first decision with these values."""
        return next(row for row in rows(self.run, "decisions") if values.items() <= row.items())


def make_scene(folder: Path) -> Scene:
    """The run, in an empty folder."""
    english = [
        {"id": f"en{n}", "text": d["text"], "lang": "en", "source": d["source"]}
        for n, d in enumerate(make_texts(30, seed=5, units=(60, 90)))
    ]
    occitan = [
        {"id": f"oc{n}", "text": " ".join(f"{word}{n}{place}" for place, word in enumerate(WORDS["fr"].split() * 2))}
        for n in range(3)
    ]
    documents = [
        *english,
        *({**document, "lang": "oc"} for document in occitan),
        {"id": "copy", "text": english[0]["text"], "lang": "en"},
        {"id": "spam", "text": "buy it now " * 60, "lang": "en"},
        {"id": "mail", "text": f"{occitan[0]['text'][:200]} escriu a jana.doe@example.org uèi", "lang": "oc"},
        {"id": "twin", "text": "the first of two documents that have one id between them", "lang": "en"},
        {"id": "twin", "text": "a second text under a name that was taken by another one", "lang": "en"},
        {"id": "red\x1b[31m", "text": "a document whose name would colour the terminal of whoever reads it"},
    ]
    source = write_jsonl(folder / "in.jsonl", documents)
    with source.open("a") as file:
        file.write('this is no JSON\n{"id": "no text"}\n')
    recipe = folder / "recipe.yaml"
    recipe.write_text(recipe_text(*STAGES, language="off"))
    env = write_package(folder / "site", "toy", "curator.translators", "toy = toy:Toy", TOY)
    process = curator("process", source, "-o", folder / "run", "-r", recipe, "--json", env=env)
    assert process.returncode == 0, process.stderr
    return Scene(folder, source, recipe, env, process)
