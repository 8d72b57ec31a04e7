"""The packaged sample through all seven stages: what was planted is found, and the record tells it."""

import collections
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from curator.run.directory import RunDirectory
from curator.run.verify import verify
from tests.curator.report.test_html import CHROMIUM, measure
from tests.runs import rows

SAMPLE = Path(__file__).parents[2] / "pipelines" / "sample"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("demo") / "run"
    inputs = sorted(str(path) for path in SAMPLE.glob("*.jsonl.zst"))
    command = [sys.executable, "-m", "curator", "process", *inputs, "-o", str(output), "-r", "demo", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="module")
def truth() -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = collections.defaultdict(list)
    for line in (SAMPLE / "truth.jsonl").read_text().splitlines():
        entry = json.loads(line)
        found[entry["kind"]].append(entry)
    return found


@pytest.fixture(scope="module")
def dropped(demo: Path) -> dict[str, str]:
    return {str(row["id"]): str(row["rule"]) for row in rows(demo, "decisions") if row["action"] == "drop"}


Truth = dict[str, list[dict[str, object]]]


def test_the_run_verifies(demo: Path) -> None:
    assert verify(RunDirectory(demo)).problems == []


def test_planted_exact_copies_are_dropped(truth: Truth, dropped: dict[str, str]) -> None:
    missed = [entry["id"] for entry in truth["exact"] if {str(entry["id"]), str(entry["of"])}.isdisjoint(dropped)]
    assert missed == []


def test_planted_near_copies_above_the_threshold_are_dropped(truth: Truth, dropped: dict[str, str]) -> None:
    similar = [entry for entry in truth["near"] if entry["detail"]["jaccard"] >= 0.87]  # type: ignore[index]
    found = [entry for entry in similar if not {str(entry["id"]), str(entry["of"])}.isdisjoint(dropped)]
    assert len(similar) >= 30
    assert len(found) >= 0.98 * len(similar)


def test_planted_noise_falls_and_damaged_text_is_repaired(demo: Path, truth: Truth, dropped: dict[str, str]) -> None:
    noise = [entry for entry in truth["noise"] if entry["detail"]["noise"] != "mojibake"]  # type: ignore[index]
    damaged = [entry for entry in truth["noise"] if entry["detail"]["noise"] == "mojibake"]  # type: ignore[index]
    fallen = [entry for entry in noise if str(entry["id"]) in dropped]
    assert len(fallen) >= 0.95 * len(noise)
    kept = {str(row["id"]): str(row["text"]) for row in rows(demo, "shards") if row["copy"] == 0}
    left = [entry for entry in damaged if str(entry["id"]) in kept]
    assert len(left) >= 0.8 * len(damaged)
    whole = [
        entry
        for entry in left
        if hashlib.sha256(kept[str(entry["id"])].encode()).hexdigest() == entry["detail"]["clean_sha256"]  # type: ignore[index]
    ]
    assert len(whole) >= 0.9 * len(left)


def test_planted_mail_addresses_cards_and_accounts_are_replaced(demo: Path, truth: Truth) -> None:
    texts: dict[str, str] = {}
    for row in rows(demo, "shards"):
        texts.setdefault(str(row["id"]).split("#")[0], str(row["text"]))
    wanted = {"email": "[REDACTED_EMAIL]", "card": "[REDACTED_CARD]", "iban": "[REDACTED_IBAN]"}
    found: collections.Counter[str] = collections.Counter()
    planted: collections.Counter[str] = collections.Counter()
    for entry in truth["pii"]:
        if str(entry["id"]) not in texts:
            continue
        kinds = {value["kind"] for value in entry["detail"]["values"]}  # type: ignore[index]
        for kind, placeholder in wanted.items():
            if kind in kinds:
                planted[kind] += 1
                found[kind] += placeholder in texts[str(entry["id"])]
    assert set(planted) == set(wanted)
    assert all(found[kind] >= 0.98 * planted[kind] for kind in wanted), (found, planted)


def test_the_record_holds_no_planted_value(demo: Path, truth: Truth) -> None:
    import zstandard

    originals: dict[str, str] = {}
    for path in SAMPLE.glob("*.jsonl.zst"):
        text = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().decode()
        for line in text.splitlines():
            record = json.loads(line)
            originals[record["id"]] = record["text"]
    secrets = [
        originals[str(entry["id"])][value["begin"] : value["end"]]
        for entry in truth["pii"]
        for value in entry["detail"]["values"]  # type: ignore[index]
        if value["kind"] in ("email", "card", "iban")
    ]
    assert len(secrets) > 150
    files = [demo / "report.html", demo / "manifest.json", *(demo / "events").iterdir()]
    record = "\n".join(path.read_text() for path in files) + json.dumps(rows(demo, "decisions"), default=str)
    assert [secret for secret in secrets if secret in record] == []


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_the_report_of_a_real_run_fits_a_phone(demo: Path, tmp_path: Path) -> None:
    found = measure((demo / "report.html").read_text(), 390, tmp_path)
    assert found.startswith("closed 390 opened 390 requests 0")
