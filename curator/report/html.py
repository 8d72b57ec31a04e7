"""Turns a `Report` into one self-contained HTML page: no script, nothing loaded, the same bytes each time."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemBytecodeCache, PackageLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup

from curator.report import charts
from curator.report.model import EvaluationRow, Example, Histogram, Report, Row, Totals

ROWS_AT_FIRST = 24
"""Languages and sources shown before the reader asks for the rest."""
_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def make_environment() -> Environment:
    """Where the pages' templates are found, with what they format numbers by; texts are escaped."""
    environment = Environment(
        loader=PackageLoader("curator.report", ""),
        bytecode_cache=_Compiled(),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": format_count,
        "share": format_share,
        "bytes": format_bytes,
        "score": format_score,
        "compact": format_compact,
        "difference": format_difference,
    }
    return environment


def clean(page: str) -> str:
    """The page with U+FFFD for control characters: they have no place in HTML, and would hide what stands there."""
    return _CONTROL.sub("\ufffd", page)


def render(report: Report) -> str:
    """The page. Texts of the report are escaped; control characters show as U+FFFD."""
    colour_of = {stage: charts.stage_colour(stage, report.stages) for stage in report.stages}
    shown = _stages_in_rows(report)
    scale = charts.sampling_scale([*report.sampling, *report.sampling_sources])
    page = (
        make_environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            totals=report.totals,
            overall=_overall(report.totals),
            funnel=charts.funnel(report.steps, report.stages, report.totals),
            colour_of=colour_of,
            bar=lambda row: _row_bar(row, report, shown),
            token_bar=lambda row: charts.stacked_bar(
                [charts.Part(row.tokens_kept, "kept", "tokens kept")], row.tokens_in
            ),
            stages_that_drop=[stage for stage in shown if any(_drops(report, stage))],
            rows_at_first=ROWS_AT_FIRST,
            coverage=_coverage(report.languages),
            histograms=_histograms(report.histograms),
            draw=lambda data: charts.histogram(data, charts.stage_colour(data.column.partition(".")[0], report.stages)),
            evaluation_bar=lambda row: _evaluation_bar(row, report),
            overlap=lambda row: _overlap(row, report),
            sampling_axis=charts.sampling_axis(scale),
            marks=lambda row: charts.sampling_marks(row, scale),
            difference_scale=charts.DifferenceScale.around,
            difference_axis=charts.difference_axis,
            difference_marks=charts.difference_marks,
            examples=_examples(report.examples),
            language_attribute=language_attribute,
        )
    )
    return clean(page)


class _Compiled(FileSystemBytecodeCache):
    """Keeps the compiled page with the compiled modules, under the same rights, where that can be written: to compile
    it takes 0.1 CPU seconds."""

    def __init__(self) -> None:
        super().__init__(str(Path(__file__).parent / "__pycache__"))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Write it; nothing depends on that it can be."""
        with contextlib.suppress(OSError):
            super().dump_bytecode(bucket)


def _overall(totals: Totals) -> float:
    whole = totals.documents_in + totals.created
    return (totals.kept + totals.held_out) / whole if whole else 0.0


def _stages_in_rows(report: Report) -> list[str]:
    named = [stage for row in (*report.languages, *report.sources) for stage in row.dropped]
    return list(dict.fromkeys([*report.stages, *named]))


def _drops(report: Report, stage: str) -> list[int]:
    return [row.dropped.get(stage, 0) for row in (*report.languages, *report.sources)]


def _row_bar(row: Row, report: Report, shown: Sequence[str]) -> Markup:
    """Documents of a language or source: kept, then dropped by each stage; the line marks retention over the run."""
    parts = [charts.Part(row.kept + row.held_out, "kept", f"kept: {row.kept + row.held_out:,}")]
    parts += [
        charts.Part(row.dropped[stage], charts.stage_colour(stage, report.stages), f"{stage}: {row.dropped[stage]:,}")
        for stage in shown
        if row.dropped.get(stage)
    ]
    return charts.stacked_bar(parts, row.documents_in + row.created, _overall(report.totals))


def _evaluation_bar(row: EvaluationRow, report: Report) -> Markup:
    """The examples of an evaluation set: clean, dirty, too short to be looked for."""
    parts = [
        charts.Part(row.clean, "kept", f"clean: {row.clean:,}"),
        charts.Part(row.dirty, charts.stage_colour("decontamination", report.stages), f"dirty: {row.dirty:,}"),
        charts.Part(row.too_short, "other", f"too short: {row.too_short:,}"),
    ]
    return charts.stacked_bar(parts, row.examples)


def _overlap(row: EvaluationRow, report: Report) -> Markup:
    """How much of each dirty example one document has, from a little on the left to all on the right."""
    label = f"Dirty examples of {row.name} by the share that one document has, in tenths: {list(row.overlap)}"
    return charts.columns(row.overlap, charts.stage_colour("decontamination", report.stages), label)


def _coverage(rows: Sequence[Row]) -> list[tuple[str, str, list[Row]]]:
    """(stage, what it could not do, in which languages), the largest languages first."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        for stage, note in row.coverage.items():
            found.setdefault((stage, note), []).append(row)
    ordered = sorted(found.items(), key=lambda entry: (entry[0][0], -len(entry[1]), entry[0][1]))
    return [(stage, note, languages) for (stage, note), languages in ordered]


