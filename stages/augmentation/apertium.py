"""Apertium, a rule-based translator for close languages, run as an external process (Forcada et al. 2011; GPL).

Debian has it in `apertium` and a package for each pair. Texts are translated line by line, many lines to a process (a
pair takes up to two CPU seconds to load). Nothing that comes back is trusted: lines are numbered, must be there, in
order, not empty, in UTF-8 and in the stream format; marks of unknown words are taken out and counted. Where lines were
lost or moved the batch is halved until the lines at fault are alone.

What it does not do: keep a process open (`-z` hangs on some pairs), or translate a line in the light of its neighbours.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from blake3 import blake3
from pydantic import Field

from curator.document import UNDETERMINED
from curator.errors import TransientError, UserError
from curator.language.tags import list_language
from curator.stage import Parameters, Requirement
from stages.augmentation.cache import TranslationCache
from stages.augmentation.sentences import has_letter
from stages.augmentation.stream import Line, decode, encode, is_safe
from stages.augmentation.translator import Pair

WAYS: Mapping[str, tuple[str, ...]] = {
    "an": ("es",),
    "ca": ("es",),
    "gl": ("es",),
    "is": ("sv",),
    "nn": ("no",),
    "oc": ("fr",),
}
"""Languages with a pair in Debian 12 in both directions that was found to work on the Universal Declaration of Human
Rights. Breton and Basque have none back; `rus-ukr` and `rus-bel` return nothing, `hbs-mkd` loses lines. What comes out
of `mkd-bul` and `nld-afr` passes the gate, and what it denied it does no more: `не` comes back as `ни` (us), the second
`nie` not at all."""

DEBIAN_PACKAGES: Mapping[frozenset[str], str] = {
    frozenset({"af", "nl"}): "apertium-afr-nld",
    frozenset({"an", "es"}): "apertium-spa-arg",
    frozenset({"br", "fr"}): "apertium-br-fr",
    frozenset({"ca", "es"}): "apertium-spa-cat",
    frozenset({"eo", "en"}): "apertium-eo-en",
    frozenset({"eo", "fr"}): "apertium-eo-fr",
    frozenset({"eu", "en"}): "apertium-eu-en",
    frozenset({"eu", "es"}): "apertium-eu-es",
    frozenset({"frp", "fr"}): "apertium-fra-frp",
    frozenset({"gl", "es"}): "apertium-es-gl",
    frozenset({"is", "sv"}): "apertium-isl-swe",
    frozenset({"mk", "bg"}): "apertium-mkd-bul",
    frozenset({"nn", "no"}): "apertium-nno-nob",
    frozenset({"oc", "fr"}): "apertium-oci-fra",
    frozenset({"szl", "pl"}): "apertium-pol-szl",
}
"""Of the ways above, and of pairs that a recipe may name by `pivots` or `pivot_text`."""

_BATCH_LINES = 1000
_BATCH_BYTES = 512 * 1024
"""A pair takes 0.1 to 2.3 CPU seconds to load: the latter, oc-fr, as long as it takes for 300 sentences."""
_SECONDS_PER_LINE = 0.2
"""Added to `timeout_s`. The slowest of 12 pairs takes 0.03 s a line on a busy machine."""
_MOST_TIMEOUTS = 12
"""In one call. One line that hangs costs at most 11: its batch, and a half of it ten times over."""
_MOST_PROCESSES_OVER = 64
"""Processes in one call beyond one a batch, for halving: what still fails then stays untranslated."""
_TRIED = "Apertium"
_MODE_NAME = re.compile(r"([a-z]{2,3})-([a-z]{2,3})")


class ApertiumOptions(Parameters):
    """Options of the translator `apertium`."""

    program: str = Field(default="apertium", description="The program, by name or path.")
    data_directory: Path = Field(default=Path("/usr/share/apertium"), description="Where `modes/` lies.")
    timeout_s: float = Field(default=60.0, gt=0, description="Seconds for a process, and 0.2 more for each line.")
    max_unknown: float = Field(
        default=0.25, ge=0, le=1, description="Share of unknown words up to which a text counts."
    )
    max_failed: float = Field(default=0.05, ge=0, le=1, description="The same for words that failed in transfer.")
    cache: Path | None = Field(default=None, description="Folder of a cache of translations.")


class Apertium:
    """Translates with the Apertium pairs that are installed."""

    name = "apertium"

    def __init__(self, **options: object) -> None:
        self.options = ApertiumOptions.model_validate(options)

    @cached_property
    def version(self) -> str:
        """What `apertium -V` says; `unknown` where it is not installed."""
        if self._program is None:
            return "unknown"
        said = subprocess.run(  # noqa: S603  # the program that the recipe names, no shell
            [self._program, "-V"], capture_output=True, timeout=self.options.timeout_s, check=False
        )
        return said.stdout.decode(errors="replace").removeprefix("Apertium").strip() or "unknown"

    def pairs(self) -> frozenset[Pair]:
        """The pairs whose modes are installed; none without the program."""
        return frozenset(self._modes) if self._program is not None else frozenset()

    def ways(self) -> Mapping[str, tuple[str, ...]]:
        """The languages of `WAYS`."""
        return WAYS

    def requirement(self, pair: Pair) -> Requirement:
        """The program and the mode of a pair; identified by the version and a BLAKE3 of the pair's data."""
        problem = self._problem(pair)
        identity = f"{self.version} blake3:{self._digest(self._modes[pair])}" if problem is None else ""
        return Requirement("translator", f"apertium {'-'.join(pair)}", identity, problem)

    def translate(self, source: str, target: str, texts: Sequence[str]) -> list[str | None]:
        """Line by line; lines without a letter stay as they are. None for a text with a line that was not translated,
        or with too many marks."""
        problem = self._problem((source, target))
        if problem is not None:
            raise UserError(problem)
        wanted = dict.fromkeys(line.strip() for text in texts for line in text.split("\n") if has_letter(line))
        lines = list(wanted)
        cache = self._cache(source, target)
        done: dict[str, Line | None] = {} if cache is None else _read_kept(cache.find(lines))
        missing = [line for line in lines if line not in done]
        for some, found in _Session(self, self._modes[source, target]).translate(missing):
            done.update(zip(some, found, strict=True))
            if cache is not None:
                cache.add({line: _to_keep(one) for line, one in zip(some, found, strict=True) if one is not None})
        return [self._assemble(text, done) for text in texts]

    def command(self, mode: str) -> list[str]:
        """The command line of one process. UserError where the program is missing."""
        if self._program is None:
            raise UserError(f"the program {self.options.program} is not installed")
        return [self._program, "-d", str(self.options.data_directory), "-f", "none", mode]

    def _problem(self, pair: Pair) -> str | None:
        package = DEBIAN_PACKAGES.get(frozenset(pair), "apertium-…")
        if self._program is None:
            return f"the program {self.options.program} is not installed (Debian: apt-get install apertium {package})"
        if pair not in self._modes:
            where = self.options.data_directory
            if pair[::-1] in self._modes:
                return f"no pair {'-'.join(pair)} in {where}, which has {'-'.join(pair[::-1])} alone"
            return f"no pair {'-'.join(pair)} in {where} (Debian: apt-get install {package})"
        return None

    def _assemble(self, text: str, done: Mapping[str, Line | None]) -> str | None:
        parts, found = [], []
        for line in text.split("\n"):
            if not has_letter(line):
                parts.append(line)
                continue
            core = line.strip()
            translated = done[core]
            if translated is None or not translated.words:
                return None
            found.append(translated)
            begin = line.index(core)
            parts.append(line[:begin] + translated.text + line[begin + len(core) :])
        words = max(sum(line.words for line in found), 1)
        if sum(line.unknown for line in found) > self.options.max_unknown * words:
            return None
        if sum(line.failed for line in found) > self.options.max_failed * words:
            return None
        return "\n".join(parts)

    def _cache(self, source: str, target: str) -> TranslationCache | None:
        if self.options.cache is None:
            return None
        return TranslationCache(self.options.cache, self.requirement((source, target)).identity, source, target)

    @cached_property
    def _program(self) -> str | None:
        return shutil.which(self.options.program)

    @cached_property
    def _modes(self) -> dict[Pair, str]:
        """The mode of each pair; of several for one pair (`es-gl`, `spa-glg`) the first by name. Variants
        (`oci_gascon-fra`) are no language of their own and are left out."""
        modes: dict[Pair, str] = {}
        for path in sorted((self.options.data_directory / "modes").glob("*.mode")):
            named = _MODE_NAME.fullmatch(path.stem)
            if named is None:
                continue
            pair = (list_language(named[1]), list_language(named[2]))
            if UNDETERMINED not in pair and pair[0] != pair[1]:
                modes.setdefault(pair, path.stem)
        return modes

    def _digest(self, mode: str) -> str:
        """BLAKE3 of a mode file and of the data files that it names."""
        recipe = (self.options.data_directory / "modes" / f"{mode}.mode").read_text(encoding="utf-8")
        digest = blake3(recipe.encode())
        for path in sorted({Path(word) for word in shlex.split(recipe) if word.startswith("/")}):
            if path.is_file():
                digest.update(path.read_bytes())
        return digest.hexdigest(length=16)


