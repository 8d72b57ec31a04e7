"""Trainings from beginning to end: bit-exact after a stop, refused where something else would be trained."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from collections import UserDict
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from safetensors.torch import load_file, save_file

from curator.errors import AGAIN, CuratorError, DataError, TransientError, UserError
from curator.run.directory import RunDirectory, RunLock
from curator.run.events import Event, read_events
from curator.tokenize import Tokenizer
from curator.training import MOST, TrainingConfig
from model.checkpoint import CheckpointWriter, checkpoints, latest
from model.data.shards import open_corpus
from model.directory import ModelDirectory, load_decoder, read_description
from model.ranks import Alone
from model.state import training_state
from model.train import Outcome, Request, train
from model.trainer import LESS, AlarmError
from tests.model.corpora import make_documents, tiny_config, tokenizer_of, write_run


@pytest.fixture(scope="module")
def trained(place: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model after 6 steps, never stopped."""
    output = tmp_path_factory.mktemp("models") / "model"
    train(Request((place,), output, tiny_config()))
    return output


def hashes(model: Path, step: int) -> dict[str, str]:
    folder = model / "checkpoints" / f"step-{step:08d}"
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def losses(model: Path) -> dict[int, float]:
    """The loss of each step as the event log has it."""
    steps = [event for event in read_events(model / "events") if event["kind"] == "step"]
    return {int(str(event["step"])): float(str(event["loss"])) for event in steps}


def stop_at(step: int) -> object:
    def listen(event: dict[str, object]) -> None:
        if event["kind"] == "step" and event["step"] == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return listen


def train_until(step: int, request: Request) -> Outcome:
    return train(request, (stop_at(step),))  # type: ignore[arg-type] # takes an event


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer__name": "hybrid", "optimizer__switch_norm": 0.9, "average": 0.9},
        {"optimizer__name": "lion", "loss__balance": "bias", "accumulation": 2, "recompute": True},
        {"optimizer__name": "muon", "accumulation": 2},
        {"precision": "fp16", "loss__balance": "switch"},
        {"precision": "bf16", "model__router": "sigmoid", "model__shared_expert_width": 16},
    ],
    ids=["adamw", "hybrid", "lion", "muon", "fp16", "bf16"],
)
def test_a_training_that_was_stopped_ends_bit_by_bit_as_one_that_was_not(
    tmp_path: Path, place: str, tokenizer: Tokenizer, changes: dict[str, object]
) -> None:
    file = tmp_path / "tokenizer.model"
    file.write_bytes(tokenizer.data)
    whole = Request((place,), tmp_path / "whole", tiny_config(**changes), file)
    train(whole)
    request = replace(whole, output=tmp_path / "stopped")
    outcome = train_until(3, request)
    assert (outcome.step, outcome.signal) == (3, signal.SIGTERM)
    again = replace(request, resume=True, tokenizer=None, config=tiny_config(**changes, data__threads=3))
    assert train(again).step == 6
    assert hashes(whole.output, 6) == hashes(request.output, 6)
    assert losses(whole.output) == losses(request.output)


