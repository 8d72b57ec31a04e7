"""A schema of what the manifests use of KubeRay's resources.

No package of PyPI, npm or Debian carries the definitions of KubeRay, so the fields that stand in docker/kuberay/ are
written down here, with their types, from the API reference of KubeRay (ray.io/v1: RayClusterSpec, HeadGroupSpec,
WorkerGroupSpec, RayJobSpec, AuthOptions). A field that is not here is refused: a new one has to be looked up first. Pod
templates are left to the schemas of Kubernetes.
"""

from __future__ import annotations

from typing import Any

_PARAMETERS = {"type": "object", "additionalProperties": {"type": "string"}}
"""Flags of `ray start`: the resource takes strings alone."""


def _closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_CLUSTER = _closed(
    {
        "rayVersion": {"type": "string"},
        "authOptions": _closed({"mode": {"enum": ["disabled", "token"]}}),
        "headGroupSpec": _closed(
            {
                "serviceType": {"enum": ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]},
                "enableIngress": {"type": "boolean"},
                "rayStartParams": _PARAMETERS,
                "template": {"type": "object"},
            },
            "template",
        ),
        "workerGroupSpecs": {
            "type": "array",
            "items": _closed(
                {
                    "groupName": {"type": "string"},
                    "replicas": {"type": "integer", "minimum": 0},
                    "minReplicas": {"type": "integer", "minimum": 0},
                    "maxReplicas": {"type": "integer", "minimum": 0},
                    "rayStartParams": _PARAMETERS,
                    "template": {"type": "object"},
                },
                "groupName",
                "minReplicas",
                "maxReplicas",
                "template",
            ),
        },
    },
    "headGroupSpec",
)

_JOB = _closed(
    {
        "submissionMode": {"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
        "entrypoint": {"type": "string"},
        "entrypointNumCpus": {"type": "number", "exclusiveMinimum": 0},
        "backoffLimit": {"type": "integer", "minimum": 0},
        "shutdownAfterJobFinishes": {"type": "boolean"},
        "ttlSecondsAfterFinished": {"type": "integer", "minimum": 0},
        "rayClusterSpec": _CLUSTER,
    },
    "entrypoint",
    "rayClusterSpec",
)

_METADATA = _closed(
    {"name": {"type": "string"}, "generateName": {"type": "string"}, "namespace": {"type": "string"}}, "namespace"
)


def _resource(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    head = {"apiVersion": {"const": "ray.io/v1"}, "kind": {"const": kind}}
    return _closed({**head, "metadata": _METADATA, "spec": spec}, "apiVersion", "kind", "metadata", "spec")


SCHEMAS = {"RayCluster": _resource("RayCluster", _CLUSTER), "RayJob": _resource("RayJob", _JOB)}
"""JSON schemas by kind."""
