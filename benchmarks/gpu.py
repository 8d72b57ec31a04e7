"""The Triton kernels on a GPU: parity, memory and race check, throughput beside torch.

    make gpu, or PYTHONPATH=. python benchmarks/gpu.py [--output FILE.jsonl] [--skip parity,memcheck] [--sweep]

Parity runs `pytest -m gpu tests/model/kernels` in several processes, since compiling takes most of the time; the checks
run the same cases, small, under NVIDIA's compute-sanitizer. Then, with the GPU to itself, each measurement is the
median over 100 ms of a kernel and of what torch offers for the same, with cold caches (`ms`), and for kernels alone of
20 ms of calls in a CUDA graph, where launching costs nothing and caches are warm (`graph_ms`). Rates are of the
smaller. All is printed as JSON and, at the end, as a table. `--sweep` measures other blocks than those that the
launchers choose. Exits 1 when a check fails.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from gpu_jobs import jobs

PROCESSES = min(12, os.cpu_count() or 1)
CHECKS = ("memcheck", "racecheck")
SANITIZED_PARTS = 5
LIMIT_S = 150
"""Seconds that a check may take."""


def main() -> int:
    """Run the checks, then the measurements; 1 when one fails, 2 without a GPU."""
    parser = argparse.ArgumentParser(description="Check and measure the Triton kernels on a GPU.")
    parser.add_argument("--output", type=Path, help="append each JSON document to this file too")
    parser.add_argument("--skip", default="", help="checks to leave out, separated by commas")
    parser.add_argument("--sweep", action="store_true", help="measure other blocks too")
    parser.add_argument("--warm", metavar="I/N", help="run every N-th measurement once, to have it compiled")
    parser.add_argument("--exercise", metavar="I/N", help="run every N-th small case once, for compute-sanitizer")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device: run this on a machine with an NVIDIA GPU", file=sys.stderr)
        return 2
    if options.exercise:
        return _exercise(*_part(options.exercise))
    if options.warm:
        part, parts = _part(options.warm)
        for _, _, run, _ in list(jobs(options.sweep))[part::parts]:
            _attempt(run)
        return 0

    import triton

    skipped = set(options.skip.split(","))
    results: list[dict[str, object]] = []

    def report(result: dict[str, object]) -> None:
        line = json.dumps(result)
        print(line, flush=True)
        results.append(result)
        if options.output:
            with options.output.open("a") as file:
                file.write(line + "\n")

    report(
        {
            "device": torch.cuda.get_device_name(),
            "capability": torch.cuda.get_device_capability(),
            "torch": torch.__version__,
            "triton": triton.__version__,
            "python": sys.version.split()[0],
        }
    )
    failed = False
    if "parity" not in skipped:
        failed |= not _parity(report)
    tools = [tool for tool in CHECKS if tool not in skipped]
    with concurrent.futures.ThreadPoolExecutor(PROCESSES) as pool:
        checks = [pool.submit(_sanitize, tool, part, report) for tool in tools for part in range(SANITIZED_PARTS)]
    failed |= not all(check.result() for check in checks)
    _warm(options.sweep, report)
    for name, numbers, run, captured in jobs(options.sweep):
        times, problem = _measure(run, captured)
        if problem is None:
            least = min(times.values())
            report({"measurement": name, **{key: round(ms, 4) for key, ms in times.items()}, **numbers(least)})
        else:
            report({"measurement": name, "failed": problem})
        failed |= problem is not None and not name.endswith("?")
    _table(results)
    return int(failed)


def _part(text: str) -> tuple[int, int]:
    part, parts = text.split("/")
    return int(part), int(parts)


def _attempt(run: Callable[[], object]) -> str | None:
    """Run, and say what went wrong: a block that needs too much of the GPU is a result of a sweep."""
    import triton

    try:
        run()
        torch.cuda.synchronize()
    except (triton.runtime.errors.OutOfResources, RuntimeError, ValueError, TypeError) as error:
        return f"{type(error).__name__}: {str(error)[:300]}"
    return None


def _measure(run: Callable[[], object], captured: bool) -> tuple[dict[str, float], str | None]:
    """Milliseconds of a call, and of one inside a CUDA graph where asked, in which launching costs nothing."""
    import triton

    problem = _attempt(run)
    if problem is not None:
        return {}, problem
    times = {"ms": float(triton.testing.do_bench(run, warmup=20, rep=100, return_mode="median"))}

    if captured:
        times["graph_ms"] = float(triton.testing.do_bench_cudagraph(run, rep=20, return_mode="median"))
    return times, None


def _parts(command: list[str], label: str, report: Callable[[dict[str, object]], None], **environment: str) -> bool:
    """Run a command, show the end of what it says when it fails, and report the outcome."""
    begin = time.monotonic()
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment}
    )
    try:
        said, _ = running.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        running.kill()
        said = running.communicate()[0] + f"\nstopped after {LIMIT_S} s"
    passed = running.returncode == 0
    lines = [line for line in said.splitlines() if line.strip()]
    if not passed:
        print("\n".join(lines[-60:]), flush=True)
    seconds = round(time.monotonic() - begin, 1)
    report({"check": label, "passed": passed, "last_line": lines[-1][:200] if lines else "", "seconds": seconds})
    return passed


def _parity(report: Callable[[dict[str, object]], None]) -> bool:
    from tests.model.kernels.parity import CASES

    names = list(CASES)
    file = "tests/model/kernels/test_parity.py"
    same, again = "test_kernels_compute_what_their_reference_does", "test_kernels_give_the_same_bits_each_time"
    rounding = "test_stores_round_to_nearest_even_as_torch_does"
    groups = [names[part::PROCESSES] for part in range(PROCESSES)]

    def check(group: list[str]) -> bool:
        tests = [f"{same}[{name}-{dtype}]" for name in group for dtype in ("float32", "bfloat16")]
        tests += [f"{again}[{name}]" for name in group]
        tests += [rounding] if group is groups[0] else []
        # The repository's configuration and conftest.py want packages that a machine for GPUs may not have.
        command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir=.", "--noconftest", "-q", "-ra"]
        command += ["-p", "no:cacheprovider", "-W", "ignore", "-m", "gpu"]
        return _parts([*command, *(f"{file}::{test}" for test in tests)], f"parity {' '.join(group)}", report)

    def exercise(part: int) -> bool:
        command = [sys.executable, __file__, "--exercise", f"{part}/{SANITIZED_PARTS}"]
        return _parts(command, f"small cases {part}", report)

    # The small cases are compiled meanwhile for the checks that follow.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        parts = [pool.submit(check, group) for group in groups if group]
        parts += [pool.submit(exercise, part) for part in range(SANITIZED_PARTS)]
    return all(part.result() for part in parts)


def _warm(sweep: bool, report: Callable[[dict[str, object]], None]) -> None:
    begin = time.monotonic()
    command = [sys.executable, __file__, *(["--sweep"] if sweep else []), "--warm"]
    running = [subprocess.Popen([*command, f"{part}/{PROCESSES}"]) for part in range(PROCESSES)]
    codes = [process.wait() for process in running]
    report({"check": "compiled", "passed": not any(codes), "seconds": round(time.monotonic() - begin, 1)})


def _sanitize(tool: str, part: int, report: Callable[[dict[str, object]], None]) -> bool:
    program = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    command = [program, "--tool", tool, "--error-exitcode", "9", "--print-limit", "20"]
    if tool == "memcheck":
        command += ["--padding", "64"]
    return _parts(
        [*command, sys.executable, __file__, "--exercise", f"{part}/{SANITIZED_PARTS}"],
        f"{tool} {part}",
        report,
        # Each tensor in memory of its own, so that what lies past its end is nobody's.
        PYTORCH_NO_CUDA_MEMORY_CACHING="1",
    )


def _exercise(part: int, parts: int) -> int:
    from tests.model.kernels.parity import CASES, exercise

    for name in list(CASES)[part::parts]:
        exercise(name, torch.bfloat16, "cuda", large=False)
    torch.cuda.synchronize()
    print("all cases ran")
    return 0


def _table(results: list[dict[str, object]]) -> None:
    def cells() -> Iterator[tuple[str, str]]:
        for result in results:
            if "measurement" in result:
                rest = {key: value for key, value in result.items() if key != "measurement"}
                yield str(result["measurement"]), ", ".join(f"{key} {value}" for key, value in rest.items())

    print("\n| measurement | result |\n| --- | --- |")
    for name, numbers in cells():
        print(f"| {name} | {numbers} |")


if __name__ == "__main__":
    sys.exit(main())