def test_a_training_that_was_killed_goes_on_from_its_last_checkpoint(tmp_path: Path, place: str, trained: Path) -> None:
    output = tmp_path / "model"
    shutil.copytree(trained, output)
    shutil.rmtree(output / "checkpoints" / "step-00000006")
    (output / "checkpoints" / ".99-step-00000006").mkdir()
    train(Request((place,), output, tiny_config(), resume=True))
    assert hashes(output, 6) == hashes(trained, 6)
    assert not list((output / "checkpoints").glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("left", [["training.json"], ["training.json", "beginning.json"]])
def test_a_training_that_was_killed_while_it_began_begins_anew(
    tmp_path: Path, place: str, trained: Path, left: list[str]
) -> None:
    output = tmp_path / "model"
    output.mkdir()
    for name in left:
        (output / name).write_bytes((trained / "training.json").read_bytes())
    with pytest.raises(UserError, match="not empty"):
        train(Request((place,), output, tiny_config()))
    train(Request((place,), output, tiny_config(), resume=True))
    assert hashes(output, 6) == hashes(trained, 6)
    assert not (output / "beginning.json").exists()


def test_a_model_without_its_tokenizer_is_not_begun_anew(tmp_path: Path, place: str, trained: Path) -> None:
    output = shutil.copytree(trained, tmp_path / "model")
    (output / "tokenizer.model").unlink()
    with pytest.raises(DataError, match="the tokenizer of the model is missing"):
        train(Request((place,), output, tiny_config(), resume=True))


def test_a_validation_loss_is_not_compared_with_those_of_other_sequences(
    tmp_path: Path, place: str, trained: Path
) -> None:
    output = shutil.copytree(trained, tmp_path / "model")
    before = training_state(latest(output)).best
    more = Request((place,), output, tiny_config(steps=7, validation__sequences=8), resume=True)
    outcome = train(more)
    assert before.loss is not None
    assert outcome.validation_loss is not None
    assert outcome.validation_loss > before.loss  # the further ones are harder
    assert (outcome.best_loss, training_state(latest(output)).best.step) == (outcome.validation_loss, 7)


@pytest.mark.parametrize("running", [True, False])
def test_a_training_that_began_meanwhile_keeps_what_it_wrote(
    tmp_path: Path, place: str, trained: Path, running: bool
) -> None:
    output = tmp_path / "model"

    class Meanwhile(Alone):
        """The ranks have looked at an empty folder, and somebody begins there."""

        def agree(self, stop: bool) -> bool:
            if not output.exists():
                shutil.copytree(trained, output, ignore=shutil.ignore_patterns("checkpoints"))
                if running:
                    held.enter_context(RunLock(RunDirectory(output)))
            return super().agree(stop)

    with ExitStack() as held, pytest.raises(UserError, match="another process" if running else "not empty"):
        train(Request((place,), output, tiny_config(seed=1)), ranks=Meanwhile())
    there = {path.relative_to(output) for path in output.rglob("*")}
    began = {path.relative_to(trained) for path in trained.rglob("*")}
    assert there == {path for path in began if path.parts[0] != "checkpoints"}
    assert (output / "training.json").read_bytes() == (trained / "training.json").read_bytes()


def test_what_a_running_training_writes_is_not_swept(tmp_path: Path, place: str, trained: Path) -> None:
    output = tmp_path / "model"
    shutil.copytree(trained, output)
    written = output / "checkpoints" / ".1-step-00000007"
    written.mkdir()
    with RunLock(RunDirectory(output)), pytest.raises(UserError, match="another process"):
        train(Request((place,), output, tiny_config(steps=9), resume=True))
    assert written.exists()


def test_a_file_in_the_place_of_the_output_is_said(tmp_path: Path, place: str) -> None:
    (tmp_path / "model").write_text("mine")
    for resume in (False, True):
        with pytest.raises(UserError, match="is a file, not a folder"):
            train(Request((place,), tmp_path / "model", tiny_config(), resume=resume))
    assert (tmp_path / "model").read_text() == "mine"


def test_parts_that_ranks_cannot_share_are_said(tmp_path: Path, place: str) -> None:
    ranks = Alone()
    ranks.size = 3
    with pytest.raises(UserError, match="4 sequences cannot be cut into 1 parts for 3 ranks"):
        train(Request((place,), tmp_path / "model", tiny_config()), ranks=ranks)
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_the_loss_falls(tmp_path: Path, place: str) -> None:
    train(Request((place,), tmp_path / "model", tiny_config(steps=40, optimizer__learning_rate=0.01)))
    found = losses(tmp_path / "model")
    assert found[40] < found[1] - 1


@pytest.mark.slow
def test_a_training_ends_when_its_seconds_are_gone_and_its_rate_has_come_down(
    tmp_path: Path, place: str, trained: Path
) -> None:
    assert trained.exists()  # the first step of a process is slow
    config = tiny_config(steps=1_000_000, seconds=2.0, checkpoint__every=1_000_000, schedule__floor=0.1)
    outcome = train(Request((place,), tmp_path / "model", config))
    steps = [event for event in read_events(tmp_path / "model" / "events") if event["kind"] == "step"]
    seconds = [128 / float(str(event["tokens_per_second"])) for event in steps]
    assert sum(seconds) >= 2.0 > sum(seconds[:-1])
    assert (outcome.step, outcome.signal) == (len(steps), None)
    assert latest(tmp_path / "model").step == outcome.step
    rates = [float(str(event["learning_rate"])) for event in steps]
    assert max(rates) > 5 * rates[-1]
    # One whose seconds are gone is left as it is; with more of them it goes on.
    again = replace(Request((place,), tmp_path / "model", config), resume=True)
    assert train(again).step == outcome.step
    assert train(replace(again, config=config.model_copy(update={"seconds": 2.1}))).step > outcome.step


@pytest.mark.slow
def test_only_the_last_and_the_best_checkpoints_stay(tmp_path: Path, place: str) -> None:
    config = tiny_config(steps=12, optimizer__learning_rate=0.02, checkpoint__keep_last=2)
    train(Request((place,), tmp_path / "model", config))
    found = checkpoints(tmp_path / "model")
    best = found[-1].state["best"]
    assert isinstance(best, dict)
    assert {checkpoint.step for checkpoint in found} == {10, 12, best["step"]}


def test_a_finished_training_is_left_as_it_is(place: str, trained: Path) -> None:
    before = hashes(trained, 6)
    outcome = train(Request((place,), trained, tiny_config(), resume=True))
    assert (outcome.step, outcome.last) == (6, None)
    assert hashes(trained, 6) == before


def test_more_steps_go_on_with_a_finished_training(tmp_path: Path, place: str, trained: Path) -> None:
    shutil.copytree(trained, tmp_path / "model")
    assert train(Request((place,), tmp_path / "model", tiny_config(steps=8), resume=True)).step == 8


@pytest.mark.slow
def test_resume_into_nothing_begins(tmp_path: Path, place: str, trained: Path) -> None:
    train(Request((place,), tmp_path / "model", tiny_config(), resume=True))
    assert hashes(tmp_path / "model", 6) == hashes(trained, 6)


def test_a_used_folder_is_not_written_to(tmp_path: Path, place: str) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for resume in (False, True):
        with pytest.raises(UserError, match="the output is not empty"):
            train(Request((place,), tmp_path, tiny_config(), resume=resume))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"optimizer__learning_rate": 0.5}, r"optimizer\.learning_rate changed"),
        ({"model__experts": 8}, r"model\.experts changed"),
        ({"data__sequence": 16}, r"data\.sequence changed"),
        ({"loss__balance": "switch"}, r"loss\.balance changed"),
    ],
)
def test_another_configuration_is_refused_by_name(
    place: str, trained: Path, changes: dict[str, object], told: str
) -> None:
    before = hashes(trained, 6)
    with pytest.raises(UserError, match=told):
        train(Request((place,), trained, tiny_config(steps=9, **changes), resume=True))
    assert hashes(trained, 6) == before


