"""The store: transitions fenced and appended, events taken in once, migrations from each revision."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text

from curator.errors import Bug, TransientError, UserError
from serve.audit import Auditor
from serve.folds import RunFold
from serve.models import Run, RunRequest
from serve.states import Begin, CancelQueued, Launch, Lose, State, Succeed
from serve.store import Database
from serve.store.queries import Filter, events_after, waiting
from serve.store.runs import Ended, RunStore, Taken
from serve.store.shown import ShownRuns
from serve.store.tables import Base, EventRow, HistoryRow, RunRow
from tests.serve.databases import DATABASES, open_database

REQUEST = RunRequest(inputs=("/in",), output="x")


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with open_database(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def store(database: Database) -> RunStore:
    database.upgrade()
    return RunStore(database, Auditor(b"k" * 32))


def make_run(store: RunStore, owner: str = "me", **more: object) -> RunRow:
    with store.write() as writer:
        return writer.create(RunRequest.model_validate({**REQUEST.model_dump(), **more}), "web", "/out/x", owner)


def test_a_run_begins_in_the_queue_with_its_history(store: RunStore) -> None:
    run = make_run(store, labels={"team": "a"})
    found = store.details(run.id)
    assert found is not None
    assert (found.state, found.attempt, found.labels) == (State.QUEUED, 1, {"team": "a"})
    assert [(change.before, change.after, change.actor) for change in found.history] == [(None, "queued", "me")]


def test_a_terminal_state_is_never_left_and_history_says_how_it_was_reached(store: RunStore) -> None:
    run = make_run(store)
    with store.write() as writer:
        row = writer.session.get_one(RunRow, run.number)
        for transition in (Launch(), Begin(), Succeed()):
            assert writer.take(row, 1, transition)
        for rule in (Lose, Succeed, CancelQueued):
            assert not writer.take(row, 1, rule())
    found = store.details(run.id)
    assert found is not None
    assert [change.after for change in found.history] == ["queued", "starting", "running", "succeeded"]
    assert [change.version for change in found.history] == [1, 2, 3, 4]


def test_a_late_word_about_an_earlier_attempt_changes_nothing(store: RunStore) -> None:
    run = make_run(store)
    with store.write() as writer:
        row = writer.session.get_one(RunRow, run.number)
        writer.take(row, 1, Launch())
        writer.take(row, 1, Lose())
        writer.try_again(row, "again", "service", 0)
        assert not writer.take(row, 1, Succeed())
    found = store.find(run.id)
    assert found is not None
    assert (found.state, found.attempt) == (State.QUEUED, 2)


def test_another_attempt_needs_that_the_last_one_has_ended(store: RunStore) -> None:
    run = make_run(store)
    with store.write() as writer, pytest.raises(Bug):
        writer.try_again(writer.session.get_one(RunRow, run.number), "again", "service", 0)


def test_a_transaction_that_fails_leaves_nothing(store: RunStore) -> None:
    run = make_run(store)
    with pytest.raises(Bug), store.write() as writer:  # noqa: PT012 (the whole transaction fails)
        writer.take(writer.session.get_one(RunRow, run.number), 1, Launch())
        writer.take(writer.session.get_one(RunRow, run.number), 1, CancelQueued())
    found = store.details(run.id)
    assert found is not None
    assert len(found.history) == 1
    with store.database.read() as session:
        assert len(events_after(session, run.number, 0, 10)) == 1


def events(attempt: int, *seqs: int) -> list[dict[str, object]]:
    return [{"attempt": attempt, "seq": seq, "time": 1.0, "kind": "x", "n": seq} for seq in seqs]


def test_events_are_taken_in_once_however_often_they_are_read(store: RunStore) -> None:
    run = make_run(store)
    for piece, found in [("1", events(1, 1, 2)), ("1", events(1, 1, 2)), ("2", events(1, 2, 3)), ("3", events(2, 1))]:
        with store.write() as writer:
            writer.take_in([Taken(writer.session.get_one(RunRow, run.number), piece, found, RunFold())])
    with store.database.read() as session:
        rows = [(row.attempt, row.seq) for row in events_after(session, run.number, 0, 100) if row.origin == "run"]
    assert rows == [(1, 1), (1, 2), (1, 3), (2, 1)]


def test_a_directory_that_begins_anew_has_its_events_again(store: RunStore) -> None:
    run = make_run(store)
    with store.write() as writer:
        row = writer.session.get_one(RunRow, run.number)
        writer.take_in([Taken(row, "1", events(1, 1), RunFold())])
        writer.begin_anew(row)
        writer.take_in([Taken(row, "1", events(1, 1), RunFold())])
    with store.database.read() as session:
        assert [row.origin for row in events_after(session, run.number, 0, 9)] == ["service", "run", "run"]


def test_ids_of_events_grow_in_the_order_in_which_they_are_seen_whoever_writes(store: RunStore) -> None:
    runs = [make_run(store) for _ in range(3)]
    seen: list[int] = []

    def write(run: RunRow) -> None:
        for number in range(8):
            with store.write() as writer:
                row = writer.session.get_one(RunRow, run.number)
                writer.take_in([Taken(row, f"{number:03d}", events(1, number), RunFold())])

    threads = [threading.Thread(target=write, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with store.database.read() as session:
            found = session.scalars(select(EventRow.number).order_by(EventRow.number)).all()
        assert list(found[: len(seen)]) == seen  # nothing came in before what was there
        seen = list(found)
    for thread in threads:
        thread.join()
    with store.database.read() as session:
        assert len(session.scalars(select(EventRow.number)).all()) == 3 + 3 * 8


def test_listeners_hear_of_a_change_after_it_can_be_seen(store: RunStore) -> None:
    heard: list[str] = []

    def look(number: int) -> None:
        with store.database.read() as session:
            heard.append(session.get_one(RunRow, number).state)

    store.listeners.append(look)
    run = make_run(store)
    with store.write() as writer:
        writer.take(writer.session.get_one(RunRow, run.number), 1, Launch())
    assert heard == ["queued", "starting"]


def test_pages_of_runs_hold_each_run_once_while_more_are_made(store: RunStore) -> None:
    made = [make_run(store, owner="a" if number % 2 else "b").id for number in range(7)]
    shown = ShownRuns()
    seen: list[str] = []
    before: int | None = None
    while True:
        with store.database.look() as connection:
            page, before = shown.page(connection, Filter(), before, 3)
        seen += [Run.model_validate_json(text).id for text in page]
        make_run(store)
        if before is None:
            break
    assert seen == made[::-1]


def test_a_list_that_was_shown_before_shows_every_change(store: RunStore) -> None:
    shown = ShownRuns()
    run = make_run(store)

    def look() -> Run:
        with store.database.look() as connection:
            (text,), following = shown.page(connection, Filter(), None, 10)
            assert ([text], following) == ShownRuns().page(connection, Filter(), None, 10)
        return Run.model_validate_json(text)

    started: dict[str, object] = {"attempt": 1, "seq": 1, "time": 1.0, "kind": "run.started", "bytes": 7}
    seen = [look()]
    fold = RunFold()
    fold.add(started)
    for change in (
        lambda writer, row: writer.take(row, 1, Launch()),
        lambda writer, row: writer.take_in([Taken(row, "000001.jsonl", [started], fold)]),
        lambda writer, row: writer.take(row, 1, Lose(), ended=Ended(75, "Lost", "gone")),
        lambda writer, row: writer.try_again(row, "again", "service", 0),
        lambda writer, row: (writer.begin_anew(row), writer.take(row, 2, Launch())),
    ):
        with store.write() as writer:
            change(writer, writer.session.get_one(RunRow, run.number))
        assert look() not in seen
        seen.append(look())
    assert [found.progress.bytes_total for found in seen] == [0, 0, 7, 7, 7, 0]
    assert seen[3].message == "gone"


def test_filters_leave_what_was_asked_for(store: RunStore) -> None:
    first = make_run(store, owner="a", labels={"team": "x", "dump": "1"})
    second = make_run(store, owner="b", labels={"team": "x"})
    with store.write() as writer:
        writer.take(writer.session.get_one(RunRow, second.number), 1, CancelQueued())

    def found(**chosen: object) -> list[str]:
        with store.database.look() as connection:
            page = ShownRuns().page(connection, Filter(**chosen), None, 10)[0]  # type: ignore[arg-type]
        return [Run.model_validate_json(text).id for text in page]

    assert found(states=[State.CANCELLED]) == [second.id]
    assert found(labels=[("team", "x")]) == [second.id, first.id]
    assert found(labels=[("team", "x"), ("dump", "1")]) == [first.id]
    assert found(labels=[("team", "y"), ("team", "x")]) == []
    assert found(owner="a") == [first.id]
    assert found(created_after=second.created) == [second.id]
    assert found(created_before=second.created) == [first.id]


def test_of_each_owner_the_run_is_offered_that_is_to_be_next(store: RunStore) -> None:
    for _ in range(3):
        make_run(store, owner="a")
    urgent = make_run(store, owner="a", priority=5)
    make_run(store, owner="a", priority=5)
    first = make_run(store, owner="b")
    later = make_run(store, owner="c", priority=9)
    with store.write() as writer:
        writer.attempt_of(writer.session.get_one(RunRow, later.number)).not_before = 2e9
    with store.database.read() as session:
        found = {one.owner: one.run for one in waiting(session, 1e9)}
    assert found == {"a": urgent.number, "b": first.number}


def revisions(database: Database) -> set[str]:
    with database.engine.connect() as connection:
        return set(MigrationContext.configure(connection).get_current_heads())


def test_migrations_from_nothing_give_the_tables_of_the_code(database: Database) -> None:
    database.upgrade()
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_a_store_of_the_revision_before_keeps_its_runs(database: Database) -> None:
    database.upgrade("r0001")
    assert revisions(database) == {"r0001"}
    columns = {column["name"] for column in inspect(database.engine).get_columns("runs")}
    values = {name: "'{}'" if name in ("request", "labels", "progress", "counted") else "'1'" for name in columns}
    with database.engine.begin() as connection:
        connection.execute(text(f"INSERT INTO runs ({', '.join(values)}) VALUES ({', '.join(values.values())})"))  # noqa: S608 (names of our own columns)
    database.upgrade()
    database.upgrade()
    with database.read() as session:
        assert session.get_one(RunRow, 1).id == "1"
        assert session.scalars(select(HistoryRow)).all() == []


@pytest.mark.parametrize("url", ["", "mysql://x/y", "sqlite://", "sqlite:///:memory:", "nonsense", "oracle://x"])
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(UserError):
        Database(url)


def test_a_file_of_sqlite_and_its_journal_are_for_their_owner_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with open_database("sqlite", tmp_path) as database:
        database.upgrade()
        with database.write() as session:
            session.execute(text("SELECT 1"))
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes["service.db"] == 0o600
    assert modes["service.db-wal"] == 0o600
    assert set(modes.values()) == {0o600}


@pytest.mark.slow
def test_a_database_that_is_down_may_be_up_again_and_a_folder_is_none(tmp_path: Path) -> None:
    (tmp_path / "service.db").mkdir()
    for url, kind in (
        ("postgresql://nobody@127.0.0.1:9/nothing", TransientError),
        (f"sqlite:///{tmp_path}/service.db", UserError),
    ):
        database = Database(url)
        with pytest.raises(kind):
            database.upgrade()
        database.close()
