"""What tests of commands share."""

from __future__ import annotations

import pytest

from tests.curator.cli.scene import Scene, make_scene


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Made once: who harms it takes a copy."""
    return make_scene(tmp_path_factory.mktemp("commands"))
