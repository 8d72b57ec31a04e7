"""How the service is configured."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from curator.errors import UserError
from serve.config import STREAMS, STREAMS_PER_TOKEN, WebhookSection
from serve.places import Places

_HOST = re.compile(r"\[[0-9a-f:.]+\]|[a-z0-9._-]+")
_ORIGIN = re.compile(rf"https?://({_HOST.pattern})(:[0-9]{{1,5}})?")

STATE_VARIABLE = "CURATOR_STATE"


@dataclass(frozen=True)
class Limits:
    """What the service takes at most. Requests are counted per token; `read_rate` and `submit_rate` are those a second
    in the long run, the bursts those at once; `streams` are event streams that are open at once."""

    body_bytes: int = 1 << 20
    read_rate: float = 50.0
    read_burst: float = 200.0
    submit_rate: float = 2.0
    submit_burst: float = 30.0
    refused_rate: float = 1.0
    refused_burst: float = 20.0
    streams: int = STREAMS
    streams_per_token: int = STREAMS_PER_TOKEN
    guarded: int = 2
    guarded_memory_bytes: int = 2_000_000_000
    guarded_seconds: float = 30.0


@dataclass(frozen=True)
class Settings:
    """The configuration of one server. `state` holds the folders of attempts, and the store where none is named;
    `workers` and `memory_bytes` are what a run gets that asks for nothing; with `ray`, the address of a cluster, its
    tasks are done there, and it gets what the cluster has; so with `ray_jobs`, the address of the dashboard of one,
    where its driver is a job too."""

    state: Path
    store: str
    host: str = "127.0.0.1"
    port: int = 8000
    places: Places = field(default_factory=Places)
    concurrency: int = 1
    workers: int = 1
    memory_bytes: int = 4_000_000_000
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    audit_key: Path | None = None
    ray: str | None = None
    ray_jobs: str | None = None
    webhooks: WebhookSection = field(default_factory=WebhookSection)
    limits: Limits = Limits()

    @property
    def audit_key_file(self) -> Path:
        """Where the key of the audit log lies, if the environment does not give it."""
        return self.audit_key or self.state / "audit.key"

    @property
    def is_on_cluster(self) -> bool:
        """Whether the tasks of runs are done by a cluster."""
        return self.ray is not None or self.ray_jobs is not None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host, as it is bound, is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def origin_of(given: str) -> str:
    """An origin as browsers send it (RFC 6454, section 6.2). UserError for what they never send."""
    if not _ORIGIN.fullmatch(given.lower()):
        raise UserError(f"--allow-origin {given!r} is not an origin", hint="https://HOST or https://HOST:PORT, no more")
    return given.lower()


def host_of(given: str) -> str:
    """A host name as `Host` has it, without its port. UserError for what never stands there."""
    if not _HOST.fullmatch(given.lower()):
        raise UserError(
            f"--allow-host {given!r} is not a host name", hint="the name alone, or [ADDRESS]: no scheme, no port, no *"
        )
    return given.lower()


def default_state() -> Path:
    """`service` in CURATOR_STATE, else in `curator` below XDG_STATE_HOME, else below ~/.local/state."""
    given = os.environ.get(STATE_VARIABLE)
    if given:
        return Path(given) / "service"
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "curator" / "service"


def default_store(state: Path) -> str:
    """A SQLite file in the state folder."""
    return f"sqlite:///{state.absolute() / 'service.db'}"


def attempt_folder(state: Path, run: str, attempt: int) -> Path:
    """The folder of an attempt, in the state folder."""
    return state / "attempts" / run / str(attempt)