def test_another_tokenizer_is_refused(tmp_path: Path, place: str, trained: Path) -> None:
    file = tmp_path / "other.model"
    file.write_bytes(tokenizer_of(place, 390).data)
    with pytest.raises(UserError, match=r"another tokenizer \(of 400 tokens, not 390"):
        train(Request((place,), trained, tiny_config(), file, resume=True))


def test_other_shards_are_refused(tmp_path: Path, trained: Path) -> None:
    other = write_run(tmp_path / "run", make_documents(200, seed=9))
    with pytest.raises(UserError, match="other shards"):
        train(Request((other,), trained, tiny_config(steps=9), resume=True))


def test_no_cuda_is_said_before_anything_is_written(tmp_path: Path, place: str) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(UserError, match="no CUDA device"):
        train(Request((place,), tmp_path / "model", tiny_config(), device="cuda"))
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("languages", [("xx",), ("en", "xx")])
def test_an_empty_language_is_said_before_anything_is_written(
    tmp_path: Path, place: str, languages: tuple[str, ...]
) -> None:
    with pytest.raises(UserError, match="there is no document in xx"):
        train(Request((place,), tmp_path / "model", tiny_config(data__languages=languages)))
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("weights", "told"), [((1, 2), "weights in data.weights: 2, runs: 1"), ((0,), "a weight that is not above 0")]
)
def test_weights_that_will_not_do_are_said_before_a_tokenizer_is_trained(
    tmp_path: Path, place: str, weights: tuple[float, ...], told: str
) -> None:
    events: list[Event] = []
    with pytest.raises(UserError, match=told):
        train(Request((place,), tmp_path / "model", tiny_config(data__weights=weights)), (events.append,))
    assert events == []
    assert not (tmp_path / "model").exists()


