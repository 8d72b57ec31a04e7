"""Measure the rates from which `curator plan` estimates, and write them to its data file.

    python benchmarks/rates.py [CORPUS.jsonl[.zst]] [--output curator/estimate/data/rates.json] [--workers 2]

Runs the recipe `web`, and one with the optional stages, on pieces of the corpus (built by `build_corpus.py` when none
is given): whole, a quarter, the short and the long documents, as a stream, and in many files, so that what a MB, a
document and a task cost can be told apart. CPU seconds come from the events of the runs and are fitted by non-negative
least squares on relative errors. Where other work shares the machine, a core is slower: a probe (`measure.probe_ms`)
tells by how much, and CPU seconds are those of a core as fast as at the best moment. `benchmarks/plan.py` holds the
estimate against runs.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import zstandard
from measure import Measured, measure, probe_ms
from operations import bytes_held, operation_costs, seconds
from pipeline import lines
from scipy.optimize import nnls

from curator.estimate.figures import Figures, figures_of
from curator.estimate.rates import MB, RATES_PATH, EngineCost, Rate, Rates, dump_rates
from curator.report.build import build_report
from curator.run.directory import RunDirectory
from curator.run.manifest import load_manifest

MANY_FILES = 400
QUARTER = 4
OPTIONAL = """name: optional
stages:
  - dedup
  - quality
  - boilerplate
  - substrings
"""
RAY = EngineCost(
    start_s=20.0,
    task_cpu_s=0.01,
    driver_task_s=0.001,
    efficiency=0.85,
    exchange="objects",
    origin="assumed, not measured: 20 s until the workers are ready, 10 ms a task of a worker and 1 ms of the driver",
)


PROBES = 500


@dataclass(frozen=True)
class Run:
    """One measured run: which piece of the corpus, the recipe, its figures and the CPU seconds of all processes, both
    as on a quiet core, and what it took in fact."""

    piece: str
    recipe: str
    figures: Figures
    cpu_s: float
    measured: Measured
    workers: int
    slowness: float


def main() -> None:
    """Measure, fit, write, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--output", type=Path, default=RATES_PATH)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    quiet_ms = min(probe_ms() for _ in range(PROBES))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        corpus = arguments.corpus or built_corpus(root)
        pieces = cut(lines(corpus), root)
        optional = root / "optional.yaml"
        optional.write_text(OPTIONAL)
        for recipe in ("web", str(optional)):  # compiles the kernels, which is counted nowhere
            curate(recipe, pieces["tiny"], root / f"warm-{Path(recipe).stem}", arguments.workers)
        runs = []
        for piece in ("whole", "quarter", "short", "long", "stream", "many"):
            runs.append(measured_run("web", piece, pieces[piece], root, arguments.workers, quiet_ms))
        for piece in ("quarter", "short", "long"):
            runs.append(measured_run(str(optional), piece, pieces[piece], root, arguments.workers, quiet_ms))
        slowness = min(probe_ms() for _ in range(20)) / quiet_ms
        costs = {name: cost / slowness if name.endswith("_s") else cost for name, cost in operation_costs().items()}
        constants = {**costs, **kept_costs(pieces["quarter"], root, arguments.workers)}
        constants["report_s"] = report_cost(root / "warm-web", root / "web-whole", slowness)
        ids = np.mean([len(str(json.loads(line).get("id") or "").encode()) for line in lines(corpus)])
        rates = fit(runs, constants, float(ids), quiet_ms)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(dump_rates(rates))
    print(f"\nwrote {arguments.output}")


def built_corpus(root: Path) -> Path:
    """A corpus of 100 MB from packages."""
    corpus = root / "corpus.jsonl.zst"
    command = [sys.executable, str(Path(__file__).with_name("build_corpus.py")), str(corpus), "--megabytes", "100"]
    subprocess.run(command, check=True)
    return corpus


