"""What tasks cost: it is in the events, and in nothing that a task leaves."""

from __future__ import annotations

import json
from pathlib import Path

from curator.run.clock import TaskClock
from curator.run.events import read_events
from curator.run.store import Outputs, committed
from tests.runs import make_texts, run_stages, write_jsonl


def _work() -> int:
    return sum(number * number for number in range(200_000))


def test_what_runs_inside_is_charged_to_its_part_and_to_the_whole() -> None:
    clock = TaskClock()
    for name in ("first", "second", "first"):
        with clock.charge(name):
            _work()
    _work()
    spent = clock.spent()
    assert spent.parts["first"] > spent.parts["second"] > 0
    assert spent.cpu_s > sum(spent.parts.values())


def test_a_commit_record_does_not_tell_what_its_task_cost(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path, "task")
    with outputs.clock.charge("stage"):
        _work()
    commit = outputs.commit({"rows": 1})
    assert commit.spent is not None
    assert json.loads((tmp_path / "task.json").read_bytes()) == {"files": {}, "result": {"rows": 1}}
    again = committed(tmp_path, "task")
    assert again is not None
    assert again.spent is None


def test_events_tell_cpu_seconds_by_stage_and_bytes_of_each_step(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "in.jsonl", make_texts(200))
    outcome = run_stages([file], tmp_path / "run", "dedup", "entropy", language=None)
    events = read_events(outcome.directory.events)
    done = {str(event["step"]): event for event in events if event["kind"] == "task.done"}
    assert {"read", "relate-dedup/bands/emit", "judge-1", "write"} <= done.keys()
    read = done["read"]
    assert isinstance(read["parts_cpu_s"], dict)
    assert {"dedup", "entropy"} <= read["parts_cpu_s"].keys()
    assert isinstance(read["cpu_s"], float)
    assert read["cpu_s"] >= sum(read["parts_cpu_s"].values())
    assert isinstance(read["bytes"], int)
    assert read["bytes"] > sum(len(text["text"]) for text in make_texts(200))
    ended = [event for event in events if event["kind"] == "phase.ended"]
    assert [event["index"] for event in ended] == list(range(len(ended)))
    assert ended[-1]["phase"] == "write"
    assert all(isinstance(event["driver_cpu_s"], float) for event in ended)