def test_a_checkpoint_with_nan_is_refused_and_left(tmp_path: Path, place: str, trained: Path) -> None:
    output = tmp_path / "model"
    shutil.copytree(trained, output)
    path = latest(output).folder / "model.safetensors"
    tensors = load_file(path)
    tensors["norm_D"][3] = torch.nan
    save_file(tensors, path)
    state = json.loads((path.parent / "state.json").read_text())
    state["files"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (path.parent / "state.json").write_text(json.dumps(state))
    before = hashes(output, 6) | {"training.json": (output / "training.json").read_text()}
    with pytest.raises(DataError, match="norm_D holds what is no number"):
        train(Request((place,), output, tiny_config(steps=9), resume=True))
    assert hashes(output, 6) | {"training.json": (output / "training.json").read_text()} == before


def test_a_checkpoint_that_changed_is_refused(tmp_path: Path, place: str, trained: Path) -> None:
    output = tmp_path / "model"
    shutil.copytree(trained, output)
    path = latest(output).folder / "optimizer.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="not as it was written"):
        train(Request((place,), output, tiny_config(steps=9), resume=True))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot be read"),
        ('{"format": 1}', "has no step, state and files"),
        ('{"format": 1, "step": 6, "files": {}, "state": []}', "has no step, state and files"),
        ('{"format": 2}', "is no checkpoint of format 1"),
    ],
)
def test_a_state_that_is_none_is_refused(tmp_path: Path, place: str, trained: Path, text: str, told: str) -> None:
    output = tmp_path / "model"
    shutil.copytree(trained, output)
    (latest(output).folder / "state.json").write_text(text)
    with pytest.raises(DataError, match=told):
        train(Request((place,), output, tiny_config(steps=9), resume=True))


@pytest.mark.parametrize("key", ["best", "optimizer", "alarms", "data", "tokens", "scaler"])
def test_a_state_without_one_of_its_parts_is_refused_by_name(
    tmp_path: Path, place: str, trained: Path, key: str
) -> None:
    output = tmp_path / "model"
    shutil.copytree(trained, output)
    path = latest(output).folder / "state.json"
    values = json.loads(path.read_text())
    del values["state"][key]
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match=f"is no state of a training: {key}: is required"):
        train(Request((place,), output, tiny_config(steps=9), resume=True))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"shape": {}}, r"shape\.vocabulary: is required"),
        ({"tokenizer": {"file": "../../secret", "sha256": ""}}, r"tokenizer\.file: expected 'tokenizer\.model'"),
        ({"sources": [{}]}, r"sources\.0\.place: is required"),
        ({"config": []}, "config: expected a mapping"),
        ({"config": {"step": 1}}, r"unknown key 'step' \(did you mean 'steps'\?\)"),
    ],
)
def test_a_description_that_is_none_is_refused_by_name(
    tmp_path: Path, trained: Path, change: dict[str, object], told: str
) -> None:
    output = tmp_path / "model"
    shutil.copytree(trained, output)
    values = json.loads((output / "training.json").read_text())
    (output / "training.json").write_text(json.dumps(values | change))
    with pytest.raises(CuratorError, match=told):
        load_decoder(ModelDirectory(output), torch.device("cpu"))


RISING: dict[str, object] = {
    "steps": 400,
    "schedule__warmup": 400,
    "optimizer__learning_rate": 20.0,
    "alarms__divergence": 1.2,
    "alarms__divergence_steps": 4,
    "validation__every": 400,
}
"""A rate that grows from step to step: after some twenty, the loss does, too."""


