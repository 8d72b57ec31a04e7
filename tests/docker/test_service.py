"""The service in docker/: its compose file, its start, and its health check against a real server. No container engine
starts it here."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from serve.store.database import parse_url
from tests.command import curator
from tests.docker.dockerfile import FOLDER, IMAGE, ROOT, arguments_of, run_linter
from tests.serve.servers import Command, make_settings

FILE = FOLDER / "compose.service.yaml"
CLUSTER = FOLDER / "compose.yaml"


def read(path: Path = FILE) -> dict[str, Any]:
    return cast("dict[str, Any]", yaml.safe_load(path.read_text(encoding="utf-8")))


def service() -> dict[str, Any]:
    return cast("dict[str, Any]", read()["services"]["service"])


def database() -> dict[str, Any]:
    return cast("dict[str, Any]", read()["services"]["database"])


def option(name: str) -> str:
    (found,) = [word for word in service()["command"] if word.startswith(f"--{name}=")]
    return str(found).partition("=")[2]


@pytest.mark.slow
def test_it_is_valid_by_the_schema_of_the_compose_specification() -> None:
    assert run_linter("check-jsonschema", "--builtin-schema", "vendor.compose-spec", FILE).returncode == 0


def test_it_goes_with_the_cluster_of_the_other_file() -> None:
    cluster = read(CLUSTER)
    assert read()["name"] == cluster["name"]
    head = cluster["services"]["head"]
    (port,) = [word.partition("=")[2] for word in head["command"] if word.startswith("--port=")]
    assert service()["environment"]["CURATOR_RAY_HEAD"] == f"head:{port}"
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "NUMBA_CACHE_DIR"):
        assert service()["environment"][name] == head["environment"][name]
    shared = {volume["target"]: volume for volume in head["volumes"]}
    own = {volume["target"]: volume for volume in service()["volumes"]}
    assert own["/input"] == shared["/input"]
    assert own["/runs"] == shared["/runs"]
    assert (option("input-root"), option("output-root")) == ("/input", "/runs")


def test_its_image_is_a_target_of_the_dockerfile_that_starts_it() -> None:
    build = service()["build"]
    assert service()["image"] == IMAGE.replace("curator:", "curator-service:")
    assert (FOLDER / build["context"]).resolve() == ROOT
    assert f"base AS {build['target']}" in arguments_of("FROM")
    assert service()["command"][0] == "serve"
    assert any(
        argument.endswith("docker/serve docker/prepare /usr/local/bin/") for argument in arguments_of("COPY", "service")
    )
    wheels = next(argument for argument in arguments_of("RUN", "service-wheels") if "pip wheel" in argument)
    assert '".[${EXTRAS},serve,postgresql]"' in wheels


def test_its_options_are_those_of_the_command() -> None:
    told = curator("serve", "--help").stdout
    given = {word.partition("=")[0] for word in service()["command"][1:]} | {"--ray"}
    assert given <= set(re.findall(r"(?<![\w-])--[a-z][\w-]*", told))


def test_it_is_published_on_this_machine_alone_and_its_store_reaches_nobody_else() -> None:
    assert service()["ports"] == ["127.0.0.1:8000:8000"]
    assert "ports" not in database()
    assert read()["networks"] == {"store": {"internal": True}}
    assert (service()["networks"], database()["networks"]) == (["default", "store"], ["store"])


def test_neither_has_rights_that_it_does_not_need() -> None:
    for each in (service(), database()):
        assert each["read_only"] is True
        assert each["cap_drop"] == ["ALL"]
        assert each["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in each
    assert "@sha256:" in database()["image"]
    assert database()["user"] == arguments_of("USER", "service")[-1]


def test_secrets_are_files_and_no_value_of_them_is_here() -> None:
    secrets = read()["secrets"]
    assert all(set(secret) == {"file"} for secret in secrets.values())
    assert set(service()["secrets"]) | set(database()["secrets"]) == set(secrets) | {"ray-token"}
    url = parse_url(option("store"))
    assert url.password is None
    assert (url.host, url.database) == ("database", database()["environment"]["POSTGRES_DB"])
    assert url.username == database()["environment"]["POSTGRES_USER"]
    (passfile,) = parse_qs(urlsplit(option("store")).query)["passfile"]
    assert passfile == "/run/secrets/database-passfile"
    assert option("audit-key") == "/run/secrets/audit-key"
    assert database()["environment"]["POSTGRES_PASSWORD_FILE"] == f"/run/secrets/{database()['secrets'][0]}"


def test_it_waits_for_what_it_needs_and_what_it_writes_has_a_place() -> None:
    assert set(service()["depends_on"]) == {"head", "database"}
    assert {need["condition"] for need in service()["depends_on"].values()} == {"service_healthy"}
    assert database()["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]
    owned = " ".join([*arguments_of("RUN", "base"), *arguments_of("RUN", "service")])
    for volume in service()["volumes"]:
        assert volume["target"] == "/tmp" or f" {volume['target']}" in owned  # noqa: S108 - in the container


def test_a_container_joins_the_cluster_before_it_serves(tmp_path: Path) -> None:
    for name in ("ray", "curator"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    alone = subprocess.run([FOLDER / "serve", "--port=1"], env=environment, capture_output=True, text=True, check=True)
    assert alone.stdout == "curator serve --port=1\n"
    joined = subprocess.run(
        [FOLDER / "serve", "--port=1"],
        env={**environment, "CURATOR_RAY_HEAD": "head:6379"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert joined.stdout.splitlines()[0].startswith("ray start --address=head:6379 --num-cpus=0")
    assert joined.stdout.splitlines()[1] == "curator serve --ray auto --port=1"


# As in a container, where only its own processes are seen: another test may have a Ray cluster.
ALONE = ("unshare", "--pid", "--fork", "--mount-proc")


def can_be_alone() -> bool:
    return shutil.which("unshare") is not None and not subprocess.run([*ALONE, "true"], capture_output=True).returncode


@pytest.mark.slow
@pytest.mark.skipif(not can_be_alone(), reason="process namespaces need root")
def test_the_health_check_asks_the_service_whether_it_can_work(tmp_path: Path) -> None:
    def is_healthy(**environment: str) -> bool:
        command = [*ALONE, str(FOLDER / "healthcheck"), "service"]
        return subprocess.run(command, env={"PATH": "/usr/bin:/bin", **environment}).returncode == 0

    server = Command(make_settings(tmp_path)).start()
    port = str(urlsplit(server.url).port)
    try:
        assert is_healthy(CURATOR_PORT=port)
    finally:
        code = server.stop()
    assert code == 0
    assert not is_healthy(CURATOR_PORT=port)
