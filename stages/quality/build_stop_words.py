"""Generate `data/stop_words.tsv` from the published lists. Run when a list has a new version; the result is checked in.

    python -m stages.quality.build_stop_words --justext DIR --stopwordsiso DIR

DIR are the unpacked wheels. jusText orders its lists by how often a word occurs in the Wikipedia of the language, so
its first WORDS words are nearly all function words; the lists of stopwordsiso, which merge many older ones, are taken
where jusText has none. Words of more than one unit are left out, and so are lists of fewer than LEAST_WORDS words.
"""

from __future__ import annotations

import argparse
import json
import unicodedata
from pathlib import Path

from curator.language.tags import list_language
from curator.text.fold import fold, hash_terms
from stages.quality.stop_words import STOP_WORDS_PATH

WORDS = 100
LEAST_WORDS = 8
"""As many as Gopher's list for English has (Rae et al. 2021, appendix A.1)."""

EDGES = ".,:;!?()[]\"'“”«»।。、"
"""What the lists have at the edges of words, and units never do: `d'`, `'n`, `2.`"""

JUSTEXT = {
    "Afrikaans": "af",
    "Albanian": "sq",
    "Arabic": "ar",
    "Aragonese": "an",
    "Armenian": "hy",
    "Aromanian": "rup",
    "Asturian": "ast",
    "Azerbaijani": "az",
    "Basque": "eu",
    "Belarusian": "be",
    "Bengali": "bn",
    "Bishnupriya_Manipuri": "bpy",
    "Bosnian": "bs",
    "Breton": "br",
    "Bulgarian": "bg",
    "Catalan": "ca",
    "Cebuano": "ceb",
    "Chuvash": "cv",
    "Croatian": "hr",
    "Czech": "cs",
    "Danish": "da",
    "Dutch": "nl",
    "English": "en",
    "Esperanto": "eo",
    "Estonian": "et",
    "Finnish": "fi",
    "French": "fr",
    "Galician": "gl",
    "Georgian": "ka",
    "German": "de",
    "Greek": "el",
    "Gujarati": "gu",
    "Haitian": "ht",
    "Hebrew": "he",
    "Hindi": "hi",
    "Hungarian": "hu",
    "Icelandic": "is",
    "Ido": "io",
    "Igbo": "ig",
    "Indonesian": "id",
    "Irish": "ga",
    "Italian": "it",
    "Javanese": "jv",
    "Kannada": "kn",
    "Kazakh": "kk",
    "Korean": "ko",
    "Kurdish": "ku",
    "Kyrgyz": "ky",
    "Latin": "la",
    "Latvian": "lv",
    "Lithuanian": "lt",
    "Lombard": "lmo",
    "Low_Saxon": "nds",
    "Luxembourgish": "lb",
    "Macedonian": "mk",
    "Malay": "ms",
    "Malayalam": "ml",
    "Maltese": "mt",
    "Marathi": "mr",
    "Neapolitan": "nap",
    "Nepali": "ne",
    "Newar": "new",
    "Norwegian_Bokmal": "no",
    "Norwegian_Nynorsk": "nn",
    "Occitan": "oc",
    "Persian": "fa",
    "Piedmontese": "pms",
    "Polish": "pl",
    "Portuguese": "pt",
    "Quechua": "qu",
    "Romanian": "ro",
    "Russian": "ru",
    "Samogitian": "sgs",
    "Serbian": "sr",
    "Sicilian": "scn",
    "Slovak": "sk",
    "Slovenian": "sl",
    "Spanish": "es",
    "Sundanese": "su",
    "Swahili": "sw",
    "Swedish": "sv",
    "Tagalog": "tl",
    "Tamil": "ta",
    "Telugu": "te",
    "Turkish": "tr",
    "Turkmen": "tk",
    "Ukrainian": "uk",
    "Urdu": "ur",
    "Uzbek": "uz",
    "Vietnamese": "vi",
    "Volapuk": "vo",
    "Walloon": "wa",
    "Waray_Waray": "war",
    "Welsh": "cy",
    "West_Frisian": "fy",
    "Western_Panjabi": "pnb",
    "Yoruba": "yo",
}
"""Tags of its files. Left out: second orthographies and mixtures (`Belarusian_Taraskievica`, `Serbo_Croatian`,
`Simple_English`)."""


def read_justext(folder: Path) -> dict[str, list[str]]:
    """The lists of jusText, most frequent words first, by list language."""
    lists = folder / "justext" / "stoplists"
    return {
        list_language(tag): (lists / f"{name}.txt").read_text(encoding="utf-8").split()
        for name, tag in sorted(JUSTEXT.items())
    }


def read_stopwordsiso(folder: Path) -> dict[str, list[str]]:
    """The lists of stopwordsiso, in the order of the alphabet, by list language."""
    found = json.loads((folder / "stopwordsiso" / "stopwords-iso.json").read_text(encoding="utf-8"))
    return {list_language(tag): words for tag, words in sorted(found.items())}


def usable(words: list[str]) -> list[str]:
    """Words of one unit that has a letter, each form once, as they are compared."""
    found: dict[str, None] = {}
    folded = [fold(unicodedata.normalize("NFC", word)).strip(EDGES) for word in words]
    for word, hashes in zip(folded, hash_terms(folded), strict=True):
        kinds = {unicodedata.category(sign)[0] for sign in word if sign != "'"}
        if len(hashes) == 1 and "L" in kinds and kinds <= {"L", "M"}:
            found.setdefault(word)
    return list(found)


def build(justext: dict[str, list[str]], stopwordsiso: dict[str, list[str]]) -> list[str]:
    """The lines of the table: list language, source, words."""
    lines = []
    for language in sorted({*justext, *stopwordsiso}):
        source, words = (
            ("jusText", usable(justext[language])[:WORDS])
            if language in justext
            else (
                "stopwordsiso",
                usable(stopwordsiso[language]),
            )
        )
        if len(words) >= LEAST_WORDS:
            lines.append(f"{language}\t{source}\t{' '.join(words)}")
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Build the table from the folders given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--justext", type=Path, required=True, help="the unpacked wheel of jusText")
    parser.add_argument("--stopwordsiso", type=Path, required=True, help="the unpacked wheel of stopwordsiso")
    parser.add_argument("--output", type=Path, default=STOP_WORDS_PATH)
    given = parser.parse_args(arguments)
    lines = build(read_justext(given.justext), read_stopwordsiso(given.stopwordsiso))
    given.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
