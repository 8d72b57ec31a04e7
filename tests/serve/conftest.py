"""Servers that several tests of a file share, where none of them changes what others look at."""

from collections.abc import Iterator

import pytest

from tests.serve.servers import Running, make_settings, running


@pytest.fixture(scope="module")
def resting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose runner rests."""
    with running(make_settings(tmp_path_factory.mktemp("resting")), work=False) as server:
        yield server


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that works on runs."""
    with running(make_settings(tmp_path_factory.mktemp("working"))) as server:
        yield server
