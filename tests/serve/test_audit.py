"""The audit log: sealed, chained, and readable with the key alone."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from curator.errors import DataError, UserError
from serve.audit import KEY_VARIABLE, Auditor, Head, head, load_key, open_auditor, parse_head
from serve.store import Database
from serve.store.tables import AuditRow

KEY = b"k" * 32


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/service.db")
    opened.upgrade()
    yield opened
    opened.close()


@pytest.fixture
def filled(database: Database) -> Database:
    auditor = Auditor(KEY)
    for number in range(5):
        with database.write() as session:
            auditor.append(session, f"user{number}", "run.submit", f"run{number}", None, {"secret": "swordfish"})
    return database


def test_entries_come_back_in_order(filled: Database) -> None:
    with filled.read() as session:
        found = list(Auditor(KEY).read(session))
    assert [(entry.number, entry.actor) for entry in found] == [(n + 1, f"user{n}") for n in range(5)]
    assert found[0].after == {"secret": "swordfish"}


def test_nothing_of_an_entry_can_be_read_in_the_file(filled: Database, tmp_path: Path) -> None:
    filled.close()
    data = b"".join(path.read_bytes() for path in tmp_path.glob("service.db*"))
    assert b"swordfish" not in data
    assert b"user1" not in data


def change(session: Session) -> None:
    row = session.get_one(AuditRow, 3)
    session.execute(update(AuditRow).where(AuditRow.number == 3).values(sealed=row.sealed[:-1] + b"x"))


def swap(session: Session) -> None:
    second, third = session.get_one(AuditRow, 2), session.get_one(AuditRow, 3)
    values = [(2, third.nonce, third.sealed), (3, second.nonce, second.sealed)]
    for number, nonce, sealed in values:
        session.execute(update(AuditRow).where(AuditRow.number == number).values(nonce=nonce, sealed=sealed))


def remove(session: Session) -> None:
    session.execute(delete(AuditRow).where(AuditRow.number == 3))


def renumber(session: Session) -> None:
    remove(session)
    for number in (4, 5):
        session.execute(update(AuditRow).where(AuditRow.number == number).values(number=number - 1))


def cut_the_beginning(session: Session) -> None:
    session.execute(delete(AuditRow).where(AuditRow.number == 1))


def rechain(session: Session) -> None:
    """As one who knows how digests are made, and has no key."""
    from serve.audit import FIRST, _digest

    previous = FIRST
    for number in range(1, 6):
        row = session.get_one(AuditRow, number)
        sealed = row.sealed[::-1] if number == 3 else row.sealed
        digest = _digest(number, previous, row.nonce, sealed)
        session.execute(update(AuditRow).where(AuditRow.number == number).values(sealed=sealed, digest=digest))
        previous = digest


@pytest.mark.parametrize("tamper", [change, swap, remove, renumber, cut_the_beginning, rechain])
def test_whatever_is_changed_shows(filled: Database, tamper: Callable[[Session], None]) -> None:
    with filled.write() as session:
        tamper(session)
    with filled.read() as session, pytest.raises(DataError):
        Auditor(KEY).verify(session)


def test_entries_that_are_cut_off_at_the_end_show_against_a_head_that_was_noted(filled: Database) -> None:
    with filled.read() as session:
        noted = Auditor(KEY).verify(session)
        assert Auditor(KEY).verify(session, parse_head(str(noted))) == noted
    with filled.write() as session:
        session.execute(delete(AuditRow).where(AuditRow.number == 5))
    with filled.read() as session:
        assert Auditor(KEY).verify(session).count == 4
        with pytest.raises(DataError):
            Auditor(KEY).verify(session, noted)


def test_another_key_opens_nothing(filled: Database) -> None:
    with filled.read() as session, pytest.raises(DataError, match="cannot be opened"):
        list(Auditor(b"x" * 32).read(session))


def test_a_log_that_was_begun_is_not_gone_on_with_without_its_key(
    filled: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    path = tmp_path / "lost.key"
    with pytest.raises(UserError, match="cannot be read"):
        open_auditor(filled, path)
    assert not path.exists()
    monkeypatch.setenv(KEY_VARIABLE, base64.b64encode(b"x" * 32).decode())
    with pytest.raises(UserError, match="has another key"):
        open_auditor(filled, path)
    monkeypatch.setenv(KEY_VARIABLE, base64.b64encode(KEY).decode())
    with filled.read() as session:
        assert open_auditor(filled, path).verify(session).count == 5


def test_a_log_that_was_not_begun_gets_a_key(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    for _ in range(2):
        auditor = open_auditor(database, tmp_path / "new.key")
    with database.read() as session:
        assert [entry.action for entry in auditor.read(session)] == ["log.begun"]
    with pytest.raises(UserError, match="cannot be read"):
        open_auditor(database, tmp_path / "misspelt.key")
    assert not (tmp_path / "misspelt.key").exists()
    assert [record.getMessage() for record in caplog.records if "key" in record.getMessage()] == [
        f"{tmp_path / 'new.key'}: a new key of the audit log; keep a copy"
    ]


def test_an_empty_log_is_whole(database: Database) -> None:
    with database.read() as session:
        assert Auditor(KEY).verify(session) == Head(0, "0" * 64) == head(session)


def test_a_key_is_made_once_and_is_the_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    path = tmp_path / "state" / "audit.key"
    key = load_key(path, create=True)
    assert load_key(path, create=True) == key
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(UserError, match="others may read"):
        load_key(path, create=False)


@pytest.mark.parametrize("text", ["", "short", "!" * 44, "a" * 100])
def test_a_key_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(KEY_VARIABLE, text)
    with pytest.raises(UserError):
        load_key(tmp_path / "k", create=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "3", "x:" + "0" * 64, "3:12"])
def test_a_head_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_head(text)
