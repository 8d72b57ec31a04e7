"""What deduplication declares of its growth is what it does."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from curator.run.events import read_events
from curator.scaling import Quantities
from stages.dedup.scaling import scaling_of
from stages.dedup.stage import DedupParameters
from tests.runs import make_texts, run_stages, write_jsonl


def test_the_exchanges_are_those_of_a_run_with_their_bytes_and_partitions(tmp_path: Path) -> None:
    texts = make_texts(600)
    file = write_jsonl(tmp_path / "in.jsonl", texts)
    outcome = run_stages([file], tmp_path / "run", "dedup: {permutations: 128}")
    facts = cast("dict[str, float]", cast("dict[str, object]", outcome.manifest["facts"])["dedup"])
    events = [event for event in read_events(outcome.directory.events) if event["kind"] == "task.done"]
    counts = {f"dedup.{name}": count for name, count in facts.items()}
    given = Quantities(sum(len(text["text"]) for text in texts), 600, 1, 4, counts)
    for exchange in scaling_of(DedupParameters(permutations=128)).exchanges:
        emitted = [event for event in events if event["step"] == f"relate-dedup/{exchange.name}/emit"]
        handled = [event for event in events if event["step"] == f"relate-dedup/{exchange.name}/handle"]
        given = given.with_partitions(exchange.name, exchange.partitions(given))
        assert len(handled) == given.partitions[exchange.name], exchange.name
        sent = sum(cast("int", event["bytes"]) for event in emitted)
        declared = exchange.rows(given) * exchange.row_bytes
        if exchange.name == "verify":  # a pair counts once for each partition of bands in which it was found
            assert declared <= sent <= 2 * declared
            assert len(emitted) == exchange.sources(given)
        else:  # copies of a near-duplicate are counted as near, so there are a few rows less than that
            assert 0.98 * declared <= sent <= declared, exchange.name


def test_an_index_and_a_url_are_declared_where_parameters_ask_for_them() -> None:
    assert [exchange.name for exchange in scaling_of(DedupParameters()).exchanges] == ["exact", "bands", "verify"]
    with_url = scaling_of(DedupParameters(url_field="url", index=True))
    assert [exchange.name for exchange in with_url.exchanges] == ["url", "exact", "bands", "verify"]
    assert "index" in {need.name for need in with_url.needs}
