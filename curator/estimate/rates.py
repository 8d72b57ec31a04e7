"""Measured rates: what a document and a MB of text cost in each step of a run.

`benchmarks/rates.py` measures them and writes `data/rates.json`; `like_run` fits them to a run of one's own. MB are
10**6 bytes of UTF-8 text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter, ValidationError

from curator.errors import DataError, UserError

if TYPE_CHECKING:
    from curator.estimate.figures import Figures

RATES_PATH = Path(__file__).parent / "data" / "rates.json"
MB = 1e6


@dataclass(frozen=True)
class Rate:
    """A cost that is linear in a corpus: seconds or bytes, never negative. `per_mb` is for 10**6 bytes of text."""

    fixed: float = 0.0
    per_mb: float = 0.0
    per_document: float = 0.0
    per_task: float = 0.0
    per_stream_mb: float = 0.0

    def at(self, text_bytes: float, documents: float, tasks: float = 0.0, stream_bytes: float = 0.0) -> float:
        """The cost of so much text in so many documents, read in so many tasks; `stream_bytes` of it lie in streams
        that the driver reads."""
        return (
            self.fixed
            + self.per_mb * text_bytes / MB
            + self.per_document * documents
            + self.per_task * tasks
            + self.per_stream_mb * stream_bytes / MB
        )

    def times(self, factor: float) -> Rate:
        """This rate, each of its numbers so many times as great."""
        return Rate(**{name: value * factor for name, value in asdict(self).items()})


@dataclass(frozen=True)
class EngineCost:
    """What an engine takes for itself. `start_s` is until the first task works, `task_cpu_s` and `driver_task_s` are
    CPU seconds a task beside the task's own, of the worker and of the driver; `efficiency` is the share of a core's
    time that tasks get of it. `exchange` says how rows move: in files, of which the driver knows where each partition
    begins, or as objects of Ray's. `origin` says where the numbers come from."""

    start_s: float
    task_cpu_s: float
    driver_task_s: float
    efficiency: float
    exchange: Literal["files", "objects"]
    origin: str


@dataclass(frozen=True)
class Rates:
    """All that was measured.

    `cpu` are CPU seconds by step, without the parts of read and judge that belong to a stage: those are `parts`
    (`read/pii`, `judge/pii`). `driver` are CPU seconds of the driver by phase, `work` bytes in `work/` by step,
    `output` bytes by kind of file. `facts` are counts of stages that
    relate, for each document. A cost by task is one by split of the input, whatever the step. `parameters` are those
    with which a stage was measured. A judge rate is for one pass.
    """

    measured: Mapping[str, str]
    cpu: Mapping[str, Rate]
    parts: Mapping[str, Rate]
    driver: Mapping[str, Rate]
    work: Mapping[str, Rate]
    output: Mapping[str, Rate]
    facts: Mapping[str, float]
    parameters: Mapping[str, Mapping[str, object]]
    constants: Mapping[str, float]
    engines: Mapping[str, EngineCost]
    document_bytes: float
    input_bytes_per_text_byte: float
    id_bytes: float
    kept_share: float
    driver_peak_bytes: float
    notes: tuple[str, ...] = field(default=())

    def engine(self, name: str) -> EngineCost:
        """The cost of an engine. UserError for one that is not known."""
        if name not in self.engines:
            raise UserError(f"--engine {name}: unknown", hint=f"one of {', '.join(sorted(self.engines))}")
        return self.engines[name]


def dump_rates(rates: Rates) -> str:
    """Rates as JSON, numbers to four significant digits."""
    return json.dumps(_short(asdict(rates)), indent=1, ensure_ascii=False) + "\n"


def load_rates(path: Path = RATES_PATH) -> Rates:
    """Rates from a file. DataError for one that is not what `dump_rates` writes."""
    try:
        return TypeAdapter(Rates).validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError("is no file of rates", file=str(path), hint="python benchmarks/rates.py writes one") from error


def like_run(rates: Rates, figures: Figures, run: str) -> Rates:
    """The rates, each made to give what a finished run took; what the run does not tell stays. One run cannot tell a
    cost by document from one by MB: their ratio stays."""
    text, documents = figures.text_bytes, figures.documents
    driver = dict(rates.driver)
    for key, seconds in figures.driver.items():
        before = driver.get(key, Rate())
        predicted = before.at(text, documents, figures.parts_read, figures.stream_bytes)
        driver[key] = before.times(seconds / predicted) if predicted else Rate(per_task=seconds / figures.parts_read)
    return replace(
        rates,
        cpu=_fit_all(rates.cpu, figures.cpu, figures),
        parts=_fit_all(rates.parts, figures.parts, figures),
        work=_fit_all(rates.work, figures.work, figures),
        output=_fit_all(rates.output, figures.output, figures),
        driver=driver,
        facts={**rates.facts, **{name: count / documents for name, count in figures.facts.items()}},
        parameters={**rates.parameters, **figures.parameters},
        document_bytes=text / documents,
        kept_share=figures.kept_bytes / text,
        measured={**rates.measured, "like": run},
    )


def _fit_all(rates: Mapping[str, Rate], measured: Mapping[str, float], figures: Figures) -> dict[str, Rate]:
    fitted = dict(rates)
    for key, amount in measured.items():
        before = rates.get(key, Rate())
        predicted = before.at(figures.text_bytes, figures.documents, figures.parts_read)
        fitted[key] = before.times(amount / predicted) if predicted else Rate(per_document=amount / figures.documents)
    return fitted


def _short(value: object) -> object:
    """JSON values without zero rates and needless digits."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        zeros = {entry.name for entry in fields(Rate)}
        return {key: _short(entry) for key, entry in value.items() if not (key in zeros and entry == 0)}
    if isinstance(value, list | tuple):
        return [_short(entry) for entry in value]
    return value
