"""What the tests of the model share: a run, and a tokenizer of it. What they need is imported where it is used, since
tests of kernels run on machines without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from curator.tokenize import Tokenizer


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run of 200 documents in 2 shards of 7 row groups each."""
    from tests.model.corpora import make_documents, write_run

    return write_run(tmp_path_factory.mktemp("corpus") / "run", make_documents(200))


@pytest.fixture(scope="session")
def tokenizer(place: str) -> Tokenizer:
    from tests.model.corpora import tokenizer_of

    return tokenizer_of(place)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Models of a test are too small to be shared by threads, and other tests need the cores."""
    torch.set_num_threads(1)
