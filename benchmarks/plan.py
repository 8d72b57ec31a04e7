"""Hold what `curator plan` says against runs: estimate, measured, error.

    python benchmarks/plan.py CORPUS.jsonl[.zst]... [--grow 1000 3000] [--recipes web dedup] [--workers 2]

Each corpus is taken as it is; larger ones, of so many MB of text, are grown from the first (`grow_corpus.py`).
`dedup` is a recipe of that stage alone. The machine may be shared: CPU seconds are given as on the quiet core of the
rates (a probe tells how much slower a core was meanwhile), and the estimated wall time is that on the cores which other
work left free, so much slower.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from corpora import read_all
from measure import measure
from rates import on_quiet_core

from curator.estimate.estimate import Estimate, make_estimate
from curator.estimate.figures import Figures, figures_of
from curator.estimate.machines import Cluster, CorpusSize, Node
from curator.estimate.model import Question
from curator.estimate.rates import MB, load_rates
from curator.plan import make_plan
from curator.recipe import load_recipe
from curator.run.directory import RunDirectory
from curator.run.pipeline import make_pipeline

DEDUP = "name: dedup\nstages: [dedup]\n"
MEMORY_BYTES = 16_000_000_000


def main() -> None:
    """Print a table for each recipe and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path, nargs="+")
    parser.add_argument("--grow", type=int, nargs="+", default=[])
    parser.add_argument("--recipes", nargs="+", default=["web", "dedup"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where corpora and runs go; a temporary folder if not given")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        root = Path(folder)
        dedup = root / "dedup.yaml"
        dedup.write_text(DEDUP)
        asked = [(corpus, 0) for corpus in arguments.corpora]
        asked.extend((arguments.corpora[0], megabytes) for megabytes in arguments.grow)
        for source, megabytes in asked:
            corpus = plain_corpus(source, root / "corpus.jsonl", megabytes)
            for recipe in arguments.recipes:
                compare(str(dedup) if recipe == "dedup" else recipe, corpus, root / "run", arguments.workers)
            corpus.unlink()


def plain_corpus(source: Path, target: Path, megabytes: int) -> Path:
    """The corpus as plain JSONL, grown to so many MB of text (0: as it is)."""
    if megabytes == 0:
        target.write_bytes(read_all(source))
        return target
    grow = [sys.executable, str(Path(__file__).with_name("grow_corpus.py")), str(source), str(target)]
    subprocess.run([*grow, "--megabytes", str(megabytes)], check=True, stdout=subprocess.DEVNULL)
    return target


def compare(recipe: str, corpus: Path, output: Path, workers: int) -> None:
    """Run a recipe, and print what was estimated beside what it took."""
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, "-m", "curator", "process", str(corpus), "-o", str(output), "-r", recipe, "--json"]
    done = measure([*command, "--workers", str(workers)])
    if done.returncode:
        sys.exit(done.stderr)
    slowness = max(1.0, done.probe_ms / float(load_rates().measured["probe_ms"]))
    figures = on_quiet_core(figures_of(RunDirectory(output)), slowness)
    question = ask(recipe, corpus.stat().st_size, figures, workers)
    found = make_estimate(question)
    free = min(float(workers), done.free_cores)
    print(
        f"\n{Path(recipe).stem}, {figures.text_bytes / MB:,.0f} MB in {figures.documents:,.0f} documents, {workers} "
        f"workers: {done.cpu_s:.0f} CPU s in {done.wall_s:.0f} s, {done.free_cores:.2f} cores free, {slowness:.2f} "
        "times slower"
    )
    print(f"{'':32}{'estimate':>12}{'measured':>12}{'error':>8}")
    line("CPU s, all processes, as taken", found.cpu_s, done.cpu_s)
    line("CPU s, all, on a quiet core", found.cpu_s, done.cpu_s / slowness)
    line("CPU s, tasks", sum(phase.tasks_cpu_s + phase.single_cpu_s for phase in found.phases), figures.tasks_cpu_s)
    line("CPU s, driver", found.driver_cpu_s, sum(figures.driver.values()))
    line(f"wall s on {free:.2f} cores", slowness * wall_s(question, found, free), done.wall_s)
    for phase in found.phases:
        cpu_s = measured_cpu_s(phase.name, figures)
        if phase.name.split(" ")[0] in ("read", "relate", "write"):
            line(f"CPU s, {phase.name.split(' ')[0]}", phase.tasks_cpu_s + phase.single_cpu_s, cpu_s)
    exchanged = sum(size for step, size in figures.work.items() if step.endswith("/emit"))
    line("MB exchanged", found.exchange_bytes / MB, exchanged / MB)
    line("MB of work", found.work_bytes / MB, work_bytes(figures) / MB)
    for kind in sorted(figures.output):
        line(f"MB of {kind}", found.output_bytes[kind] / MB, figures.output[kind] / MB)
    line("MB of memory, driver", found.driver_bytes / MB, figures.driver_peak_bytes / MB)
    sys.stdout.flush()


def ask(recipe: str, input_bytes: int, figures: Figures, workers: int) -> Question:
    """What to estimate: the text and documents that the run had, on this machine."""
    rates = load_rates()
    pipeline = make_pipeline(load_recipe(recipe))
    corpus = CorpusSize(
        figures.text_bytes, figures.documents, input_bytes, input_bytes, 0.0, rates.id_bytes, "as measured"
    )
    cluster = Cluster((Node(1, workers, MEMORY_BYTES),))
    return Question(pipeline, make_plan(pipeline), corpus, cluster, rates.engine("local"), rates)


def wall_s(question: Question, found: Estimate, cores: float) -> float:
    """The estimated wall time on so many cores."""
    total = question.engine.start_s
    for phase in found.phases:
        workers = min(cores, max(1.0, phase.tasks)) * question.engine.efficiency
        total += max((phase.tasks_cpu_s + phase.driver_cpu_s) / workers, phase.driver_cpu_s) + phase.single_cpu_s
    return total


def measured_cpu_s(phase: str, figures: Figures) -> float:
    """CPU seconds of the tasks of `read`, `relate` or `write`."""
    kind = phase.split(" ")[0]
    prefixes = {"read": ("read", "ids/"), "relate": ("relate-",), "write": ("write",)}.get(kind, ())
    own = sum(cpu_s for step, cpu_s in figures.cpu.items() if step.startswith(prefixes))
    return own + sum(cpu_s for part, cpu_s in figures.parts.items() if kind == "read" and part.startswith("read/"))


def work_bytes(figures: Figures) -> float:
    """Bytes of all files of tasks, every pass of judge counted."""
    passes = figures.tasks["judge"] / figures.parts_read
    return sum(figures.work.values()) + figures.work["judge"] * (passes - 1)


def line(name: str, estimate: float, measured: float) -> None:
    """One line of the table."""
    error = f"{estimate / measured - 1:+.0%}" if measured else ""
    print(f"{name:32}{estimate:12,.1f}{measured:12,.1f}{error:>8}")


if __name__ == "__main__":
    main()
