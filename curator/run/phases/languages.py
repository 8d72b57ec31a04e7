"""What is said of the language of documents: the columns `language.*`, and the check of the tags that they carry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curator.document import UNDETERMINED, Codes, encode, string_buffer
from curator.language.tags import list_language
from curator.recipe.model import SHIPPED_MODEL
from curator.verdict import round_score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from curator.language.identifier import Identifier
    from curator.recipe.model import Language

SCRIPT_SHARE = "language.script_share"


@dataclass(frozen=True)
class Identified:
    """The columns that need no tag, and int32[texts, scripts], the letters that were read by script (None with
    `language: off`)."""

    columns: Mapping[str, pa.Array]
    scripts: NDArray[np.int32] | None

    @property
    def detected(self) -> pa.StringArray:
        """The language that was identified, `und` when unsure."""
        return self.columns["language.detected"]

    def checked(self, tags: pa.StringArray) -> dict[str, pa.Array]:
        """All `language.*` columns of documents with these tags."""
        return {**self.columns, SCRIPT_SHARE: _script_share(self.scripts, tags)}


def identify_languages(text: pa.StringArray, language: Language | None) -> Identified:
    """The language of each text; `und`, and null elsewhere, where identification is off."""
    if language is None or len(text) == 0:
        return Identified(_nothing(len(text)), None)
    from curator.language.identify import Policy, identify, script_names

    model = _identifier(language)
    policy = Policy(language.min_score, language.confusable, language.mixed)
    found = identify(*string_buffer(text), policy, model=model)
    names = found.languages.names
    mixture = found.mixture
    columns = {
        "language.detected": _strings(found.languages),
        "language.score": pa.array(found.scores),
        "language.dominant": _strings(Codes(mixture.first, names), null=0),
        "language.second": _strings(Codes(mixture.second, names), null=0),
        "language.share": pa.array(mixture.shares, pa.float64(), from_pandas=True),
        "language.script": _strings(script_names(found.scripts), null=0),
    }
    return Identified(columns, found.scripts)


def knows_language(language: Language, name: str) -> bool:
    """Whether the model has a label for a list language."""
    return name in {list_language(tag) for tag in _identifier(language).names}


def count_contradictions(columns: Mapping[str, pa.Array], tags: pa.StringArray) -> int:
    """How many documents carry a tag that their script contradicts: fewer than half of their letters are in a script
    in which its language is written."""
    from curator.language.identify import SCRIPT_SHARE as LEAST

    carried = pc.not_equal(tags, columns["language.detected"])
    return int(pc.sum(pc.and_(carried, pc.less(columns[SCRIPT_SHARE], LEAST))).as_py() or 0)


def _identifier(language: Language) -> Identifier:
    from curator.language.identifier import load_identifier

    return load_identifier() if language.model == SHIPPED_MODEL else load_identifier(Path(language.model))


def _nothing(count: int) -> dict[str, pa.Array]:
    strings, numbers = pa.nulls(count, pa.string()), pa.nulls(count, pa.float64())
    return {
        "language.detected": pa.repeat(pa.scalar(UNDETERMINED, pa.string()), count),
        "language.score": numbers,
        "language.dominant": strings,
        "language.second": strings,
        "language.share": numbers,
        "language.script": strings,
    }


def _strings(codes: Codes, null: int = -1) -> pa.StringArray:
    """The names of codes; those of the code `null` are null."""
    taken = pa.array(codes.names, pa.string()).take(pa.array(codes.codes))
    return pc.if_else(pa.array(codes.codes != null), taken, pa.scalar(None, pa.string()))


def _script_share(scripts: NDArray[np.int32] | None, tags: pa.StringArray) -> pa.Array:
    """The share of the letters that are in a script of the tag's language: null where no script is known for the tag,
    and for a text of too few letters to say."""
    if scripts is None:
        return pa.nulls(len(tags), pa.float64())
    from curator.language.identify import SURE_LETTERS
    from curator.language.scripts import script_shares, script_table, scripts_of

    encoded = encode(tags)
    names = script_table().names
    known = [scripts_of(tag) for tag in encoded.names]
    written = np.array([[name in found for name in names] for found in known], dtype=np.bool_).reshape(-1, len(names))
    share = round_score(script_shares(scripts, np.arange(len(tags)), written, encoded.codes))
    is_known = np.array([bool(found) for found in known], dtype=np.bool_)
    says = is_known[encoded.codes] & (scripts[:, 0] >= SURE_LETTERS)
    return pa.array(share, mask=~says)
