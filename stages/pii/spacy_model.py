"""The recogniser `spacy`: entities of a spaCy model, an installed package or a folder.

Only the model's files are read; a package's own code is not run. Of its pipeline only what finds entities is loaded. A
text is read in pieces of at most `PIECE` code points, cut at the ends of lines, since a model looks no further than a
few words and spaCy's memory grows with the text.
"""

from __future__ import annotations

import configparser
import importlib.util
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from blake3 import blake3
from pydantic import Field

from curator.errors import UserError
from curator.language.tags import list_language
from curator.stage import Parameters, Requirement, Resources
from stages.pii.recogniser import EXTRA, Finding, finding, pieces

if TYPE_CHECKING:
    from spacy.language import Language

PIECE: Final = 20_000
"""Code points of a text that are read at a time; spaCy takes up to 10 KB for each (its error E088)."""
_BATCH: Final = 64
_LONG: Final = re.compile(r"\S{201,}")
"""More than any word has. spaCy takes signs off the ends of a word one by one and looks at the rest each time, so that
20,000 brackets took minutes; it is shown blanks instead."""
_UNSPACED: Final = frozenset(("ja", "th", "zh"))
"""Languages that spaCy cuts into words by other means."""
LABELS: Final = dict.fromkeys(("PERSON", "PER", "PRS", "PS", "persName"), "name")
"""What a person is called by the models of spaCy: most, those of WikiNER, Swedish, Korean, Polish."""
_LEARNED: Final = frozenset(("ner", "beam_ner"))
_RULES: Final = frozenset(("entity_ruler", "future_entity_ruler", "span_ruler"))
_ANY_LANGUAGE: Final = "xx"


class SpacyOptions(Parameters):
    """Options of the recogniser `spacy`."""

    model: str = Field(min_length=1, description="An installed package with a model, or the folder of one.")


