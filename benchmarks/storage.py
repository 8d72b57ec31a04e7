"""What a run on object storage costs beside a local one: memory of its processes, disk of its spool, requests.

    python benchmarks/storage.py [MEGABYTES]

Starts moto's S3 server on loopback and runs the recipe `web` on the same documents, from and into local folders and
from and into a bucket. The server is a Python process on the same cores, so that times say little of a real storage.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pyarrow.fs
from moto.server import ThreadedMotoServer

from curator.storage.filesystems import s3_options
from curator.storage.objects import put_file
from curator.storage.path import StoragePath

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.runs import make_texts, write_jsonl

FILES = 4
BUCKET = "bench"
SAMPLE_SECONDS = 0.05


class Requests(logging.Handler):
    """Counts the requests that the server answered."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """One line of the server's log is one request."""
        self.count += 1


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below; those that go away meanwhile do not count."""
    found = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                found += (Path(place) / name).stat().st_size
            except FileNotFoundError:
                continue
    return found


def tree_bytes(process: psutil.Process) -> int:
    """Proportional memory of a process and all that it started."""
    found = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            found += one.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return found


def measure(source: str, output: str, watched: Path) -> dict[str, float]:
    """Run `curator process`; seconds, peak memory and peak size of a folder (bytes)."""
    command = [sys.executable, "-m", "curator", "process", source, "-o", output, "--workers", "2", "--json"]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    memory = disk = 0
    while process.poll() is None:
        memory, disk = max(memory, tree_bytes(psutil.Process(process.pid))), max(disk, folder_bytes(watched))
        time.sleep(SAMPLE_SECONDS)
    if process.returncode:
        raise SystemExit(f"curator process failed: {process.returncode}")
    return {"seconds": time.monotonic() - started, "memory": memory, "disk": disk}


def start_server() -> tuple[ThreadedMotoServer, Requests]:
    """A server with an empty bucket, which the environment names from now on, and what counts its requests."""
    requests = Requests()
    logger = logging.getLogger("werkzeug")
    logger.addHandler(requests)
    logger.propagate = False
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    logger.setLevel(logging.INFO)
    host, port = server.get_host_and_port()
    os.environ |= {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    pyarrow.fs.S3FileSystem(**s3_options(os.environ, BUCKET), allow_bucket_creation=True).create_dir(BUCKET)
    return server, requests


def main() -> None:
    """Print one line for each run."""
    megabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 24
    server, requests = start_server()
    bucket = StoragePath("s3", BUCKET)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["CURATOR_SPOOL"] = str(folder / "spool")
        size = 0
        for number in range(FILES):
            documents = make_texts(int(megabytes * 1e6 / FILES / 1500), seed=number, units=(60, 240))
            path = write_jsonl(folder / "in" / f"{number}.jsonl", documents)
            size += path.stat().st_size
            put_file(path, bucket / "in" / path.name)
        print(f"input: {size / 1e6:.1f} MB in {FILES} files")
        for label, source, output, watched in (
            ("local", str(folder / "in"), str(folder / "run"), folder / "run"),
            ("storage", f"{bucket}/in", f"{bucket}/run", folder / "spool"),
        ):
            before = requests.count
            found = measure(source, output, watched)
            print(
                f"{label}: {found['seconds']:.1f} s, peak memory {found['memory'] / 1e6:.0f} MB, "
                f"peak of {watched.name}/ {found['disk'] / 1e6:.0f} MB, {requests.count - before} requests"
            )
    server.stop()


if __name__ == "__main__":
    main()