def cut(records: Sequence[bytes], root: Path) -> dict[str, list[Path]]:
    """The pieces of the corpus, each as files."""
    sizes = np.array([len(record) for record in records])
    by_length = np.argsort(sizes, kind="stable")
    half = int(np.searchsorted(np.cumsum(sizes[by_length]), sizes.sum() / 2))
    quarter = records[: int(np.searchsorted(np.cumsum(sizes), sizes.sum() / QUARTER))]
    short, long = (np.sort(rows) for rows in (by_length[:half], by_length[half:]))
    pieces = {
        "whole": [write(root / "whole.jsonl", records)],
        "quarter": [write(root / "quarter.jsonl", quarter)],
        "short": [write(root / "short.jsonl", [records[row] for row in short.tolist()])],
        "long": [write(root / "long.jsonl", [records[row] for row in long.tolist()])],
        "tiny": [write(root / "tiny.jsonl", records[:2000])],
    }
    stream = root / "stream.jsonl.zst"
    stream.write_bytes(zstandard.ZstdCompressor().compress(pieces["whole"][0].read_bytes()))
    pieces["stream"] = [stream]
    (root / "many").mkdir()
    each = -(-len(quarter) // MANY_FILES)
    pieces["many"] = [
        write(root / "many" / f"{begin:06d}.jsonl", quarter[begin : begin + each])
        for begin in range(0, len(quarter), each)
    ]
    return pieces


def write(path: Path, records: Iterable[bytes]) -> Path:
    """Lines as a file."""
    path.write_bytes(b"".join(record + b"\n" for record in records))
    return path


def curate(recipe: str, inputs: Sequence[Path], output: Path, workers: int, *options: str) -> Measured:
    """One `curator process`; ends the benchmark when it fails."""
    given = [str(path) for path in inputs] if len(inputs) == 1 else [str(inputs[0].parent)]
    command = [sys.executable, "-m", "curator", "process", *given, "-o", str(output), "-r", recipe, *options]
    done = measure([*command, "--workers", str(workers), "--json"])
    if done.returncode:
        sys.exit(done.stderr)
    return done


def measured_run(recipe: str, piece: str, inputs: Sequence[Path], root: Path, workers: int, quiet_ms: float) -> Run:
    """Run a recipe on a piece, and say what it took."""
    output = root / f"{Path(recipe).stem}-{piece}"
    done = curate(recipe, inputs, output, workers)
    slowness = max(1.0, done.probe_ms / quiet_ms)
    figures = on_quiet_core(figures_of(RunDirectory(output)), slowness)
    print(
        f"{Path(recipe).stem:9}{piece:9}{figures.text_bytes / MB:7.1f} MB {figures.documents:7.0f} documents "
        f"{figures.parts_read:4.0f} tasks: {done.cpu_s / slowness:6.1f} CPU s in all, {figures.tasks_cpu_s:6.1f} in "
        f"tasks, {sum(figures.driver.values()):5.1f} in the driver; {done.wall_s:6.1f} s, {done.free_cores:.2f} cores "
        f"free, {slowness:.2f} times slower",
        flush=True,
    )
    return Run(piece, Path(recipe).stem, figures, done.cpu_s / slowness, done, workers, slowness)


def on_quiet_core(figures: Figures, slowness: float) -> Figures:
    """Figures with the CPU seconds of a core that nobody else slows down."""
    tables = (figures.cpu, figures.parts, figures.driver)
    cpu, parts, driver = ({key: cpu_s / slowness for key, cpu_s in table.items()} for table in tables)
    return replace(figures, cpu=cpu, parts=parts, driver=driver)


def kept_costs(inputs: Sequence[Path], root: Path, workers: int) -> dict[str, float]:
    """What commit records take in memory, and the files of a part, from a run that keeps its work."""
    output = root / "kept"
    curate("web", inputs, output, workers, "--keep-work")
    texts = [path.read_bytes() for path in sorted((output / "work" / "read").glob("*.json"))]
    files = sum(1 for path in (output / "work").rglob("*") if path.is_file())
    held = bytes_held(lambda: [json.loads(text) for text in texts])
    return {"commit_bytes": held / len(texts), "files_per_part": files / len(texts)}


def report_cost(small: Path, large: Path, slowness: float) -> float:
    """CPU seconds of the report for a document: what a large run's takes more than a small one's."""
    taken, documents = [], []
    for output in (small, large):
        directory = RunDirectory(output)
        manifest = load_manifest(directory.manifest)
        taken.append(seconds(partial(build_report, directory, manifest)))
        documents.append(figures_of(directory).documents)
    return max(0.0, (taken[1] - taken[0]) / (documents[1] - documents[0])) / slowness


def fit(runs: Sequence[Run], constants: dict[str, float], id_bytes: float, quiet_ms: float) -> Rates:
    """Rates from runs: common keys from the recipe `web`, those of optional stages from the other."""
    web = [run for run in runs if run.recipe == "web"]
    optional = [run for run in runs if run.recipe != "web"]
    whole = next(run for run in web if run.piece == "whole")
    tables = {}
    for name in ("cpu", "parts", "work", "output"):
        tables[name] = {**fit_table(optional, name, fit_linear), **fit_table(web, name, fit_linear)}
    report_s = constants["report_s"]
    how = partial(fit_driver, report_s)
    driver = {**fit_table(optional, "driver", how), **fit_table(web, "driver", how)}
    figures = whole.figures
    facts = {**facts_of(optional[0].figures), **facts_of(figures)}
    return Rates(
        measured=described(whole.workers, quiet_ms),
        cpu=tables["cpu"],
        parts=tables["parts"],
        driver=driver,
        work=tables["work"],
        output=tables["output"],
        facts=facts,
        parameters={**optional[0].figures.parameters, **figures.parameters},
        constants=constants,
        engines={"local": fit_engine(web), "ray": RAY},
        document_bytes=figures.text_bytes / figures.documents,
        input_bytes_per_text_byte=figures.input_bytes / figures.text_bytes,
        id_bytes=id_bytes,
        kept_share=figures.kept_bytes / figures.text_bytes,
        driver_peak_bytes=float(max(run.figures.driver_peak_bytes for run in web)),
    )


def facts_of(figures: Figures) -> dict[str, float]:
    """The counts of a run for each document."""
    return {name: count / figures.documents for name, count in figures.facts.items()}


def described(workers: int, quiet_ms: float) -> dict[str, str]:
    """When, with what, and on what kind of machine; no names of machines."""
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} shared cores, {cpu_model()}",
        "workers": str(workers),
        "probe_ms": f"{quiet_ms:.2f}",
        "corpus": "100 MB of help pages, handbooks and declarations in about 40 languages, 15% planted duplicates",
        "curator": version("curator-corpora"),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "pyarrow": version("pyarrow"),
        "numba": version("numba"),
        "command": "python benchmarks/rates.py",
    }


