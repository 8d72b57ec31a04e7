"""Tables that are kept on disk."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from importlib import import_module, util
from pathlib import Path
from types import FrameType, ModuleType

import numpy as np
import pytest

from curator.kernel import tables
from curator.kernel.files import folder_beside
from curator.kernel.function import Kernel
from curator.language.identifier import MODEL_PATH

MAKERS = (
    ("stages.pii.gazetteer", "gazetteer", ()),
    ("stages.toxicity.terms", "term_table", (2,)),
    ("stages.toxicity.disguises", "disguise_table", (2,)),
    ("curator.language.judge", "word_table", ()),
    ("curator.language.kernel", "load_prepared", (MODEL_PATH,)),
)

SOURCE = """
from pathlib import Path
import numpy as np
from curator.kernel.tables import kept

calls = []

@kept()
def lay_out(count, path=None):
    calls.append(count)
    constant = np.arange(3, dtype=np.uint8)
    constant.flags.writeable = False
    return {"numbers": np.arange(count) * 2, "constant": constant, "empty": np.zeros((0, 2)), "names": ("a", "b")}
"""


@pytest.fixture
def maker(tmp_path: Path) -> Callable[[], ModuleType]:
    """Loads a module that lays a table out, as a new process would."""
    source = tmp_path / "package" / "maker.py"
    source.parent.mkdir()
    source.write_text(SOURCE)

    def load() -> ModuleType:
        tables._hash.cache_clear()
        spec = util.spec_from_file_location("maker", source)
        assert spec is not None
        assert spec.loader is not None
        module = util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def _seen(value: object) -> object:
    """All of a table, so that it can be compared."""
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.flags.writeable, value.tobytes()
    if dataclasses.is_dataclass(value):
        return type(value), [_seen(getattr(value, entry.name)) for entry in dataclasses.fields(value)]
    if isinstance(value, dict):
        return {name: _seen(entry) for name, entry in value.items()}
    return (type(value), [_seen(entry) for entry in value]) if isinstance(value, tuple) else value


def _kept_files(module: ModuleType) -> list[Path]:
    return sorted(folder_beside(Path(str(module.__file__))).glob("*.table"))


def test_a_table_is_made_once_for_each_argument_and_is_the_same_when_read(maker: Callable[[], ModuleType]) -> None:
    first = maker()
    made = first.lay_out(4), first.lay_out(5)
    second = maker()
    read = second.lay_out(4), second.lay_out(5)
    assert (first.calls, second.calls) == ([4, 5], [])
    for before, after in zip(made, read, strict=True):
        assert _seen(after) == _seen(before)
        assert all(after[name].flags.aligned for name in ("numbers", "constant", "empty"))


def test_a_change_of_any_file_of_the_folder_has_it_made_anew(maker: Callable[[], ModuleType]) -> None:
    folder = Path(str(maker().__file__)).parent
    maker().lay_out(4)
    (folder / "list.tsv").write_text("a new list")
    changed = maker()
    changed.lay_out(4)
    assert changed.calls == [4]
    again = maker()
    again.lay_out(4)
    assert again.calls == []


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_a_damaged_file_is_as_if_it_were_not_there(maker: Callable[[], ModuleType], damage: bytes | None) -> None:
    first = maker()
    first.lay_out(4)
    (file,) = _kept_files(first)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if damage is None else damage)
    second = maker()
    assert _seen(second.lay_out(4)) == _seen(first.lay_out(4))
    assert second.calls == [4]
    assert file.read_bytes() == whole


def test_what_is_no_plain_value_is_not_kept() -> None:
    for value in (object(), Path(), {"a": {1, 2}}, np.array([None])):
        with pytest.raises(TypeError, match="a table that is kept has"):
            tables._pack(value, {})


def test_a_table_of_files_elsewhere_is_made_each_time(maker: Callable[[], ModuleType], tmp_path: Path) -> None:
    module = maker()
    for _ in range(2):
        module.lay_out(4, tmp_path / "list.tsv")
        module.lay_out(4, path=tmp_path / "list.tsv")
    assert module.calls == [4] * 4
    assert _kept_files(module) == []


def test_a_folder_that_cannot_be_written_changes_nothing(
    maker: Callable[[], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    module = maker()
    for _ in range(2):
        assert module.lay_out(4)["numbers"].tolist() == [0, 2, 4, 6]
    assert module.calls == [4, 4]


@pytest.mark.parametrize(("module", "name", "arguments"), MAKERS, ids=[name for _, name, _ in MAKERS])
def test_what_is_kept_is_what_is_made_by_files_that_are_hashed(
    module: str, name: str, arguments: tuple[object, ...]
) -> None:
    found = getattr(import_module(module), name)
    kept = found(*arguments)
    run: set[str] = set()

    def watch(frame: FrameType, _event: str, _argument: object) -> None:
        run.add(frame.f_code.co_filename)
        if frame.f_code is Kernel.__call__.__code__:
            run.add(frame.f_locals["self"].py_func.__code__.co_filename)

    make = found.__wrapped__.__wrapped__
    sys.setprofile(watch)
    try:
        made = make(*arguments)
    finally:
        sys.setprofile(None)
    assert _seen(kept) == _seen(made)
    source = Path(make.__code__.co_filename)
    hashed = (source.parent, *tables._OF_UNITS)
    root = Path(tables.__file__).parents[2]
    ours = {path for path in map(Path, run) if path.is_relative_to(root) and "site-packages" not in path.parts}
    assert source in ours
    opening = root / "curator" / "storage"  # shapes nothing that it reads
    others = {path for path in ours if not any(path.is_relative_to(place) for place in (*hashed, opening))}
    assert others == {Path(__file__)}
