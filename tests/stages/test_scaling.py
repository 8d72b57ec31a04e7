"""What the stages that answer through an exchange declare of their growth is what they do."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from curator.estimate.model import estimate_phases, unmeasured
from curator.registry import stage_class
from curator.run.events import read_events
from curator.scaling import Quantities
from tests.curator.estimate.questions import ask
from tests.runs import make_texts, run_stages, write_jsonl


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["boilerplate", "substrings"])
def test_the_exchange_is_that_of_a_run_with_its_bytes_and_partitions(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curator.scaling.PARTITION_BYTES", 4096)
    files = [write_jsonl(tmp_path / f"{seed}.jsonl", make_texts(200, seed=seed)) for seed in (1, 2)]
    outcome = run_stages(files, tmp_path / "run", f"{stage}: {{}}")
    tasks: Counter[str] = Counter()
    sent: Counter[str] = Counter()
    for event in read_events(outcome.directory.events):
        if event["kind"] == "task.done":
            tasks[cast("str", event["step"])] += 1
            sent[cast("str", event["step"])] += cast("int", event["bytes"])
    given = Quantities(1, 400, tasks["read"], 4, emitted=sent)
    scaling = stage_class(stage)(stage_class(stage).parameters_type()).scaling()
    (exchange,) = scaling.exchanges
    step = f"relate-{stage}/{exchange.name}"
    assert exchange.rows(given) * exchange.row_bytes == sent[f"{step}/emit"] > 0
    assert exchange.sources(given) == tasks[f"{step}/emit"]
    # Partitions are made for what is read, of which an anchor that is everywhere is sent a few times alone.
    assert 2 < exchange.partitions(given) <= tasks[f"{step}/handle"] <= 1.1 * exchange.partitions(given)


@pytest.mark.parametrize("stage", ["boilerplate", "substrings"])
def test_a_plan_tells_what_it_moves_and_what_its_rows_number(stage: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"name: one\nstages:\n  - {stage}\n")
    small, large = (ask(size, recipe=str(recipe)) for size in (1e9, 1e12))
    moved = [phase.exchange_bytes for phase in estimate_phases(small) if phase.name == f"relate {stage}"]
    rate = small.rates.work[f"relate-{stage}/{'counts' if stage == 'boilerplate' else 'meet'}/emit"]
    assert moved == [pytest.approx(rate.at(small.corpus.text_bytes, small.corpus.documents))]
    assert unmeasured(small) == []
    # Each part looks into every partition: a thousand times the text takes more than a thousand times as long.
    cpu_s = [
        next(phase.tasks_cpu_s for phase in estimate_phases(question) if phase.name == f"relate {stage}")
        for question in (small, large)
    ]
    assert cpu_s[1] > 1.2e3 * cpu_s[0]
