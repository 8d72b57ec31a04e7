"""`curator serve`: the service, until it is told to end."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from curator.cli.memory import parse_memory
from curator.cli.output import print_json, print_note
from curator.cli.store import check_installed
from curator.errors import UserError


@dataclass(frozen=True)
class ServeOptions:
    """What the command line says."""

    host: str
    port: int
    store: str | None
    state: Path | None
    input_roots: tuple[str, ...]
    output_roots: tuple[str, ...]
    runs: int
    workers: int
    memory: str
    hosts: tuple[str, ...]
    origins: tuple[str, ...]
    audit_key: Path | None
    ray: str | None
    ray_jobs: str | None
    config: Path | None


def serve_command(options: ServeOptions, as_json: bool) -> None:
    """Serve until the process is told to end."""
    check_installed()
    from curator.recipe.model import Input
    from curator.run.memory import workers_within
    from serve.config import ServiceConfig, load_config
    from serve.places import Places, root_of
    from serve.server import build, check_exposure, listen, run
    from serve.settings import Limits, Settings, default_state, default_store, host_of, origin_of

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for name in ("alembic", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)
    workers, memory_bytes = options.workers or len(os.sched_getaffinity(0)), parse_memory(options.memory)
    if options.ray_jobs is None:
        workers_within(workers, memory_bytes, Input().max_document_bytes)  # a run that asks for nothing has this
    state = (options.state or default_state()).absolute()
    config = ServiceConfig() if options.config is None else load_config(options.config)
    places = Places(
        tuple(root_of(root) for root in options.input_roots),
        tuple(root_of(root) for root in options.output_roots),
        config.recipes,
    )
    settings = Settings(
        state=state,
        store=options.store or default_store(state),
        host=options.host,
        port=options.port,
        places=places,
        concurrency=options.runs,
        workers=workers,
        memory_bytes=memory_bytes,
        hosts=tuple(host_of(host) for host in options.hosts),
        origins=tuple(origin_of(origin) for origin in options.origins),
        audit_key=options.audit_key,
        ray=options.ray,
        ray_jobs=_jobs_address(options),
        webhooks=config.webhooks,
        limits=Limits(streams=config.streams.total, streams_per_token=config.streams.per_token),
    )
    server = build(settings)
    token = check_exposure(settings, server.service.tokens)
    listening = listen(settings)
    host, port = listening.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    server.service.start()
    if as_json:
        print_json({"url": url, "state": str(state), "token": token})
        sys.stdout.flush()
    else:
        print_note(f"curator: serving on {url}; Ctrl-C ends the service, and not the runs")
        if token is not None:
            print_note(f"curator: no token is configured; for this time: {token}")
        if not places.input_roots or not places.output_roots:
            print_note("curator: runs are refused until --input-root and --output-root are given")
    run(server, listening)


def _jobs_address(options: ServeOptions) -> str | None:
    """The address of the cluster that has the drivers too. UserError where it cannot be."""
    if options.ray_jobs is None:
        return None
    if options.ray is not None:
        raise UserError("--ray and --ray-jobs do not go together", hint="--ray-jobs has tasks and drivers there")
    from curator.cli.packages import require
    from curator.cluster.dashboard import cluster_address

    require("ray", extra="ray")
    return cluster_address(options.ray_jobs, "--ray-jobs")
