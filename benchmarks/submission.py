"""How long the service looks at compressed objects that are submitted, and what that costs.

    python benchmarks/submission.py [OBJECTS] [KILOBYTES]

Starts moto's S3 server on loopback, puts so many objects of that size, and has them told apart: as for a submission,
unpacked by limited processes, and as for a command. The server is this Python process, so that times say little of a
real storage; requests, and the CPU time of the limited processes, do.
"""

from __future__ import annotations

import gzip
import random
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from storage import BUCKET, Requests, start_server

from curator.readers.detect import Heads, discover, read_heads
from curator.storage import ranges
from curator.storage.objects import put_object
from curator.storage.path import StoragePath
from serve.guarded.call import Guard
from serve.guarded.heads import read_guarded_heads
from serve.settings import Limits

WRITERS = 4


def look(label: str, folder: StoragePath, heads: Heads, requests: Requests) -> None:
    """Tell the objects of a folder apart, and print what that cost. What was kept of them before is forgotten."""
    ranges._cache.cache_clear()
    before, children, started = requests.count, resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    found = discover([str(folder)], heads=heads)
    seconds, used = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - children.ru_utime - children.ru_stime
    made = requests.count - before
    print(f"{label}: {len(found)} objects, {seconds:.1f} s, {made} requests, {cpu:.1f} CPU s of processes", flush=True)


def main() -> None:
    """Print one line for each way."""
    objects = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    kilobytes = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    server, requests = start_server()
    folder = StoragePath("s3", BUCKET) / "in"
    noise = random.Random(0)

    def put(number: int) -> None:
        line = b'{"text": "%s"}\n' % noise.randbytes(kilobytes << 10).hex().encode()
        put_object(folder / f"{number:05d}.jsonl.gz", gzip.compress(line, 1))

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(put, range(objects)))
    look("submission", folder, partial(read_guarded_heads, Guard(Limits())), requests)
    look("command", folder, read_heads, requests)
    server.stop()


if __name__ == "__main__":
    main()
