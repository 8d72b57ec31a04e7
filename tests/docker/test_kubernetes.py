"""The manifest of the service: valid by the schemas of Kubernetes, without rights, and true of this version and of the
cluster that it submits to.

No Kubernetes runs it here; the script of its first container is run for real.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.command import curator
from tests.docker.dockerfile import FOLDER, arguments_of
from tests.docker.test_kuberay import KUBERNETES
from tests.docker.test_kuberay import of_kind as of_cluster


def resources() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / "kubernetes" / "service.yaml").read_text(encoding="utf-8")))


def named(kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in resources() if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = named("StatefulSet", "curator-service")["spec"]["template"]["spec"]
    return spec


def serving() -> dict[str, Any]:
    (found,) = pod()["containers"]
    return dict(found)


def options() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word in serving()["command"][2:]:
        name, _, value = word.partition("=")
        found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("version", KUBERNETES)
def test_it_is_valid_by_the_schemas_of_kubernetes(version: str) -> None:
    assert [one["kind"] for one in resources()] == ["StatefulSet", "Service", "NetworkPolicy", "NetworkPolicy"]
    for resource in resources():
        kubernetes_validate.validate(resource, version, strict=True)


def test_containers_have_no_right_that_the_restricted_standard_forbids() -> None:
    head = of_cluster("RayCluster")["spec"]["headGroupSpec"]["template"]["spec"]
    assert pod()["securityContext"] == head["securityContext"]
    assert (pod()["serviceAccountName"], pod()["automountServiceAccountToken"]) == ("curator", False)
    for container in [*pod()["initContainers"], serving()]:
        assert container["securityContext"] == head["containers"][0]["securityContext"]
        assert container["image"] == "curator-service:0.1.0"


def test_it_serves_with_options_of_the_command_line_and_folders_that_are_mounted() -> None:
    assert serving()["command"][:2] == ["curator", "serve"]
    told = curator("serve", "--help").stdout
    assert set(options()) <= set(re.findall(r"(?<![\w-])--[a-z][\w-]*", told))
    mounts = {mount["mountPath"]: mount for mount in serving()["volumeMounts"]}
    for name in ("--input-root", "--output-root", "--state"):
        assert options()[name][0] in mounts
    assert mounts["/input"]["readOnly"] is True
    volumes = {volume["name"] for volume in pod()["volumes"]} | {"state"}
    for container in [*pod()["initContainers"], serving()]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_one_server_has_the_state_since_its_store_is_a_file_there() -> None:
    assert named("StatefulSet", "curator-service")["spec"]["replicas"] == 1
    assert "--store" not in options()


def test_runs_see_the_same_input_and_output_as_the_cluster_that_does_them() -> None:
    def claims(spec: dict[str, Any], container: dict[str, Any]) -> dict[str, str]:
        sources = {
            volume["name"]: volume.get("persistentVolumeClaim", {}).get("claimName") for volume in spec["volumes"]
        }
        paths = {mount["mountPath"]: sources.get(mount["name"]) for mount in container["volumeMounts"]}
        return {path: name for path, name in paths.items() if name}

    for group in of_cluster("RayCluster")["spec"]["workerGroupSpecs"]:
        worker = group["template"]["spec"]
        assert claims(pod(), serving()) == claims(worker, worker["containers"][0])


def test_the_cluster_is_that_of_the_manifest_by_its_service_and_its_token() -> None:
    cluster = of_cluster("RayCluster")["metadata"]
    assert options()["--ray-jobs"] == [f"http://{cluster['name']}-head-svc:8265"]
    assert cluster["namespace"] == named("StatefulSet", "curator-service")["metadata"]["namespace"]
    (token,) = [volume["secret"] for volume in pod()["volumes"] if volume["name"] == "ray-token"]
    assert token["secretName"] == cluster["name"]


def test_secrets_are_files() -> None:
    assert all("valueFrom" not in variable for variable in serving()["env"])
    assert not any(one["kind"] == "Secret" for one in resources()), "none stands in the repository"


def test_probes_ask_public_routes_under_a_name_that_is_served() -> None:
    for name, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        asked = serving()[name]["httpGet"]
        assert (asked["path"], asked["port"]) == (path, "http")
        assert asked["httpHeaders"] == [{"name": "Host", "value": "localhost"}]


def test_the_service_is_reached_by_pods_that_say_so_and_reaches_the_dashboard() -> None:
    labels = named("StatefulSet", "curator-service")["spec"]["template"]["metadata"]["labels"]
    assert named("Service", "curator-service")["spec"]["selector"] == labels
    policy = named("NetworkPolicy", "service")["spec"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert policy["ingress"][0]["ports"] == [{"protocol": "TCP", "port": 8000}]
    (to_head,) = named("NetworkPolicy", "ray-from-service")["spec"]["ingress"]
    assert to_head["from"] == [{"podSelector": {"matchLabels": labels}}]
    assert to_head["ports"] == [{"protocol": "TCP", "port": 8265}]


@pytest.mark.slow
def test_what_prepares_a_pod_makes_a_token_once_and_keeps_the_key_to_the_service(tmp_path: Path) -> None:
    given, keys, state = (tmp_path / name for name in ("secrets", "keys", "state"))
    for folder in (given, keys, state):
        folder.mkdir()
    (given / "audit-key").write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    (given / "audit-key").chmod(0o440)
    (program, *_) = pod()["initContainers"][0]["command"]
    assert any(f"docker/{program}" in argument for argument in arguments_of("COPY", "service"))

    def prepare() -> str:
        command = [str(FOLDER / program), str(given), str(keys), str(state)]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True)
        token = (state / "first-token").read_text()
        assert token.startswith("curator_")
        assert token.strip() not in done.stdout + done.stderr
        return token

    first = prepare()
    assert (state / "first-token").stat().st_mode & 0o077 == 0
    assert (keys / "audit-key").stat().st_mode & 0o077 == 0
    assert prepare() == first
    (state / "first-token").unlink()  # as where it was cut off before it was written
    assert prepare() != first
    done = curator("audit", "verify", "--state", state, "--audit-key", keys / "audit-key")
    assert done.returncode == 0, done.stderr