class Spacy:
    """Finds entities by a spaCy model."""

    def __init__(self, languages: Sequence[str], kinds: Mapping[str, str] | None = None, **options: object) -> None:
        self.languages = frozenset(languages)
        self.options = SpacyOptions.model_validate(options)
        self._kind_of = {**LABELS, **(kinds or {})}

    packages: Sequence[str] = ("spacy", "thinc", "blis")

    @property
    def kinds(self) -> frozenset[str]:
        """Those of the labels that the model has."""
        return frozenset(self._kind_of[label] for label in self._labels if label in self._kind_of)

    @property
    def resources(self) -> Resources:
        """A process that keeps the model."""
        files = [] if self._folder is None else [path for path in self._folder.rglob("*") if path.is_file()]
        return Resources(memory_bytes=sum(path.stat().st_size for path in files), holds_model=True)

    def requirement(self) -> Requirement:
        """The model by the BLAKE3 of its files, and what is wrong with it; found without loading it."""
        name = Path(self.options.model).name
        if importlib.util.find_spec("spacy") is None:
            return Requirement("model", name, "", f"needs spaCy: install the extra {EXTRA}")
        problem = self._problem()
        identity = "" if problem or self._folder is None else _identity(self._folder, _changed(self._folder))
        return Requirement("model", name, identity, problem)

    def find(self, texts: Sequence[str]) -> list[list[Finding]]:
        """The entities of each text whose label is a kind of personal data."""
        cut = [(row, begin, piece) for row, text in enumerate(texts) for begin, piece in pieces(text, PIECE)]
        found: list[list[Finding]] = [[] for _ in texts]
        blanked = self._meta.get("lang") not in _UNSPACED
        read = (_LONG.sub(_blanks, piece) if blanked else piece for _, _, piece in cut)
        documents = self._model.pipe(read, batch_size=_BATCH)
        for (row, begin, piece), document in zip(cut, documents, strict=True):
            for entity in document.ents:
                kind = self._kind_of.get(entity.label_)
                if kind is None:
                    continue
                own = finding(piece, entity.start_char, entity.end_char, kind, offset=begin)
                if own is not None:
                    found[row].append(own)
        return found

    def _problem(self) -> str | None:
        if self._folder is None:
            return f"is neither an installed package with a spaCy model nor a folder: {self.options.model}"
        try:
            meta, config = self._meta, self._config
        except OSError as error:
            return f"is no spaCy model: {Path(str(error.filename)).name} cannot be read"
        except (ValueError, configparser.Error):
            return "is no spaCy model: meta.json or config.cfg cannot be parsed"
        language = str(meta.get("lang"))
        if language != _ANY_LANGUAGE and self.languages != {list_language(language)}:
            others = ", ".join(sorted(self.languages - {list_language(language)}))
            return f"was made for {list_language(language)}, and the recipe has it read {others}"
        if not _components(config, _LEARNED | _RULES):
            return "has no component that finds entities"
        if not self.kinds:
            known = ", ".join(sorted(self._labels)) or "none"
            return f"has no label that is a kind of personal data; it has {known}: say in `kinds` what they are"
        return None

    @cached_property
    def _folder(self) -> Path | None:
        """Where the files of the model are."""
        folder = Path(self.options.model)
        if folder.is_dir():
            return folder
        name = self.options.model.replace("-", "_")
        found = importlib.util.find_spec(name) if name.isidentifier() else None
        for place in (found and found.submodule_search_locations) or ():
            inner = [file.parent for file in sorted(Path(place).glob("*/config.cfg"))]
            if len(inner) == 1:
                return inner[0]
        return None

    @cached_property
    def _meta(self) -> dict[str, object]:
        if self._folder is None:
            raise ValueError("no folder")
        values = json.loads((self._folder / "meta.json").read_bytes())
        if not isinstance(values, dict):
            raise ValueError("meta.json is not an object")
        return values

    @cached_property
    def _config(self) -> configparser.RawConfigParser:
        if self._folder is None:
            raise ValueError("no folder")
        config = configparser.RawConfigParser()
        config.read_string((self._folder / "config.cfg").read_text(encoding="utf-8"))
        return config

    @cached_property
    def _labels(self) -> frozenset[str]:
        """The labels of the components that find entities."""
        listed = self._meta.get("labels")
        names = _components(self._config, _LEARNED | _RULES)
        groups = [listed.get(name) for name in names] if isinstance(listed, dict) else []
        return frozenset(str(label) for group in groups if isinstance(group, list) for label in group)

    def _left_out(self) -> list[str]:
        """Components that are not needed for entities: all but what a learned one stands on. Rules may look at
        anything, so that with them all are loaded."""
        if _components(self._config, _RULES):
            return []
        learned = _components(self._config, _LEARNED)
        needed = set(learned)
        for section in self._config.sections():
            upstream = self._config.get(section, "upstream", fallback=None)
            if upstream is not None and section.split(".")[1] in learned:
                needed.add(str(upstream).strip('"'))
                needed.update(_components(self._config, frozenset(("tok2vec", "transformer"))))
        return [name for name in _components(self._config, None) if name not in needed]

    @cached_property
    def _model(self) -> Language:
        import spacy

        if self._folder is None:
            raise UserError(f"{self.options.model} is no spaCy model", stage="pii")
        try:
            return spacy.load(self._folder, exclude=self._left_out())
        except (OSError, ValueError, KeyError, TypeError) as error:
            first = str(error).strip().partition("\n")[0]
            raise UserError(
                f"the spaCy model {Path(self.options.model).name} cannot be loaded: {first}",
                stage="pii",
                hint="was it made for this version of spaCy? its meta.json says for which (`spacy_version`)",
            ) from error


def _blanks(word: re.Match[str]) -> str:
    return " " * len(word[0])


def _components(config: configparser.RawConfigParser, factories: frozenset[str] | None) -> list[str]:
    """The names of the components with one of these factories, of all where None is given."""
    found = []
    for section in config.sections():
        parts = section.split(".")
        if len(parts) == 2 and parts[0] == "components":
            factory = config.get(section, "factory", fallback="").strip('"')
            if factories is None or factory in factories:
                found.append(parts[1])
    return found


def _changed(folder: Path) -> tuple[tuple[Path, int], ...]:
    """The files of a model with the times of their last change."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return tuple((path, path.stat().st_mtime_ns) for path in files)


@lru_cache(maxsize=8)
def _identity(folder: Path, files: tuple[tuple[Path, int], ...]) -> str:
    """BLAKE3 of the places in the folder and the bytes of files; the times only tell when to read them again."""
    whole = blake3()
    for path, _ in files:
        part = blake3().update_mmap(path)
        whole.update(f"{path.relative_to(folder)} {part.hexdigest()}\n".encode())
    return str(whole.hexdigest())
