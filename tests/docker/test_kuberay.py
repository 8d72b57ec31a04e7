"""The manifests: valid by the schemas of Kubernetes and by ours of KubeRay, without rights, and true of this version.

No cluster runs them here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from curator.sizes import parse_size
from tests.command import curator
from tests.docker.dockerfile import FOLDER, IMAGE, arguments_of, read_constraints
from tests.docker.kuberay import SCHEMAS

KUBERNETES = ("1.31", "1.34", "1.37")
"""The oldest, a middle and the newest version that is checked."""
FILES = sorted((FOLDER / "kuberay").glob("*.yaml"))


def resources() -> list[dict[str, Any]]:
    return [found for path in FILES for found in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = [resource for resource in resources() if resource["kind"] == kind]
    return found


def cluster() -> dict[str, Any]:
    spec: dict[str, Any] = of_kind("RayCluster")["spec"]
    return spec


def groups() -> Iterator[dict[str, Any]]:
    yield cluster()["headGroupSpec"]
    yield from cluster()["workerGroupSpecs"]


def pod_of(group: dict[str, Any]) -> dict[str, Any]:
    """The pod of a group as a resource of its own, for the schemas of Kubernetes."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ray"}, "spec": group["template"]["spec"]}


@pytest.mark.parametrize("version", KUBERNETES)
def test_what_is_of_kubernetes_is_valid_by_its_schemas(version: str) -> None:
    plain = [resource for resource in resources() if resource["kind"] not in SCHEMAS]
    assert {"Namespace", "ServiceAccount", "PersistentVolumeClaim", "NetworkPolicy"} == {one["kind"] for one in plain}
    for resource in [*plain, *map(pod_of, groups())]:
        kubernetes_validate.validate(resource, version, strict=True)


def test_the_schemas_of_kubernetes_refuse_a_field_that_they_do_not_know() -> None:
    pod = pod_of(cluster()["headGroupSpec"])
    pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFileSystem"] = True
    with pytest.raises(kubernetes_validate.ValidationError, match="readOnlyRootFileSystem"):
        kubernetes_validate.validate(pod, KUBERNETES[-1], strict=True)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_what_is_of_kuberay_has_the_fields_and_types_of_its_reference(kind: str) -> None:
    jsonschema.validate(of_kind(kind), SCHEMAS[kind])


def test_a_number_where_kuberay_takes_a_string_is_refused() -> None:
    spoilt = deepcopy(of_kind("RayCluster"))
    spoilt["spec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] = 0
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(spoilt, SCHEMAS["RayCluster"])


def test_the_cluster_of_a_job_is_that_of_the_cluster_manifest() -> None:
    assert of_kind("RayJob")["spec"]["rayClusterSpec"] == cluster()


def test_ray_is_the_version_of_the_constraints_and_the_image_that_of_this_project() -> None:
    assert cluster()["rayVersion"] == read_constraints()["ray"]
    images = [container["image"] for group in groups() for container in group["template"]["spec"]["containers"]]
    assert images == [IMAGE, IMAGE]


def test_pods_have_no_right_that_the_restricted_standard_forbids() -> None:
    (user,) = set(arguments_of("USER", "base"))
    for group in groups():
        spec = group["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert f"{spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}" == user
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
    assert of_kind("Namespace")["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}


def test_pods_carry_no_token_of_the_cluster() -> None:
    account = of_kind("ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    for group in groups():
        assert group["template"]["spec"]["automountServiceAccountToken"] is False
        assert group["template"]["spec"]["serviceAccountName"] == account["metadata"]["name"]


def test_the_dashboard_asks_for_a_token_and_is_reached_from_nowhere_but_the_operator() -> None:
    assert cluster()["authOptions"] == {"mode": "token"}
    assert cluster()["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert cluster()["headGroupSpec"]["enableIngress"] is False
    peers, operator = of_kind("NetworkPolicy")["spec"]["ingress"]
    assert peers == {"from": [{"podSelector": of_kind("NetworkPolicy")["spec"]["podSelector"]}]}
    assert operator["ports"] == [{"protocol": "TCP", "port": 8265}]


def test_every_claim_that_a_pod_mounts_is_made_and_the_input_is_read_only() -> None:
    claims = {found["metadata"]["name"] for found in resources() if found["kind"] == "PersistentVolumeClaim"}
    for group in groups():
        spec = group["template"]["spec"]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        mounts = {mount["name"]: mount for mount in spec["containers"][0]["volumeMounts"]}
        assert set(mounts) == set(volumes)
        sources = [volume["persistentVolumeClaim"] for volume in volumes.values() if "persistentVolumeClaim" in volume]
        assert {source["claimName"] for source in sources} == claims
        assert mounts["input"]["readOnly"] is True


def test_ray_gives_out_the_cores_of_a_pod_and_its_store_fits_into_shared_memory() -> None:
    for group in groups():
        spec, start = group["template"]["spec"], group["rayStartParams"]
        limits = spec["containers"][0]["resources"]["limits"]
        assert start["num-cpus"] in ("0", limits["cpu"])
        (shared,) = [volume["emptyDir"] for volume in spec["volumes"] if volume["name"] == "shared-memory"]
        assert int(start["object-store-memory"]) < parse_size(shared["sizeLimit"])
        assert parse_size(shared["sizeLimit"]) < parse_size(limits["memory"])


@pytest.mark.slow
def test_the_entrypoint_is_a_command_of_curator_and_leaves_its_worker_cpus() -> None:
    job = of_kind("RayJob")["spec"]
    program, command, *rest = shlex.split(job["entrypoint"])
    assert program == "curator"
    told = curator(command, "--help").stdout
    assert {word for word in rest if word.startswith("-")} <= set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", told))
    assert curator("recipe", "validate", rest[rest.index("-r") + 1]).returncode == 0
    worker = cluster()["workerGroupSpecs"][0]
    assert job["entrypointNumCpus"] < int(worker["rayStartParams"]["num-cpus"]), "the driver leaves CPUs to its tasks"
    mounted = {mount["mountPath"] for mount in worker["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert {rest[0], "/" + rest[rest.index("-o") + 1].split("/")[1]} <= mounted
