"""Two Ray nodes in network namespaces of their own, with a link between them that can be cut. Needs root on Linux."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.cluster import OBJECT_STORE_BYTES, descendants, title, wait_until

RAY = str(Path(sys.executable).parent / "ray")
DEVICE = "veth0"
PORT = 6379


def can_be_made() -> str | None:
    """Why namespaces cannot be made here; None when they can."""
    if shutil.which("ip") is None:
        return "the program ip is not installed"
    name = f"curator-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        return f"network namespaces are not allowed: {made.stderr.strip()}"
    _ip("netns", "delete", name)
    return None


@dataclass
class LinkedNodes:
    """A head with its driver in one namespace, a node in another."""

    namespaces: tuple[str, str]
    address: str
    head: subprocess.Popen[bytes]
    node: subprocess.Popen[bytes]

    @property
    def prefix(self) -> tuple[str, ...]:
        """What stands before a command that shall run beside the head."""
        return ("ip", "netns", "exec", self.namespaces[0])

    def works(self) -> bool:
        """Whether the node beyond the link runs a task of ours."""
        return any(title(process).startswith("ray::curator") for process in descendants(self.node.pid))

    def cut(self) -> None:
        """Cut the link: packets are lost, no connection is closed."""
        _ip("-n", self.namespaces[0], "link", "set", DEVICE, "down")

    def mend(self) -> None:
        """Undo `cut`."""
        _ip("-n", self.namespaces[0], "link", "set", DEVICE, "up")


@contextlib.contextmanager
def linked_nodes(folder: Path, settings: Mapping[str, object]) -> Iterator[LinkedNodes]:
    """A cluster of two nodes with one CPU each; `settings` are Ray's own. Gone at the end."""
    names = (f"curator-a-{os.getpid()}", f"curator-b-{os.getpid()}")
    addresses = ("198.51.100.1", "198.51.100.2")  # for documentation and tests (RFC 5737): never a real host's
    started: list[subprocess.Popen[bytes]] = []
    for name in names:
        _ip("netns", "add", name)
    try:
        _ip("-n", names[0], "link", "add", "name", DEVICE, "type", "veth", "peer", "name", DEVICE, "netns", names[1])
        for name, address in zip(names, addresses, strict=True):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", DEVICE)
            for device in ("lo", DEVICE):
                _ip("-n", name, "link", "set", device, "up")
        head = ["--head", f"--port={PORT}", "--include-dashboard=false", f"--system-config={json.dumps(settings)}"]
        places = ([*head, f"--temp-dir={folder}"], [f"--address={addresses[0]}:{PORT}"])
        for name, address, options in zip(names, addresses, places, strict=True):
            command = [RAY, "start", "--block", "--num-cpus=1", f"--node-ip-address={address}", *options]
            command.append(f"--object-store-memory={OBJECT_STORE_BYTES}")
            with (folder / f"{name}.log").open("wb") as log:
                started.append(subprocess.Popen(["ip", "netns", "exec", name, *command], stdout=log, stderr=log))
            _wait_for_raylet(started[-1], folder / f"{name}.log")
        yield LinkedNodes(names, f"{addresses[0]}:{PORT}", *started)
    finally:
        for process in started:
            for child in descendants(process.pid):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            process.kill()
            process.wait()
        for name in names:
            _ip("netns", "delete", name)


def _wait_for_raylet(process: subprocess.Popen[bytes], log: Path) -> None:
    def stands() -> bool:
        assert process.poll() is None, log.read_text()
        return any("raylet/raylet" in title(child) for child in descendants(process.pid))

    try:
        wait_until(stands, timeout_s=60)
    except AssertionError as error:
        raise AssertionError(log.read_text()) from error


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