def _histograms(histograms: Sequence[Histogram]) -> list[tuple[str, str, list[Histogram], list[Histogram]]]:
    """(column, what it is, histograms over all languages, histograms by language), in the order given."""
    columns = dict.fromkeys(data.column for data in histograms)
    found = []
    for column in columns:
        own = [data for data in histograms if data.column == column]
        about = next((data.about for data in own if data.about), "")
        by_language = [data for data in own if data.language is not None]
        found.append((column, about, [data for data in own if data.language is None], by_language))
    return found


def _examples(examples: Sequence[Example]) -> list[tuple[str, str, str, list[Example]]]:
    """(stage, rule, sentence, examples), neighbours of the same rule together."""
    groups = groupby(examples, key=lambda example: (example.stage, example.rule, example.sentence))
    return [(stage, rule, sentence, list(some)) for (stage, rule, sentence), some in groups]


def language_attribute(tag: str) -> Markup:
    """` lang="…"` where the tag has the form of one, so that a browser picks the right font; else nothing."""
    return Markup(' lang="{}"').format(tag) if _TAG.fullmatch(tag) else Markup("")


def format_count(value: int) -> str:
    """1,234,567."""
    return f"{value:,}"


def format_compact(value: int) -> str:
    """Three significant digits: 812, 12.4 k, 1.66 M, 2.1 G."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= limit:
            scaled = value / (1e3 if unit == "k" else limit)
            return f"{scaled:.3g}\u202f{unit}" if scaled < 999.5 else f"{scaled:,.0f}\u202f{unit}"
    return f"{value:,}"


def format_bytes(value: int) -> str:
    """Decimal units: 812 B, 11.6 MB."""
    size = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g}\u202f{unit}"
        size /= 1000
    return f"{size:,.3g}\u202fTB"


def format_share(value: float) -> str:
    """A share (0 to 1) in percent: 91.6%, 0.04%, and 100% or 0% only where it is exactly that."""
    percent = 100 * value
    if percent in (0, 100):
        return f"{percent:.0f}%"
    if percent < 0.1:
        return f"{percent:.2g}%"
    if 99.95 <= percent < 100:
        return ">99.9%"
    return f"{percent:.1f}%"


def format_difference(value: float | None) -> str:
    """A difference in bits per byte, with its sign: −0.0312, +0.0040; nothing where there is none."""
    return "" if value is None else f"{value:+z.4f}".replace("-", "\N{MINUS SIGN}")


def format_score(value: float) -> str:
    """A score as it is written in the record: up to 6 significant digits."""
    return f"{value:.6g}"
