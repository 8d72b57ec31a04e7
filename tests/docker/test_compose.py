"""The compose file: valid by the Compose Specification, and what it says of Ray, ports and rights.

No container engine starts it here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from curator.sizes import parse_size
from tests.docker.dockerfile import FOLDER, IMAGE, ROOT, arguments_of, run_linter

FILE = FOLDER / "compose.yaml"


def read() -> dict[str, Any]:
    return cast("dict[str, Any]", yaml.safe_load(FILE.read_text(encoding="utf-8")))


def services() -> dict[str, dict[str, Any]]:
    return cast("dict[str, dict[str, Any]]", read()["services"])


def check(path: Path) -> int:
    return run_linter("check-jsonschema", "--builtin-schema", "vendor.compose-spec", path).returncode


@pytest.mark.slow
def test_it_is_valid_by_the_schema_of_the_compose_specification() -> None:
    assert check(FILE) == 0


def test_the_schema_refuses_a_key_that_it_does_not_know(tmp_path: Path) -> None:
    spoilt = tmp_path / "compose.yaml"
    spoilt.write_text(FILE.read_text(encoding="utf-8").replace("read_only: true", "readonly: true"), encoding="utf-8")
    assert check(spoilt) != 0


def test_it_runs_and_builds_the_image_of_this_version() -> None:
    for service in services().values():
        assert service["image"] == IMAGE
        build = service["build"]
        assert (FOLDER / build["context"]).resolve() == ROOT
        assert (ROOT / build["dockerfile"]).is_file()


def test_ports_are_published_on_this_machine_alone() -> None:
    ports = [port for service in services().values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:8265:8265"]


def test_no_service_has_rights_that_it_does_not_need() -> None:
    for service in services().values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
        assert "user" not in service


def test_ray_asks_for_a_token_that_is_a_secret_and_no_value_of_it_is_here() -> None:
    for service in services().values():
        assert service["environment"]["RAY_AUTH_MODE"] == "token"
        assert service["environment"]["RAY_AUTH_TOKEN_PATH"] == f"/run/secrets/{service['secrets'][0]}"
    assert set(read()["secrets"]["ray-token"]) == {"file"}


def test_the_object_store_fits_into_shared_memory() -> None:
    for service in services().values():
        (store,) = [word for word in service["command"] if word.startswith("--object-store-memory=")]
        assert int(store.partition("=")[2]) < parse_size(service["shm_size"])


def test_workers_offer_the_cores_that_they_may_use_and_find_the_head() -> None:
    worker, head = services()["worker"], services()["head"]
    assert f"--num-cpus={worker['cpus']}" in worker["command"]
    (port,) = [word.partition("=")[2] for word in head["command"] if word.startswith("--port=")]
    assert f"--address=head:{port}" in worker["command"]
    assert worker["depends_on"] == {"head": {"condition": "service_healthy"}}
    assert arguments_of("HEALTHCHECK")


def test_what_is_written_goes_to_folders_that_the_image_has_for_it() -> None:
    owned = next(argument for argument in arguments_of("RUN", "base") if "install -d -o curator" in argument).split()
    for service in services().values():
        targets = {volume["target"]: volume for volume in service["volumes"]}
        assert targets["/input"]["read_only"] is True
        assert set(targets) - set(owned) == {"/tmp"}  # noqa: S108 - the folder for what is temporary, in the container
        assert service["environment"]["NUMBA_CACHE_DIR"].startswith("/runs/")


def test_every_variable_has_a_default_or_says_what_is_missing() -> None:
    used = re.findall(r"\$\{(\w+)(:[-?])?", FILE.read_text(encoding="utf-8"))
    assert {name for name, default in used if not default} == {"HOME"}