def until_alarm(output: Path, place: str, told: str, config: TrainingConfig, *, resume: bool = False) -> AlarmError:
    with pytest.raises(AlarmError, match=told) as caught:
        train(Request((place,), output, config, resume=resume))
    assert read_events(output / "events")[-1]["kind"] == "alarm"
    return caught.value


@pytest.mark.slow
@pytest.mark.parametrize(("every", "keep_last"), [(5, 2), (1, 2), (1, 1)])
def test_a_training_that_diverged_goes_on_from_before_the_loss_rose(
    tmp_path: Path, place: str, every: int, keep_last: int
) -> None:
    """Also where every checkpoint that is kept for its age is from the time when the loss was too high."""
    output = tmp_path / "model"
    config = tiny_config(**RISING, checkpoint__every=every, checkpoint__keep_last=keep_last)
    error = until_alarm(output, place, "the loss diverged: .* for 4 steps above 1.2 times", config)
    last = max(losses(output))
    good = latest(output)
    # The step of the alarm is no event; the first of four losses that were too high is what the state before it gave.
    assert last - 3 - every <= good.step < last - 3
    state = training_state(good).alarms
    assert state.above == 0
    assert error.hint == f"{AGAIN}: it goes on from step {good.step}, before that; {LESS}"
    hotter = tiny_config(**RISING | {"alarms__divergence": 1e9}, checkpoint__every=every, checkpoint__keep_last=9)
    before = len(read_events(output / "events"))
    train_until(last + 2, Request((place,), output, hotter, resume=True))
    taken = [event["step"] for event in read_events(output / "events")[before:] if event["kind"] == "step"]
    assert taken == list(range(good.step + 1, last + 3))
    # What was taken again is what was taken before, and what a training without alarms takes.
    train_until(last + 2, Request((place,), tmp_path / "other", hotter))
    assert hashes(output, last + 2)["model.safetensors"] == hashes(tmp_path / "other", last + 2)["model.safetensors"]


@pytest.mark.slow
def test_a_loss_that_is_no_number_leaves_no_checkpoint_of_the_state_that_gave_it(tmp_path: Path, place: str) -> None:
    output = tmp_path / "model"
    config = tiny_config(
        **RISING | {"schedule__warmup": 80, "alarms__divergence": 1e9},
        precision="fp16",
        optimizer__clip_norm=1e30,
        checkpoint__every=1,
    )
    error = until_alarm(output, place, "is no number", config)
    last = max(losses(output))
    assert last > 3
    found = latest(output)
    assert found.step == last - 1
    assert found.tensors("model")
    assert error.hint is not None
    assert f"{AGAIN}: it goes on from step {last - 1}" in error.hint
    until_alarm(output, place, f"step {last + 1}: .* is no number", config, resume=True)
    assert latest(output).step == last - 1


@pytest.mark.slow
def test_a_training_that_diverged_at_once_leaves_its_log_and_begins_anew(tmp_path: Path, place: str) -> None:
    output = tmp_path / "model"
    config = tiny_config(optimizer__learning_rate=1e30, optimizer__clip_norm=1e30, schedule__warmup=0)
    for resume in (False, True):
        error = until_alarm(output, place, "step 2: .* is no number", config, resume=resume)
        assert error.hint == f"no checkpoint is from before it; {LESS}"
        assert not checkpoints(output)
        assert set(losses(output)) == {1}


@pytest.mark.slow
def test_the_state_of_the_lowest_validation_loss_stays_though_the_next_loss_was_too_high(
    tmp_path: Path, place: str
) -> None:
    output = tmp_path / "model"
    every = {"checkpoint__every": 1, "validation__every": 1}
    config = tiny_config(**every, steps=90, data__batch=1, alarms__divergence=1.0001, alarms__divergence_steps=1)
    until_alarm(output, place, "the loss diverged: .* for 1 steps", config)
    found = latest(output)
    assert found.step == training_state(found).best.step == max(losses(output))


