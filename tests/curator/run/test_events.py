"""The event log."""

import json
from pathlib import Path

import pytest

from curator.run import events
from curator.run.events import Event, EventLog, read_events


def test_events_come_back_in_order_with_attempt_and_seq(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    log.emit("a", x=1)
    log.emit("b")
    log.flush()
    second = EventLog(tmp_path)
    second.emit("c")
    second.flush()
    found = [(event["attempt"], event["seq"], event["kind"]) for event in read_events(tmp_path)]
    assert found == [(1, 1, "a"), (1, 2, "b"), (2, 1, "c")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000001.jsonl", "000002.jsonl"]


def test_listeners_hear_at_once_and_pieces_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Event] = []
    log = EventLog(tmp_path, (heard.append,))
    log.emit("a")
    assert [event["kind"] for event in heard] == ["a"]
    assert read_events(tmp_path) == []
    monkeypatch.setattr(events, "PIECE_SECONDS", 0.0)
    log.tick()
    assert [event["kind"] for event in read_events(tmp_path)] == ["a"]


def test_a_piece_is_lines_of_json(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    log.emit("a", name="Ünï\n")
    log.flush()
    (line,) = (tmp_path / "000001.jsonl").read_text().splitlines()
    assert json.loads(line)["name"] == "Ünï\n"