def cpu_model() -> str:
    """The processor as the kernel names it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "processor not named"


Fit = Callable[[str, Sequence[Figures], Sequence[float]], Rate]


def fit_table(runs: Sequence[Run], name: str, how: Fit) -> dict[str, Rate]:
    """A rate for each key that any of the runs has."""
    figures = [run.figures for run in runs]
    keys = sorted({key for found in figures for key in getattr(found, name)})
    return {key: how(key, figures, [getattr(found, name).get(key, 0.0) for found in figures]) for key in keys}


def fit_linear(key: str, figures: Sequence[Figures], amounts: Sequence[float]) -> Rate:
    """By MB, by document and by task; what is fitted once a run is fixed. A cost by task is told from one by MB only
    where a run has many tasks for its MB."""
    if key.startswith("fit/"):
        return Rate(fixed=float(np.median(amounts)))
    columns = np.array([[found.text_bytes / MB, found.documents, found.parts_read] for found in figures])
    if max(columns[:, 2]) < MANY_FILES / 2:
        per_mb, per_document = solve(columns[:, :2], amounts)
        return Rate(per_mb=per_mb, per_document=per_document)
    per_mb, per_document, per_task = solve(columns, amounts)
    return Rate(per_mb=per_mb, per_document=per_document, per_task=per_task)


def fit_driver(report_s: float, key: str, figures: Sequence[Figures], amounts: Sequence[float]) -> Rate:
    """Once a run and by task; reading a stream by MB as well. The report, which is measured by itself, by document."""
    stream = [found.stream_bytes / MB if key == "read" else 0.0 for found in figures]
    per_document = report_s if key == "write" else 0.0
    rest = [max(0.0, amount - per_document * found.documents) for amount, found in zip(amounts, figures, strict=True)]
    columns = np.column_stack([np.ones(len(figures)), [found.parts_read for found in figures], stream])
    fixed, per_task, per_stream_mb = solve(columns, rest)
    return Rate(fixed=fixed, per_task=per_task, per_stream_mb=per_stream_mb, per_document=per_document)


def fit_engine(runs: Sequence[Run]) -> EngineCost:
    """What all processes took beside tasks and phases of the driver: once a run, and by task. The share of a core that
    tasks get is what they took of the cores that were free after the start, in the run with most of them."""
    rest = [run.cpu_s - run.figures.tasks_cpu_s - sum(run.figures.driver.values()) for run in runs]
    tasks = [sum(run.figures.tasks.values()) for run in runs]
    start_s, task_cpu_s = solve(np.column_stack([np.ones(len(runs)), tasks]), rest)
    freest = max(runs, key=lambda run: run.measured.free_cores)
    work = freest.slowness * (freest.figures.tasks_cpu_s + sum(freest.figures.driver.values()))
    cores = min(freest.workers, freest.measured.free_cores)
    efficiency = min(1.0, work / (cores * (freest.measured.wall_s - freest.slowness * start_s)))
    return EngineCost(
        start_s,
        task_cpu_s,
        0.0,
        efficiency,
        "files",
        "measured with the rates; what the driver does for a task is in its rates",
    )


def solve(columns: np.ndarray[tuple[int, int], np.dtype[np.float64]], amounts: Sequence[float]) -> list[float]:
    """Non-negative least squares on relative errors; amounts of 0 weigh nothing."""
    wanted = np.array(amounts, dtype=np.float64)
    weights = np.divide(1.0, wanted, out=np.zeros_like(wanted), where=wanted > 0)
    scale = np.where(columns.any(axis=0), np.abs(columns).max(axis=0), 1.0)
    found, _ = nnls(columns / scale * weights[:, None], wanted * weights)
    return [float(value) for value in found / scale]


if __name__ == "__main__":
    main()