class _Session:
    """One call of `translate`: counts processes and timeouts."""

    def __init__(self, apertium: Apertium, mode: str) -> None:
        self.options = apertium.options
        self.mode = mode
        self.command = apertium.command(mode)
        self.processes_left = _MOST_PROCESSES_OVER
        self.timeouts = 0

    def translate(self, lines: Sequence[str]) -> Iterator[tuple[list[str], list[Line | None]]]:
        """Lines and what became of them, batch by batch."""
        unsafe = [line for line in lines if not is_safe(line)]
        yield unsafe, [None] * len(unsafe)
        batches = list(_batches([line for line in lines if is_safe(line)]))
        self.processes_left += len(batches)
        came_back = False
        for batch in batches:
            found = self._batch(batch)
            came_back = came_back or any(found)
            yield batch, found
        if batches and not came_back:
            self._try()

    def _try(self) -> None:
        """Where no line came back, one that every pair can take tells whether it is the pair: UserError then, since a
        translator that is dead must not pass for one that found nothing."""
        output = self._run(encode([_TRIED]), self.options.timeout_s)
        if output is None or decode(output, 1) in (None, [None]):
            raise UserError(
                f"apertium {self.mode} gives nothing back, whatever it is given",
                hint=f"see what `echo {_TRIED} | {shlex.join(self.command)}` says, or leave the pair out",
            )

    def _batch(self, lines: Sequence[str]) -> list[Line | None]:
        if self.processes_left <= 0:
            return [None] * len(lines)
        self.processes_left -= 1
        output = self._run(encode(lines), self.options.timeout_s + _SECONDS_PER_LINE * len(lines))
        found = decode(output, len(lines)) if output is not None else None
        if found is not None:
            return found
        if len(lines) == 1:
            return [None]
        half = len(lines) // 2
        return self._batch(lines[:half]) + self._batch(lines[half:])

    def _run(self, stream: bytes, timeout_s: float) -> bytes | None:
        """What the pipeline made of a stream, whatever its exit status says; None where it did not end in time."""
        with (
            tempfile.TemporaryDirectory(prefix="curator-apertium-") as scratch,
            subprocess.Popen(  # noqa: S603  # the program that the recipe names, no shell
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C.UTF-8", "TMPDIR": scratch},
                start_new_session=True,
            ) as process,
        ):
            try:
                output, _ = process.communicate(stream, timeout=timeout_s)
            except subprocess.TimeoutExpired:
                self.timeouts += 1
                if self.timeouts >= _MOST_TIMEOUTS:
                    raise TransientError(
                        f"apertium {self.mode} did not answer in time, {self.timeouts} times",
                        hint="a busy machine needs a larger timeout_s; a pair that hangs must be left out",
                    ) from None
                return None
            finally:
                # A pipeline is a dozen processes: all of them go, whatever happened.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        return output


def _to_keep(line: Line) -> str:
    """A translated line as the cache has it."""
    return json.dumps([line.text, line.words, line.unknown, line.failed], ensure_ascii=False)


def _read_kept(known: Mapping[str, str]) -> dict[str, Line | None]:
    return {line: Line(*json.loads(kept)) for line, kept in known.items()}


def _batches(lines: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for line in lines:
        if batch and (len(batch) == _BATCH_LINES or size + len(line.encode()) > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line.encode())
    if batch:
        yield batch
