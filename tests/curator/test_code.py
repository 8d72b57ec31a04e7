"""The files that are hashed as source."""

from __future__ import annotations

from pathlib import Path

from curator.code import files_below


def test_files_of_a_folder_are_in_the_order_of_their_paths_less_what_python_compiles(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    folder = tmp_path / "package"
    for name in ("b.py", "a/z.tsv", "a.py", "a/__pycache__/z.pyc", "__pycache__/b.pyc", "a/deep/.hidden", "B.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    elsewhere.mkdir()
    (elsewhere / "other.py").touch()
    (folder / "linked").symlink_to(elsewhere)
    (folder / "linked.py").symlink_to(elsewhere / "other.py")
    (folder / "nothing.py").symlink_to(elsewhere / "nothing.py")
    plain = sorted(
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.relative_to(folder).parts
    )
    names = [path.relative_to(folder).as_posix() for path in files_below(folder)]
    assert names == [path.relative_to(folder).as_posix() for path in plain]
    assert names == ["B.py", "a/deep/.hidden", "a/z.tsv", "a.py", "b.py", "linked.py"]


def test_what_is_no_folder_has_no_files(tmp_path: Path) -> None:
    (tmp_path / "archive.zip").touch()
    assert files_below(tmp_path / "archive.zip" / "package") == files_below(tmp_path / "missing") == []
