"""What all tests share: a hypothesis profile without deadlines (a first call may compile a kernel), the same seed each
time; and which process of several runs which tests, in an order in which they end together."""

import signal
from collections.abc import Generator, Iterator
from pathlib import PurePath
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from curator.collector import loading
from curator.run.phases import inputs

settings.register_profile(
    "curator", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("curator")

# A shell without job control starts what it puts into the background with Ctrl-C ignored, and children inherit that:
# the commands of tests that press it would never hear of it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ON_RAY = (
    "test_ray_spilling.py",
    "test_ray_train.py",
    "test_on_ray.py",
    "test_ray_network.py",
    "test_ray.py",
    "test_process_on_ray.py",
    "test_submit.py",
    "test_install.py",
    "test_ray_jobs.py",
    "test_ray_chaos.py",
)
"""Files that start Ray clusters, each of a dozen processes and more: two at once make each other wait for minutes.
Those that need no kernels stand first: in a fresh clone, others compile them meanwhile."""

LONGEST = (
    "test_packaging.py",
    "test_kill.py",
    "test_readme.py",
    "test_poison.py",
    "test_calibrate.py",
    "test_forget.py",
    "test_page.py",
    "test_runs.py",
)
"""Other files that take a minute or more: started last, one would leave a process alone at the end."""


class OneRayAtATime(LoadFileScheduling):  # type: ignore[misc]  # xdist leaves it without types
    """Gives files to processes whole, and those of ON_RAY to one."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "on Ray" if PurePath(file).name in ON_RAY else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """For `--dist=loadfile`, as `make test` has it."""
    return OneRayAtATime(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Set aside what is imported and collected, which each of the processes keeps until it ends: to look through it for
    cycles, meanwhile and at the end, took longer than to make it."""
    with loading():
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the others keep their order."""
    places = {name: place for place, name in enumerate((*ON_RAY, *LONGEST))}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(autouse=True, scope="session")
def part_for_each_file() -> Iterator[None]:
    """The small files of a test are parts of their own, as the large ones of a corpus are. Only runs in the process of
    the test are cut so; what is gathered elsewhere, `tests/curator/run/test_inputs.py` looks at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs, "LEAST_WEIGHT", 1 << 30)
        yield