def test_a_checkpoint_that_finds_no_memory_is_said(tmp_path: Path) -> None:
    class Full(UserDict[str, torch.Tensor]):
        """Tensors for whose copies there is no room."""

        def __iter__(self) -> NoReturn:
            raise MemoryError

    writer = CheckpointWriter(tmp_path)
    told = r"a checkpoint cannot be written: out of memory \(make room, then "
    writer.write(1, {"model": Full()}, {})
    with pytest.raises(TransientError, match=told + f"{AGAIN}: it begins anew, as there is no"):
        writer.wait()
    assert not checkpoints(tmp_path)
    writer.write(2, {"model": {"weight": torch.zeros(1)}}, {})
    writer.write(3, {"model": Full()}, {})
    with pytest.raises(TransientError, match=told + f"{AGAIN}: the checkpoint before is whole"):
        writer.wait()
    assert [found.step for found in checkpoints(tmp_path)] == [2]


@pytest.mark.slow
def test_no_memory_is_said_and_leaves_nothing(tmp_path: Path, place: str) -> None:
    with pytest.raises(UserError, match="out of memory"):
        train(Request((place,), tmp_path / "model", tiny_config(model__expert_width=MOST, model__width=MOST)))
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_an_alarm_in_the_first_step_leaves_nothing(tmp_path: Path, place: str) -> None:
    config = tiny_config(loss__balance="switch", loss__balance_weight=1e300)
    with pytest.raises(AlarmError, match=r"step 1: .* is no number"):
        train(Request((place,), tmp_path / "model", config))
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_a_training_whose_folder_is_removed_says_what_cannot_be_written(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curator.run.events.PIECE_SECONDS", 0.0)

    def remove(event: Event) -> None:
        if event["kind"] == "step":
            shutil.rmtree(tmp_path / "model", ignore_errors=True)

    with pytest.raises(TransientError, match=r"events/\d+\.jsonl: cannot be written: No such file"):
        train(Request((place,), tmp_path / "model", tiny_config()), (remove,))
    assert not (tmp_path / "model").exists()


def test_dead_experts_stop_a_training(tmp_path: Path, place: str) -> None:
    config = tiny_config(
        steps=60,
        model__experts=64,
        model__experts_per_token=1,
        loss__balance="none",
        alarms__dead_expert_steps=2,
        data__batch=1,
        data__sequence=8,
        checkpoint__every=50,
        validation__every=50,
    )
    with pytest.raises(CuratorError, match="without a token for 2 steps"):
        train(Request((place,), tmp_path / "model", config))
    assert latest(tmp_path / "model").step >= 2


def test_a_model_knows_its_run_also_after_documents_were_forgotten(trained: Path, place: str, tmp_path: Path) -> None:
    description = read_description(ModelDirectory(trained))
    before = open_corpus(place)
    # `curator forget` leaves the fingerprint as it was.
    after = replace(before, shards=before.shards[1:], groups=before.groups[1:])
    assert before.identity != after.identity
    other = open_corpus(write_run(tmp_path / "other", make_documents(20), name="other"))
    assert [description.is_of(corpus) for corpus in (before, after, other)] == [True, True, False]


def test_a_model_that_was_trained_is_loaded(trained: Path) -> None:
    decoder, tokenizer, description, step = load_decoder(ModelDirectory(trained), torch.device("cpu"))
    assert (step, tokenizer.vocabulary) == (6, 400)
    assert decoder.config == description.shape


def test_a_model_with_another_tokenizer_is_refused(tmp_path: Path, place: str, trained: Path) -> None:
    shutil.copytree(trained, tmp_path / "model")
    (tmp_path / "model" / "tokenizer.model").write_bytes(tokenizer_of(place, 390).data)
    with pytest.raises(DataError, match="390 tokens, the model 400"):
        load_decoder(ModelDirectory(tmp_path / "model"), torch.device("cpu"))


@pytest.mark.slow
def test_the_same_configuration_gives_the_same_model(tmp_path: Path, place: str, trained: Path) -> None:
    train(Request((place,), tmp_path / "model", tiny_config()))
    assert hashes(tmp_path / "model", 6) == hashes(trained, 6)
