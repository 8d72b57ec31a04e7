"""`curator process --ray`."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import pytest
import ray

from curator.engine.ray import connect
from curator.errors import UserError
from tests.cluster import ray_cluster
from tests.command import curator, json_of, told
from tests.runs import hashes, make_texts, write_jsonl


@pytest.mark.slow
@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:x", "nowhere.invalid:6379"])
def test_an_address_without_a_cluster_is_an_error_and_leaves_nothing(tmp_path: Path, address: str) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", make_texts(5))
    done = curator("process", source, "-o", tmp_path / "run", "--ray", address)
    assert done.returncode == 2
    assert f"no Ray cluster answers at {address}" in told(done)
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("by_file", [False, True])
def test_a_cluster_that_is_noted_and_gone_is_an_error_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, by_file: bool
) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", make_texts(5))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if by_file:
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
        monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    else:
        monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    began = time.monotonic()
    done = curator("process", source, "-o", tmp_path / "run", "--ray", "auto")
    assert done.returncode == 2
    assert "no Ray cluster answers at 127.0.0.1:1" in told(done)
    assert time.monotonic() - began < 60


@pytest.mark.slow
def test_an_address_where_something_else_answers_is_an_error_within_seconds(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", make_texts(5))
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever).start()
        began = time.monotonic()
        done = curator("process", source, "-o", tmp_path / "run", "--ray", f"127.0.0.1:{server.server_port}")
        server.shutdown()
    assert done.returncode == 2
    assert "is not the head of a Ray cluster (--ray takes the HOST:6379" in told(done)
    assert time.monotonic() - began < 60


@pytest.mark.slow
def test_a_cluster_of_another_version_is_told_with_both_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ray_cluster(1) as cluster:
        monkeypatch.setattr(ray, "__version__", "2.0.0")
        with pytest.raises(UserError, match=f"runs Ray {version('ray')} with Python .*, here it is 2.0.0 with "):
            connect(cluster.address)


@pytest.mark.slow
def test_a_run_on_ray_has_the_bytes_of_a_local_one(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", make_texts(50))
    assert curator("process", source, "-o", tmp_path / "local").returncode == 0
    with ray_cluster(1) as cluster:
        done = curator("process", source, "-o", tmp_path / "ray", "--ray", cluster.address, "--json")
    assert done.returncode == 0, done.stderr
    assert json_of(done)["resumed"] is False
    assert hashes(tmp_path / "ray") == hashes(tmp_path / "local")
