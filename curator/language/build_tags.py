"""Builds `data/tags.tsv`, what langcodes says of the tags that a run meets every day.

    python -m curator.language.build_tags

They are the labels of the model that the package carries, the languages of ISO 639-1, regional and written varieties
that web corpora are labelled with, and languages by their three letters, alone and with their script (`deu_Latn`), as
other corpora are. Any other tag is looked up as it comes. The same langcodes gives the same
bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from langcodes import Language
from langcodes.registry_parser import parse_registry

from curator.language.identifier import MODEL_PATH
from curator.language.labels import WIKIPEDIA_CODES
from curator.language.model import load_model
from curator.language.tags import TABLE_PATH, describe, likely_script

VARIETIES = (
    *("de-AT", "de-CH", "de-DE", "en-AU", "en-CA", "en-GB", "en-IN", "en-US", "es-419", "es-ES", "es-MX", "fr-CA"),
    *("fr-FR", "it-IT", "ja-JP", "ko-KR", "pt-BR", "pt-PT", "ru-RU", "sr-Cyrl", "sr-Latn", "uz-Cyrl", "uz-Latn"),
    *("zh-CN", "zh-HK", "zh-Hans", "zh-Hant", "zh-TW", "az-Arab", "az-Cyrl", "kk-Arab", "pa-Arab", "ms-Arab"),
    *("cmn_Hani", "kor_Hang", "zho_Hant"),
)
ALSO = ("und", "cmn", "arb", "arz", "ary", "fil", "swh", "pes", "zsm", "nob", "nno", "cnr")


def build() -> str:
    """The table: a tag, its canonical form, list language, name and script a line, parted by tabulators."""
    two_letters = {
        entry["Subtag"]
        for entry in parse_registry()  # type: ignore[no-untyped-call]  # langcodes leaves this module without types
        if entry.get("Type") == "language" and len(entry["Subtag"]) == 2
    }
    labels = {WIKIPEDIA_CODES.get(label, label) for label in load_model(MODEL_PATH).labels}
    tags = {*labels, *two_letters, *VARIETIES, *ALSO}
    three_letters = {letters for tag in tags if tag.isalpha() for letters in _three_letters(tag)}
    lines = []
    for tag in sorted(tags | three_letters | {f"{letters}_{likely_script(letters)}" for letters in three_letters}):
        found = describe(tag)
        if found is not None:
            lines.append("\t".join((tag, *found)))
    return "\n".join(lines) + "\n"


def _three_letters(tag: str) -> Iterator[str]:
    """A language of three letters, or that of ISO 639-3 for one of two."""
    try:
        yield Language.get(tag).to_alpha3()
    except LookupError:
        return


def main() -> None:
    """Write the table."""
    TABLE_PATH.write_text(build(), encoding="utf-8")


if __name__ == "__main__":
    main()
