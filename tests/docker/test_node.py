"""A Ray head, started with the command of the compose file, asked by the health check of the image.

It runs in namespaces of its own: no other Ray on this machine sees it, and its processes end with it. What it does not
have is the image: programs and packages are those of the development environment.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.docker.dockerfile import FOLDER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PROGRAMS = ("ip", "unshare", "wget")

SCRIPT = """
set -uo pipefail
say() { echo "{\\"name\\": \\"$1\\", \\"value\\": \\"$2\\"}"; }
jobs() {
  wget --tries=1 --timeout=10 -S -O /dev/null "$@" http://127.0.0.1:8265/api/jobs/ 2>&1 | grep -m1 -oE 'HTTP/1.1 [0-9]+'
}

ip link set lo up
ip address add 10.77.0.2/24 dev lo
ip route add default dev lo
mount --bind "$SCRATCH" /tmp/ray

"$HEALTHCHECK"; say before $?
"$@" >"$SCRATCH/node.log" 2>&1 &
node=$!
for _ in $(seq 120); do
  kill -0 "$node" || exit 1
  if pgrep -x gcs_server >/dev/null && pgrep -x raylet >/dev/null && "$HEALTHCHECK"; then say running $?; break; fi
  sleep 1
done
say stranger "$(jobs)"
say holder "$(jobs --header "Authorization: Bearer $(cat "$RAY_AUTH_TOKEN_PATH")")"
kill -STOP "$(pgrep -x gcs_server)"
"$HEALTHCHECK"; say stuck $?
kill -CONT "$(pgrep -x gcs_server)"
kill -KILL "$(pgrep -x raylet)"
wait "$node"; say ended $?
"""


@dataclass(frozen=True)
class Told:
    """Exit codes of the health check and of the node, and what the job server answered, by name."""

    values: dict[str, str]
    log: str


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("node")
    scratch = folder / "ray"
    scratch.mkdir()
    Path("/tmp/ray").mkdir(exist_ok=True)  # noqa: S108 - where Ray keeps its sessions; ours is mounted over it
    (folder / "token").write_text("0123456789abcdef" * 4)
    head = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))["services"]["head"]
    environment = {
        **os.environ,
        "SCRATCH": str(scratch),
        "HEALTHCHECK": str(FOLDER / "healthcheck"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": head["environment"]["RAY_AUTH_MODE"],
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
    }
    # As the entry point `ray` does; a development environment need not have it on its path.
    command = [sys.executable, "-m", "ray.scripts.scripts", *head["command"][1:]]
    owned = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    apart = ["unshare", *owned, "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    done = subprocess.run(
        [*apart, "bash", "-c", SCRIPT, "node", *command],
        env=environment, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    log = scratch / "node.log"
    written = log.read_text(encoding="utf-8") if log.exists() else ""
    return Told({line["name"]: line["value"] for line in lines}, f"{done.stderr}\n{written}")


def test_a_container_without_a_ray_node_is_healthy(told: Told) -> None:
    assert told.values.get("before") == "0", told.log


def test_a_head_becomes_healthy_when_its_dashboard_takes_jobs(told: Told) -> None:
    assert told.values.get("running") == "0", told.log


def test_the_job_server_answers_to_the_token_alone(told: Told) -> None:
    assert told.values.get("stranger") == "HTTP/1.1 401", told.log
    assert told.values.get("holder") == "HTTP/1.1 200", told.log


def test_a_head_whose_store_does_not_answer_is_not_healthy(told: Told) -> None:
    assert told.values.get("stuck", "0") != "0", told.log


def test_a_node_whose_raylet_dies_ends_its_container(told: Told) -> None:
    assert told.values.get("ended", "0") != "0", told.log
