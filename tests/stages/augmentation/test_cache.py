"""Translations on disk."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from curator.errors import UserError
from stages.augmentation.cache import TranslationCache


def test_what_was_added_is_found_and_nothing_else(tmp_path: Path) -> None:
    cache = TranslationCache(tmp_path / "cache", "model 1", "oc", "fr")
    texts = [f"text {number}" for number in range(1200)]
    cache.add({text: text.upper() for text in texts})
    again = TranslationCache(tmp_path / "cache", "model 1", "oc", "fr")
    assert again.find([*texts, "another"]) == {text: text.upper() for text in texts}


@pytest.mark.parametrize("other", [("model 2", "oc", "fr"), ("model 1", "fr", "oc"), ("model 1", "oc", "es")])
def test_another_model_or_pair_does_not_find_it(tmp_path: Path, other: tuple[str, str, str]) -> None:
    TranslationCache(tmp_path, "model 1", "oc", "fr").add({"a": "b"})
    assert TranslationCache(tmp_path, *other).find(["a"]) == {}


def test_the_first_translation_stands(tmp_path: Path) -> None:
    cache = TranslationCache(tmp_path, "model", "oc", "fr")
    cache.add({"a": "first"})
    cache.add({"a": "second"})
    assert cache.find(["a"]) == {"a": "first"}


def fill(folder: Path, number: int) -> None:
    cache = TranslationCache(folder, "model", "oc", "fr")
    for round_ in range(20):
        cache.add({f"{number} {round_}": "x", f"both {round_}": str(number)})


@pytest.mark.slow
def test_several_processes_write_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=fill, args=(tmp_path, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    wanted = [*(f"{number} {round_}" for number in range(3) for round_ in range(20)), *(f"both {n}" for n in range(20))]
    assert set(TranslationCache(tmp_path, "model", "oc", "fr").find(wanted)) == set(wanted)


def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    TranslationCache(tmp_path / "cache", "model", "oc", "fr")
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(UserError, match="the cache cannot be used"):
        TranslationCache(tmp_path / "cache", "model", "oc", "fr")


def test_a_file_in_a_folder_that_others_read_is_for_its_owner(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    TranslationCache(tmp_path, "model", "oc", "fr").add({"a": "b"})
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("beginning", [0, 4096])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, beginning: int) -> None:
    cache = TranslationCache(tmp_path, "model", "oc", "fr")
    cache.add({f"text {number}": "x" * 100 for number in range(1000)})
    (path,) = tmp_path.glob("*.sqlite")
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(beginning)
        file.write(b"\xa5" * (size - beginning))
    with pytest.raises(UserError, match=r"the cache cannot be used.*delete the file"):
        TranslationCache(tmp_path, "model", "oc", "fr").find(["text 1"])
