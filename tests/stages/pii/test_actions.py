"""What becomes of personal data when the recipe says so, and that the key stays where it is."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curator.document import Batch
from curator.errors import UserError
from curator.run.manifest import load_manifest
from stages.pii.actions import MIN_KEY_BYTES, KeySource, hashed, normal
from stages.pii.detect import KINDS
from stages.pii.pseudonyms import PSEUDONYMISED
from stages.pii.stage import Pii, PiiParameters
from tests.runs import rows, run_stages, write_jsonl
from tests.stages.pii.helpers import batch

PHRASE = "correct horse battery staple 7291"
KEY = bytes(range(32))
TEXT = "Mail anna@example.org or +49 30 12345678, from 93.184.216.34 🙂."
ACTIONS = st.dictionaries(
    st.sampled_from(sorted(PSEUDONYMISED & set(KINDS))),
    st.sampled_from(["redact", "hash", "pseudonymise", "flag"]),
    max_size=6,
)


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PII_KEY", PHRASE)


def stage(**parameters: object) -> Pii:
    given = {"key": {"environment": "PII_KEY"}, **parameters}
    return Pii(PiiParameters.model_validate({name: value for name, value in given.items() if value is not None}))


def verdicts(made: Pii, documents: Batch) -> tuple[list[dict[str, object]], dict[int, str]]:
    found = made.decide(documents, made.annotate(documents), {})
    rows = [
        {name: row[name] for name in ("row", "action", "rule")} | {"kind": row["detail"]["kind"]}
        for row in found.table.to_pylist()
    ]
    return rows, dict(zip(found.edits["row"].to_pylist(), found.edits["text"].to_pylist(), strict=True))


def test_each_kind_has_the_action_of_the_recipe() -> None:
    rows, edits = verdicts(stage(actions={"email": "hash", "ip": "flag"}), batch([TEXT]))
    assert edits[0] == TEXT.replace("anna@example.org", hashed_of("anna@example.org")).replace(
        "+49 30 12345678", "[REDACTED_PHONE]"
    )
    assert [(row["action"], row["rule"], row["kind"]) for row in rows] == [
        ("edit", "pii.hash", "email"),
        ("edit", "pii.phone", "phone"),
        ("flag", "pii.flag", "ip"),
    ]


def hashed_of(value: str) -> str:
    return hashed("email", value, KeySource(environment="PII_KEY").read())


def test_a_document_with_a_kind_that_drops_is_dropped_once_and_not_edited() -> None:
    documents = batch([TEXT, "Server 93.184.216.34 and 151.101.1.69", "a@b.org"])
    rows, edits = verdicts(stage(actions={"ip": "drop"}, key=None), documents)
    assert [(row["row"], row["rule"]) for row in rows] == [(0, "pii.drop"), (1, "pii.drop"), (2, "pii.email")]
    assert list(edits) == [2]


def test_a_document_that_is_only_flagged_keeps_its_text() -> None:
    rows, edits = verdicts(stage(kinds=("email",), actions={"email": "flag"}, key=None), batch([TEXT]))
    assert [row["rule"] for row in rows] == ["pii.flag"]
    assert edits == {}


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"actions": {"email": "hash"}, "key": None}, "need `key`"),
        ({"actions": {"email": "drop"}}, "nothing would use it"),
        ({"kinds": ["email"], "actions": {"ip": "drop"}, "key": None}, "nothing would look for it"),
        ({"actions": {"credentials": "pseudonymise"}}, "no value is surely nobody's"),
        ({"actions": {"email": "encrypt"}}, "actions"),
        ({"actions": {"email": "hash"}, "key": {}}, "expected one of"),
        ({"actions": {"email": "hash"}, "key": {"environment": "A", "file": "b"}}, "expected one of"),
    ],
)
def test_actions_that_cannot_be_done_are_refused(parameters: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        stage(**parameters)


def test_a_hash_is_that_of_the_value_however_it_is_written() -> None:
    assert hashed("phone", "+49 30 12345678", KEY) == hashed("phone", "+49-30-12345678", KEY)
    assert hashed("email", "Anna@Example.org", KEY) == hashed("email", "anna@example.org", KEY)
    assert hashed("email", "anna@example.org", KEY) != hashed("email", "anna@example.net", KEY)
    assert hashed("email", "anna@example.org", KEY) != hashed("email", "anna@example.org", bytes(32))
    assert hashed("id", "1234567", KEY) != hashed("phone", "1234567", KEY).replace("PHONE", "ID")


def test_names_that_differ_in_their_blanks_are_the_same() -> None:
    assert normal("name", "Anna\u00a0 MILLER") == normal("name", "anna miller")


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "cannot be read"), (b"short\n", "has 5 bytes"), (b" " * 40, "has 0 bytes")],
)
def test_a_key_file_that_is_missing_or_short_is_a_problem_before_the_run(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "secret.key"
    if content is not None:
        path.write_bytes(content)
    requirement = KeySource(file=path).requirement()
    assert problem in (requirement.problem or "")
    assert str(tmp_path) not in repr(requirement)


def test_the_identity_of_a_key_differs_by_key_and_does_not_hold_it(tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.write_text(PHRASE + "\n")
    by_file, by_name = KeySource(file=path).requirement(), KeySource(environment="PII_KEY").requirement()
    assert by_file.identity == by_name.identity
    path.write_text("x" * MIN_KEY_BYTES)
    assert KeySource(file=path).requirement().identity not in ("", by_name.identity)
    assert PHRASE not in repr(by_name)
    assert KeySource(environment="PII_KEY").read().hex() not in by_name.identity


def test_a_run_without_its_key_is_refused_before_data_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PII_KEY")
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": TEXT}])
    with pytest.raises(UserError, match="key variable PII_KEY: is not set"):
        run_stages([source], tmp_path / "run", "pii: {actions: {email: hash}, key: {environment: PII_KEY}}")
    assert not list((tmp_path / "run").glob("shards/*"))


def test_the_key_is_nowhere_in_a_run(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": TEXT}] * 3)
    path = tmp_path / "secret.key"
    path.write_text(PHRASE)
    run_stages(
        [source], tmp_path / "run", f"pii: {{actions: {{email: hash, phone: pseudonymise}}, key: {{file: {path}}}}}"
    )
    derived = KeySource(file=path).read()
    secrets = (PHRASE.encode(), derived, derived.hex().encode(), b"anna@example.org", b"12345678")
    # Parquet is compressed: its rows are looked into besides.
    contents = [file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()]
    contents += [repr(rows(tmp_path / "run", kind)).encode() for kind in ("shards", "scores", "decisions", "failed")]
    assert [secret for secret in secrets for content in contents if secret in content] == []
    manifest = json.dumps(load_manifest(tmp_path / "run" / "manifest.json"))
    assert str(tmp_path) not in manifest
    assert "secret.key" in manifest


PIECES = st.sampled_from(
    [
        "a@b.org",
        "+49 30 12345678",
        "93.184.216.34",
        "Anna Miller",
        "4111 1111 1111 1111",
        "٠١٠",
        " ",
        "\n",
        "é",
        "🙂",
        "中",
    ]
)


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=10).map("".join), ACTIONS)
def test_text_outside_the_spans_is_untouched_whatever_the_actions(text: str, actions: dict[str, str]) -> None:
    keyed = {"hash", "pseudonymise"} & set(actions.values())
    made = stage(actions=actions, key={"environment": "PII_KEY"} if keyed else None)
    documents = batch([text])
    spans = made.annotate(documents)["pii.spans"][0].as_py()
    replaced = [span for span in spans if actions.get(span["kind"]) != "flag"]
    _, edits = verdicts(made, documents)
    assert bool(edits) == bool(replaced)
    if not edits:
        return
    rest = edits[0]
    ends = [0, *(span["end"] for span in replaced)]
    begins = [*(span["begin"] for span in replaced), len(text)]
    kept = [text[end:begin] for end, begin in itertools.zip_longest(ends, begins)]
    assert rest.startswith(kept[0])
    assert rest.endswith(kept[-1])
    for part in kept:
        assert part in rest
        rest = rest[rest.index(part) + len(part) :]
