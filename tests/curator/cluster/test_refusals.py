"""Addresses at which no cluster of ours is: each is refused at once, with one line."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from curator.cluster.dashboard import cluster_address
from curator.errors import UserError
from tests.command import curator, told
from tests.curator.cluster.submitting import free_port


@contextmanager
def server(answer: bytes, status: int = 200) -> Iterator[str]:
    """A server that gives one answer to everything."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name of the base)
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{found.server_port}"
        finally:
            found.shutdown()
            thread.join()


def refused(address: str, folder: Path) -> str:
    (folder / "in.txt").write_text("a few words")
    begun = time.monotonic()
    done = curator(
        "submit", folder / "in.txt", "-o", folder / "run", "--address", address,
        env={"CURATOR_STATE": str(folder / "state")},
    )  # fmt: skip
    assert time.monotonic() - begun < 30
    assert done.returncode == 2, done.stderr
    assert not (folder / "run").exists()
    assert not (folder / "state").exists()
    return told(done)


@pytest.mark.slow
def test_an_address_where_nothing_listens(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    assert f"no Ray dashboard answers at {address} (the address is http://HOST:8265" in refused(address, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "status"), [(b"<html>", 200), (b"", 404), (b"[]", 200), (b'{"a": 1}', 200)])
def test_a_server_that_is_no_ray(tmp_path: Path, answer: bytes, status: int) -> None:
    with server(answer, status) as address:
        assert f"what answers at {address} is no Ray dashboard" in refused(address, tmp_path)


@pytest.mark.slow
def test_a_cluster_of_another_version_of_ray(tmp_path: Path) -> None:
    # What the dashboard of 2.9.0 answers.
    answer = b'{"version": "4", "ray_version": "2.9.0", "ray_commit": "9be5a16e3ccad0710bc08d0f75e9774ae6fa6b32"}'
    with server(answer) as address:
        line = refused(address, tmp_path)
    assert f"the cluster at {address} runs Ray 2.9.0, here it is " in line
    assert "pip install 'ray[default]==2.9.0'" in line


@pytest.mark.slow
def test_a_cluster_that_wants_a_token(tmp_path: Path) -> None:
    with server(b"no", 401) as address:
        assert "refuses access: HTTP 401 (set RAY_AUTH_MODE=token" in refused(address, tmp_path)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("head:8265", "http://head:8265"), ("http://head:8265/", "http://head:8265"), ("https://h:1", "https://h:1")],
)
def test_an_address_has_one_form(given: str, expected: str) -> None:
    assert cluster_address(given) == expected


@pytest.mark.parametrize(
    "given", ["", "head", "ray://head:10001", "http://head:x", "http://u:p@head:1", "http://h:1/?a"]
)
def test_what_is_no_address_is_refused(given: str) -> None:
    for option in ("--address", "--ray-jobs"):
        with pytest.raises(UserError, match=f"^{option} ") as caught:
            cluster_address(given, option)
        assert not caught.value.hint or "--" not in caught.value.hint
