"""The tables of benchmarks/language.py, printed and as docs/language-accuracy.md has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

COMMAND = "python benchmarks/language.py --corpus CORPUS.jsonl.zst --write docs/language-accuracy.md"
SURE = 0.9
PAIRS_SHOWN = 15

Numbers = Mapping[str, Any]
"""A part of the result: JSON."""


def cells(value: Numbers) -> list[str]:
    """Right, wrong and und of a count."""
    return [f"{value[name]:.3f}" for name in ("right", "wrong", "undetermined")]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def both(value: Numbers) -> list[str]:
    """The model alone, then the policy."""
    return cells(value["model"]["macro"]) + cells(value["und"]["macro"])


def summary(result: Numbers) -> str:
    """The means over languages, with and without the policy on relatives."""
    parts = [(f"declarations, by {name}", result[name]) for name in ("document", "article", "sentence")]
    parts += [(f"messages, pages of {size} bytes", value) for size, value in result["messages"].items()]
    if "corpus" in result:
        parts.append(("tagged documents of a corpus", result["corpus"]))
    head = ["texts", "languages", "right", "wrong", "und", "right, policy", "wrong, policy", "und, policy"]
    return table(head, ([name, str(len(part["und"]["languages"])), *both(part)] for name, part in parts))


def relatives(result: Numbers) -> str:
    """The languages that have close relatives, on messages of a program."""
    rows = []
    for language in result["messages"]["300"]["und"]["languages"]:
        row = [f"{result['names'][language]} (`{language}`)"]
        for size in result["messages"]:
            part = result["messages"][size]
            row += [" / ".join(cells(part[name]["languages"][language])) for name in ("model", "und")]
        rows.append(row)
    head = ["language"] + [f"{size} bytes, {name}" for size in result["messages"] for name in ("model", "policy")]
    return table(head, rows)


def pairs(part: Numbers) -> str:
    """The pairs that are confused most under the policy, and how often the model alone confuses them."""
    alone = {(truth, found): share for truth, found, _, share in part["model"]["pairs"]}
    rows = []
    for truth, found, number, share in part["und"]["pairs"][:PAIRS_SHOWN]:
        before = alone.get((truth, found))
        rows.append([truth, found, str(number), f"{share:.3f}", "less" if before is None else f"{before:.3f}"])
    return table(["language", "named", "texts", "share", "share, model alone"], rows)


def mixed(result: Numbers) -> str:
    """What becomes of mixed pages."""
    head = ["share of the first", "pages"]
    head += [f"{name}: {what}" for name in ("und", "dominant") for what in ("first", "second", "other", "und")]
    rows = [
        [
            f"{row['share']:.1f}",
            str(row["pages"]),
            *(
                f"{row[name][what]:.3f}"
                for name in ("und", "dominant")
                for what in ("first", "second", "other", "undetermined")
            ),
            f"{row['both_named']:.3f}",
        ]
        for row in result["mixed"]
    ]
    return table([*head, "both languages found"], rows)


def about_clean(result: Numbers) -> str:
    """What became of texts that are in no code page."""
    clean = result["clean"]
    return (
        "Pieces of declarations that were read in Windows-1252: the share that comes out as it was written, and how "
        "many come out otherwise; the rest is left alone. "
        f"Of {clean['texts']:,} texts in {clean['languages']} languages that are in no code page (declarations, whole "
        f"and in pieces, plain and in capitals) {clean['changed']} change. "
        "`python benchmarks/code_pages.py` makes this table alone."
    )


def code_pages(result: Numbers) -> str:
    """Text in code pages, by page and length."""
    rows = [
        [
            f"`{encoding}`",
            *(f"{each['right'] / each['pieces']:.2f}, {each['wrong']} wrong" for each in lengths.values()),
            str(sum(each["pieces"] for each in lengths.values())),
        ]
        for encoding, lengths in result["pages"].items()
    ]
    lengths = next(iter(result["pages"].values()))
    return table(["code page", *(f"{length} characters" for length in lengths), "pieces"], rows)


def languages(result: Numbers, *, every: bool) -> str:
    """Each language on the declarations, the default policy; those with most articles right last."""
    parts = [result[name]["und"]["languages"] for name in ("article", "sentence", "document")]
    rows = []
    for language in sorted(parts[0], key=lambda language: (parts[0][language]["right"], language)):
        if every or parts[0][language]["right"] < SURE:
            counts = [text for part in parts for text in [str(part[language]["texts"]), *cells(part[language])]]
            rows.append([f"{result['names'][language]} (`{language}`)", *counts])
    what = ["right", "wrong", "und"]
    head = ["language", "articles", *what, "sentences", *what, "documents", *what]
    return table(head, rows)


def costs(result: Numbers) -> str:
    """CPU milliseconds per MB."""
    kinds = result["cpu_ms_per_mb"]
    names = next(iter(kinds.values()))
    return table(["CPU ms per MB", *kinds], ([name, *(f"{kinds[kind][name]:.1f}" for kind in kinds)] for name in names))


def sections(result: Numbers, *, every: bool) -> list[tuple[str, str, str]]:
    """Heading, explanation and table of each section."""
    unknown = ", ".join(
        f"{result[name]['und']['named_without_label']:.3f} by {name}" for name in ("article", "document")
    )
    found = [
        (
            "All languages",
            (
                "Means over languages. `policy` is the default (`confusable: und`); without it, what the model says "
                f"(`confusable: model`). Texts in languages without a label are named all the same in {unknown}."
            ),
            summary(result),
        ),
        (
            "Relatives",
            (
                "Pages of messages of VLC, which the judge was not built from, though its thresholds were chosen on "
                "them: right / wrong / und."
            ),
            relatives(result),
        ),
        ("Confused most, articles of the declarations", "", pairs(result["article"])),
        ("Confused most, pages of 300 bytes of messages", "", pairs(result["messages"]["300"])),
    ]
    if "corpus" in result:
        about = "By the tag that documents carry; what is named `en` here is mostly text that was left in English."
        found.append(("Confused most, tagged documents of a corpus", about, pairs(result["corpus"])))
        rows = []
        for language, value in result["corpus"]["model"]["languages"].items():
            name = f"{result['names'].get(language, language)} (`{language}`)"
            policy = result["corpus"]["und"]["languages"][language]
            rows.append([name, str(value["texts"]), *cells(value), *cells(policy)])
        head = ["language", "texts", "right", "wrong", "und", "right, policy", "wrong, policy", "und, policy"]
        found.append(("Tagged documents of a corpus, by language", "", table(head, rows)))
    found += [
        (
            "Mixed pages",
            (
                "Pages of about 6 KB of two declarations, one above the other or their paragraphs in turn; what they "
                "are named, with `mixed: und` (the default) and with `mixed: dominant`."
            ),
            mixed(result),
        ),
        ("Code pages", about_clean(result["code_pages"]), code_pages(result["code_pages"])),
        ("Cost", "One process, best of three. Windows are sampled, so long documents cost less per MB.", costs(result)),
        (
            "Bytes of a window",
            "Whole declarations, four windows; the last reads everything.",
            table(
                ["bytes", "right", "wrong", "und"],
                ([size, *cells(value)] for size, value in result["window_bytes"].items()),
            ),
        ),
        ("Languages", "The declarations, the default policy.", languages(result, every=every)),
    ]
    return found


def markdown(result: Numbers) -> str:
    """The document."""
    head = (
        "# Accuracy of language identification\n\n"
        f"Made by `{COMMAND}`; the corpus is built by `benchmarks/build_corpus.py`. What a text counts as, and where "
        "the texts come from, is said there. `und` is counted apart: it is neither right nor wrong.\n"
    )
    body = [
        f"\n## {name}\n\n" + (f"{about}\n\n" if about else "") + found + "\n"
        for name, about, found in sections(result, every=True)
    ]
    return head + "".join(body)


def show(result: Numbers, *, every: bool) -> None:
    """Print the tables."""
    for name, about, found in sections(result, every=every):
        print(f"{name}. {about}\n{found}\n")
