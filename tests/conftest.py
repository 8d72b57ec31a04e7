"""What all tests share: a hypothesis profile without deadlines (a first call may compile a kernel), the same seed each
time; and an order in which two processes end together."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "curator", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("curator")

LONGEST = (
    "test_packaging.py",
    "test_kill.py",
    "test_readme.py",
    "test_submit.py",
    "test_ray_chaos.py",
    "test_ray_network.py",
    "test_poison.py",
    "test_ray_spilling.py",
    "test_ray.py",
    "test_calibrate.py",
    "test_forget.py",
    "test_page.py",
    "test_runs.py",
)
"""Files that take a minute or more: started last, one would leave a process alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the others keep their order."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))
