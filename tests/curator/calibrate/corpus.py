"""Known-good text for tests: words of several languages drawn at random, with the tag and source that they have."""

from __future__ import annotations

import random
from pathlib import Path

from tests.runs import WORDS, write_jsonl

SOURCES = ("books", "web")


def good_texts(count: int, seed: int, languages: tuple[str, ...] = ("en", "ru")) -> list[dict[str, str]]:
    """Independent documents of 120 to 400 words, of which some words are numbers."""
    chosen = random.Random(seed)
    documents = []
    for number in range(count):
        lang = chosen.choice(languages)
        words = WORDS[lang].split()
        numbers = chosen.uniform(0.2, 0.9)
        text = " ".join(
            str(chosen.randrange(3000)) if chosen.random() < numbers else chosen.choice(words)
            for _ in range(chosen.randint(120, 400))
        )
        source = f"{chosen.choice(SOURCES)}:{number}"
        documents.append({"id": f"s{seed}-{number}", "text": text, "lang": lang, "source": source})
    return documents


def write_good(folder: Path, count: int, seed: int) -> Path:
    """Such documents as a file."""
    return write_jsonl(folder / f"good-{seed}.jsonl", good_texts(count, seed))
