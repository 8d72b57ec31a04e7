"""Every command through the executable: what it prints for people and for machines, how it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import select
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest
import typer

from curator.cli.main import app
from curator.registry import installed_stages
from tests.command import EXECUTABLE, curator, json_of, told, write_package
from tests.curator.cli.scene import Scene
from tests.runs import recipe_text, write_jsonl

HELP_CPU_S = 0.6
"""The aim is 0.3 s; the rest is slack for a busy machine."""


def commands(group: object, *path: str) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, command in getattr(group, "commands", {}).items():
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


@pytest.mark.slow
def test_help_is_there_at_once() -> None:
    used = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = curator("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0
        assert "process" in done.stdout
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(used) < HELP_CPU_S


def test_the_design_names_the_commands_and_each_speaks_json() -> None:
    found = dict(commands(typer.main.get_command(app)))
    expected = {"process", "plan", "explain", "report", "verify", "doctor", "stages", "forget"}
    assert expected <= {path[0] for path in found if len(path) == 1}
    assert {"show", "validate", "schema"} <= {path[1] for path in found if path[0] == "recipe"}
    assert {"show", "verify"} <= {path[1] for path in found if path[0] == "index"}
    for path, command in found.items():
        options = {option for parameter in getattr(command, "params", ()) for option in parameter.opts}
        assert "--json" in options, path


def test_the_version_is_that_of_the_distribution() -> None:
    assert re.fullmatch(r"curator \d+\.\d+\.\d+\S*\n", curator("--version").stdout)


def test_process_prints_one_json_document_and_progress_elsewhere(scene: Scene) -> None:
    found = json_of(scene.process)
    assert found["run"] == str(scene.run)
    funnel = cast("dict[str, dict[str, dict[str, int]]]", found["funnel"])
    assert funnel["all"]["in"]["documents"] == 39
    assert funnel["all"]["failed"]["documents"] == 2
    assert {failed["code"] for failed in cast("list[dict[str, object]]", found["failed"])} == {
        "json.invalid",
        "field.missing",
    }
    assert any("'twin'" in warning for warning in cast("list[str]", found["warnings"]))
    progress = [line for line in scene.process.stderr.splitlines() if line.startswith("[")]
    assert progress[0].startswith("[1/")
    assert progress[-1].endswith("] write")
    assert "2 records could not be read" in told(scene.process)


@pytest.mark.slow
def test_every_other_command_prints_one_json_document(scene: Scene) -> None:
    for arguments in (
        ("plan", "-r", scene.recipe, scene.source),
        ("explain", scene.run, "en0"),
        ("report", scene.run),
        ("verify", scene.run),
        ("doctor", "-r", scene.recipe),
        ("stages",),
        ("recipe", "list"),
        ("recipe", "show", scene.recipe),
        ("recipe", "validate", scene.recipe),
        ("recipe", "schema"),
    ):
        done = scene.curator(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        assert json_of(done), arguments
        assert done.stderr == "", arguments


@pytest.mark.slow
def test_plan_tells_phases_and_files(scene: Scene) -> None:
    done = scene.curator("plan", "-r", scene.recipe, scene.source)
    assert done.returncode == 0
    assert re.search(r"^ 1\. read dedup, entropy", done.stdout, re.MULTILINE)
    assert re.search(r"in\.jsonl +jsonl +none", done.stdout)


@pytest.mark.slow
def test_the_funnel_adds_up_on_paper(scene: Scene) -> None:
    done = scene.curator("report", scene.run)
    table = done.stdout.partition("\n\n")[0]
    numbers = dict(re.findall(r"^ *([a-z][\w .]*?)  .*? (-?[\d,]+)(?:  .*)?$", table, re.MULTILINE))
    assert numbers["in"] == "39"
    assert numbers["could not be read"] == "2"
    lost = sum(int(number) for number in numbers.values() if number.startswith("-"))
    assert 39 + int(numbers["created"]) + lost == int(numbers["kept"])


@pytest.mark.slow
def test_report_writes_the_same_bytes_again(scene: Scene) -> None:
    report = scene.run / "report.html"
    before = report.read_bytes()
    report.unlink()
    done = scene.curator("report", scene.run)
    assert done.returncode == 0
    assert report.read_bytes() == before
    assert str(report) in done.stdout


@pytest.mark.slow
def test_verify_finds_harm_to_any_file(scene: Scene, tmp_path: Path) -> None:
    run = shutil.copytree(scene.run, tmp_path / "run")
    shard, scores, decisions, failed = (
        run / kind / "part-00000.parquet" for kind in ("shards", "scores", "decisions", "failed")
    )
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    scores.write_bytes(scores.read_bytes()[:-1])
    shutil.copy(failed, failed.with_name("part-00001.parquet"))
    (failed.parent / "below").mkdir()
    (failed.parent / "below" / ".notes").write_text("")
    decisions.unlink()
    done = scene.curator("verify", run, "--json")
    assert done.returncode == 3
    assert json_of(done)["error"] == "DataError"
    assert json_of(done)["problems"] == [
        "shards/part-00000.parquet is not as it was written",
        "scores/part-00000.parquet is not as it was written",
        "decisions/part-00000.parquet is missing",
        "failed/below/.notes is not in the manifest",
        "failed/part-00001.parquet is not in the manifest",
    ]
    way_out = "(put back what was written, or make the run again in another directory)"
    assert f"decisions/part-00000.parquet is missing and 2 more {way_out}" in told(done)


@pytest.mark.slow
def test_a_manifest_that_does_not_add_up_or_is_none_is_found(scene: Scene, tmp_path: Path) -> None:
    run = shutil.copytree(scene.run, tmp_path / "run")
    manifest = run / "manifest.json"
    text = manifest.read_text()
    wrong = json.loads(text)
    row = next(row for row in wrong["funnel"] if row[:3] == ["all", "", "kept"])
    row[3] += 1
    manifest.write_text(json.dumps(wrong))
    assert "documents came in" in told(scene.curator("verify", run))
    manifest.write_text(text[:-50])
    done = scene.curator("verify", run)
    assert done.returncode == 3
    assert "is not valid JSON" in told(done)
    manifest.unlink()
    done = scene.curator("verify", run)
    assert done.returncode == 2
    assert "--resume" in told(done)


@pytest.mark.slow
def test_explain_of_a_damaged_run_points_to_verify(scene: Scene, tmp_path: Path) -> None:
    run = shutil.copytree(scene.run, tmp_path / "run")
    scores = run / "scores" / "part-00000.parquet"
    scores.write_bytes(scores.read_bytes()[:-1])
    done = scene.curator("explain", run, "en0")
    assert done.returncode == 3
    assert "curator verify" in told(done)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "command"),
    [("decisions", "explain {} en0"), ("scores", "report {}"), ("scores", "calibrate {}"), ("shards", "recheck {}")],
)
def test_what_is_asked_of_a_run_that_lacks_a_file_is_not_told_of_the_others(
    scene: Scene, tmp_path: Path, kind: str, command: str
) -> None:
    run = Path(shutil.copytree(scene.run, tmp_path / "run"))
    gone = run / kind / "part-00000.parquet"
    gone.unlink()
    done = scene.curator(*command.format(run).split())
    assert done.returncode == 3
    assert f"{gone}: is missing (`curator verify` tells what is damaged)" in told(done)


@pytest.mark.slow
def test_doctor_lists_packages_translators_and_needs(scene: Scene) -> None:
    found = json_of(scene.curator("doctor", "-r", scene.recipe, "--json"))
    packages = cast("dict[str, str]", found["packages"])
    assert re.match(r"\d", packages["pyarrow"])
    assert "torch" in packages
    assert cast("dict[str, str]", found["translators"])["toy"] == "version 1, pairs: fr-oc, oc-fr"
    needs = cast("list[dict[str, object]]", found["needs"])
    assert {need["name"] for need in needs if need["stage"] == "augmentation"} == {"toy oc-fr", "toy fr-oc"}
    text = scene.curator("doctor", "-r", scene.recipe).stdout
    assert re.search(r"augmentation: pair toy oc-fr: found", text)
    assert re.search(r"^pyarrow +\d", text, re.MULTILINE)


@pytest.mark.slow
def test_doctor_says_which_translators_could_be_used_and_are_not_named(scene: Scene) -> None:
    could = "translator toy: version 1, pairs: fr-oc, oc-fr; it could be used, but the recipe does not name it"
    assert could in scene.curator("doctor").stdout.splitlines()
    assert could.partition(";")[0] in scene.curator("doctor", "-r", scene.recipe).stdout.splitlines()


@pytest.mark.slow
def test_doctor_and_process_say_what_a_recipe_misses(scene: Scene, tmp_path: Path) -> None:
    recipe = tmp_path / "missing.yaml"
    recipe.write_text(recipe_text("augmentation: {translators: [{name: toy, pivots: {oc: [fr, ca]}}]}"))
    done = scene.curator("doctor", "-r", recipe)
    assert done.returncode == 2
    assert "MISSING: is not made yet" in done.stdout
    found = json_of(scene.curator("doctor", "-r", recipe, "--json"))
    missing = [need for need in cast("list[dict[str, object]]", found["needs"]) if need["problem"]]
    assert [need["name"] for need in missing] == ["toy fr-ca"]
    done = scene.curator("process", scene.source, "-o", tmp_path / "run", "-r", recipe)
    assert done.returncode == 2
    assert "toy fr-ca: is not made yet (`curator doctor`" in told(done)
    assert not (tmp_path / "run").exists()
    assert scene.curator("recipe", "validate", recipe).returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "told_of"),
    [
        ("stages:\n  - dedup: {url_field: url}\n", "dedup needs the field 'url', which is not read"),
        ("holdout: {share: 0.1}\nstages:\n  - entropy: {}\n", "holdout: by: cluster needs the stage dedup"),
    ],
    ids=["metadata", "holdout"],
)
def test_what_a_run_would_refuse_is_neither_valid_nor_planned(
    scene: Scene, tmp_path: Path, text: str, told_of: str
) -> None:
    recipe = tmp_path / "refused.yaml"
    recipe.write_text(f"name: refused\n{text}")
    for command in (
        ("recipe", "validate", recipe),
        ("plan", scene.source, "-r", recipe),
        ("process", scene.source, "-o", tmp_path / "run", "-r", recipe),
    ):
        done = scene.curator(*command)
        assert done.returncode == 2
        assert told_of in told(done)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_language_model_that_is_not_there_is_missed_before_data_is_read(scene: Scene, tmp_path: Path) -> None:
    options = ("--set", f"language={{model: {tmp_path / 'mine.ftz'}}}")
    done = scene.curator("process", scene.source, "-o", tmp_path / "run", "-r", scene.recipe, *options)
    assert done.returncode == 2
    assert "mine.ftz: cannot read the language model" in told(done)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_stages_lists_parameters_with_defaults() -> None:
    done = curator("stages")
    for name in ("dedup", "entropy", "toxicity", "outliers", "pii", "sampling", "augmentation"):
        assert re.search(rf"^{name} \(curator-corpora \S+\): ", done.stdout, re.MULTILINE)
    assert re.search(r"^ +threshold = 0\.85: ", done.stdout, re.MULTILINE)
    assert re.search(r"^ +url_field = null: ", done.stdout, re.MULTILINE)
    assert re.search(r"^ +translators = \[\]: ", done.stdout, re.MULTILINE)
    assert "    rules = {enabled: true, tier: 2, min_matches: 2, density: 0.1, severity: 0.2}\n" in done.stdout


@pytest.mark.slow
def test_stages_lists_those_that_are_asked_for() -> None:
    done = curator("stages", "pii", "dedup")
    assert re.findall(r"^(\S+) \(", done.stdout, re.MULTILINE) == ["pii", "dedup"]
    assert [stage["name"] for stage in json.loads(curator("stages", "pii", "--json").stdout)] == ["pii"]
    refused = curator("stages", "dedpu")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "no stage is named 'dedpu' (did you mean 'dedup'?)" in told(refused)


@pytest.mark.slow
def test_stages_that_cannot_be_loaded_are_named_beside_the_others(tmp_path: Path) -> None:
    env = write_package(tmp_path, "their_stage", "curator.stages", "theirs = their_stage:Stage", "raise OSError('x')")
    why = "'theirs' cannot be imported: OSError"
    done = curator("stages", env=env)
    assert done.returncode == 0
    assert re.search(r"^dedup \(curator-corpora \S+\): ", done.stdout, re.MULTILINE)
    assert done.stdout.splitlines()[-1] == (
        f"theirs (their_stage 0.1): could not be loaded: {why} (python -c 'import their_stage' shows where)"
    )
    listed = cast("list[dict[str, object]]", json.loads(curator("stages", "--json", env=env).stdout))
    assert [stage["name"] for stage in listed if "error" in stage] == ["theirs"]
    assert (listed[-1]["error"], len(listed)) == (why, len(installed_stages().classes) + 1)
    schema = json_of(curator("recipe", "schema", env=env))
    assert schema["$comment"] == "without stages that cannot be loaded: theirs"
    (tmp_path / "r.yaml").write_text("name: r\nstages:\n  - theirs\n")
    refused = curator("recipe", "validate", tmp_path / "r.yaml", env=env)
    assert (refused.returncode, why in told(refused)) == (2, True)


@pytest.mark.slow
def test_a_full_recipe_round_trips(tmp_path: Path) -> None:
    shown = curator("recipe", "show", "web", "--full")
    file = tmp_path / "full.yaml"
    file.write_text(shown.stdout)
    assert curator("recipe", "validate", file).returncode == 0
    assert curator("recipe", "show", file, "--full").stdout == shown.stdout


@pytest.mark.slow
def test_a_recipe_is_shown_as_it_was_written_unless_asked_otherwise(scene: Scene) -> None:
    assert scene.curator("recipe", "show", scene.recipe).stdout == scene.recipe.read_text()
    changed = scene.curator("recipe", "show", scene.recipe, "--set", "dedup.threshold=0.7").stdout
    assert "threshold: 0.7\n" in changed


@pytest.mark.parametrize(
    ("words", "offered"),
    [("curator pro", "process"), ("curator process --res", "--resume"), ("curator recipe val", "validate")],
)
def test_the_shell_completes(words: str, offered: str) -> None:
    env = {"_CURATOR_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    assert curator(env=env).stdout.split() == [offered]


def test_a_record_that_cannot_be_read_offers_no_run_and_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "0123456789ab.json").write_text("{")
    asked = {"_CURATOR_COMPLETE": "complete_bash", "COMP_WORDS": "curator runs show 01", "COMP_CWORD": "3"}
    done = curator(env={**asked, "CURATOR_STATE": str(tmp_path)})
    assert (done.stdout.strip(), done.stderr.strip()) == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["runs list", "runs show x", "submit x.jsonl -o x --address http://127.0.0.1:9"])
def test_a_token_is_refused_where_no_service_is_named(tmp_path: Path, command: str) -> None:
    token = tmp_path / "token"
    done = curator(*command.split(), "--token-file", token)
    assert done.returncode == 2
    assert "--token-file is for --server (name the service" in told(done)
    assert f"{token}: the token cannot be read" in told(
        curator("runs", "list", "--token-file", token, "--server", "http://127.0.0.1:9")
    )


@pytest.mark.slow
def test_every_exit_code_is_what_the_documentation_says(scene: Scene, tmp_path: Path) -> None:
    assert scene.curator("verify", scene.run).returncode == 0
    assert scene.curator("recipe", "show", "wbe").returncode == 2
    assert scene.curator("stages", "--no-such-option").returncode == 2
    broken = tmp_path / "broken.jsonl"
    broken.write_text("broken\n" * 101)
    done = curator("process", broken, "-o", tmp_path / "run", "-r", scene.recipe, env=scene.env)
    assert done.returncode == 3
    assert "--resume --set max_error_rate=1.00" in told(done)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([EXECUTABLE, "recipe", "schema"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 75
    assert done.stderr == "curator: standard output cannot be written: No space left on device\n"


@pytest.mark.slow
def test_a_bug_ends_with_a_traceback_and_its_own_exit_code(tmp_path: Path) -> None:
    source = """
        from curator.stage import Parameters, Stage

        class Buggy(Stage):
            name, about, parameters_type = "buggy", "has a bug", Parameters

            def decide(self, batch, columns, state):
                return [][len(batch)]
    """
    env = write_package(tmp_path / "site", "buggy", "curator.stages", "buggy = buggy:Buggy", source)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text("buggy", language="off"))
    file = write_jsonl(tmp_path / "in.jsonl", [{"text": "a text"}])
    done = curator("process", file, "-o", tmp_path / "run", "-r", recipe, "--json", env=env)
    assert done.returncode == 70
    assert "IndexError" in done.stderr
    assert json_of(done) == {"error": "IndexError", "message": None, "exit_code": 70}


def run_without_reader(*arguments: str | Path, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Exit code and standard error of a command whose standard output nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(
            [EXECUTABLE, *map(str, arguments)],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
    return done.returncode, done.stderr


@pytest.mark.slow
def test_a_reader_that_goes_away_leaves_no_traceback(scene: Scene) -> None:
    assert run_without_reader("recipe", "schema") == (0, "")
    assert run_without_reader("stages", "--json") == (0, "")
    assert run_without_reader("explain", scene.run, "copy") == (0, "")
    assert run_without_reader("verify", scene.folder)[0] == 2


@pytest.mark.slow
def test_a_run_goes_on_when_nobody_reads_what_it_says(scene: Scene, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [EXECUTABLE, "process", str(scene.source), "-o", str(tmp_path / "run"), "-r", str(scene.recipe)]
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(command, stdout=closed, stderr=closed, env={**os.environ, **scene.env})
    assert done.returncode == 0
    assert scene.curator("verify", tmp_path / "run").returncode == 0


@pytest.mark.slow
def test_no_terminal_gets_plain_lines_and_a_terminal_gets_a_bar(scene: Scene, tmp_path: Path) -> None:
    command = [EXECUTABLE, "process", str(scene.source), "-r", str(scene.recipe), "-o", str(tmp_path / "run")]
    plain = scene.process.stderr.splitlines()
    assert [line[:3] for line in plain if line.startswith("[")][:2] == ["[1/", "[2/"]
    assert "\x1b" not in scene.process.stderr
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=end,
        env={**os.environ, **scene.env, "TERM": "xterm-256color", "COLUMNS": "120"},
    )
    os.close(end)
    with process:
        screen = read_terminal(terminal)
        stdout = process.communicate()[0].decode()
    assert process.returncode == 0
    assert "\x1b[" in screen
    assert re.search(r"\[\d+/\d+\] write", screen)
    assert "━" in screen
    assert stdout.startswith(scene.curator("report", scene.run).stdout.partition("report:")[0])


def read_terminal(descriptor: int) -> str:
    """All that is written to a terminal until its other side is closed."""
    seen = b""
    while select.select([descriptor], [], [], 60)[0]:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:  # Linux says EIO at the end of a terminal
            break
        seen += piece
    os.close(descriptor)
    return seen.decode()
