"""What a run warns of when all input is read, in words."""

from __future__ import annotations

from curator.run.examples import mask_text
from curator.run.repeated import Repeated
from curator.run.tally import IN, LANGUAGE, MOST_SOURCES, MOST_TAGS, OTHERS, SOURCE, Tally


def describe_other_sources(tally: Tally) -> list[str]:
    """A warning where source groups are counted together."""
    if not tally.documents(IN, SOURCE, OTHERS):
        return []
    told = (
        f"documents come from more than {MOST_SOURCES:,} groups of sources: those after the first {MOST_SOURCES:,} are "
        "counted together; scores/ and shards/ have the source of each document, and input.source_groups maps them to "
        "fewer groups"
    )
    return [told]


def describe_unknown_tags(tally: Tally) -> list[str]:
    """A warning where documents carry a language tag that is none: `English`, or a field that holds something else."""
    from curator.language.tags import is_valid, short_tag

    unknown = [name for name in tally.names(LANGUAGE) if not is_valid(name)]
    if not unknown:
        return []
    documents = sum(tally.documents(IN, LANGUAGE, name) for name in unknown)
    example = max(unknown, key=lambda name: (name != OTHERS, tally.documents(IN, LANGUAGE, name)))
    together = f"; those after the first {MOST_TAGS:,} tags are counted together" if OTHERS in unknown else ""
    carry = _documents(documents, "carries", "carry")
    told = (
        f"{carry} a language tag that is none, such as {short_tag(mask_text(example))!r}: to lists, thresholds and "
        f"models they are undetermined (tags are like en, pt-BR or zh-Hant){together}"
    )
    return [told]


def describe_contradicted_tags(documents: int) -> list[str]:
    """A warning where documents carry a language tag that their script contradicts."""
    if not documents:
        return []
    told = (
        f"{_documents(documents, 'carries', 'carry')} a language tag that the script contradicts; all are kept, "
        "and have a language.script_share below 0.5 in scores/"
    )
    return [told]


def describe_repeated_ids(repeated: Repeated) -> list[str]:
    """A warning where documents have an id that an earlier one has."""
    if not repeated.documents:
        return []
    example = mask_text(repeated.example or "")
    told = (
        f"{_documents(repeated.documents, 'has', 'have')} an id that an earlier one has, such as {example!r}; "
        "all are kept, and told apart by key"
    )
    return [told]


def _documents(count: int, one: str, many: str) -> str:
    return f"1 document {one}" if count == 1 else f"{count:,} documents {many}"
