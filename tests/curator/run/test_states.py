"""Fitted states come back from their files as they were, and damaged files are an error."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, scalar_dtypes, unicode_string_dtypes

from curator.run.states import load_state, write_state

NAMES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=6)
ARRAYS = arrays(scalar_dtypes() | unicode_string_dtypes(max_len=5), st.lists(st.integers(0, 3), max_size=3).map(tuple))


@pytest.mark.slow
@given(state=st.dictionaries(NAMES, ARRAYS, max_size=4), is_fortran=st.booleans())
def test_a_state_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, state: dict[str, np.ndarray], is_fortran: bool
) -> None:
    path = tmp_path_factory.mktemp("state") / "a.state"
    write_state(path, {name: array.copy("F" if is_fortran else "C") for name, array in state.items()})
    found = load_state(str(path))
    assert list(found) == list(state)
    for name, array in state.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()
        assert found[name].flags.aligned
        assert found[name].flags.writeable


@pytest.mark.parametrize("cut", [0, 1, 30, 100, -1, -64, -65])
def test_a_state_that_was_cut_short_is_an_error(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.state"
    write_state(path, {"a": np.arange(5), "b": np.ones((3, 4), dtype=np.float32)})
    whole = path.read_bytes()
    load_state(str(path))
    path.write_bytes(whole[:cut])
    with pytest.raises(ValueError):  # noqa: PT011 (NumPy says it in several ways)
        load_state(str(path))
    path.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="goes on behind its last array"):
        load_state(str(path))


def test_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        write_state(tmp_path / "a.state", {"a": np.array([None])})
