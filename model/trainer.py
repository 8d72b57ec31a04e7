"""One training: a model, an optimizer and a loader, and the steps that move them. `model.train` drives it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from curator.errors import AGAIN, AGAIN_CHANGED, DataError, TransientError, UserError
from curator.training import TrainingConfig
from model.alarms import Alarms, alarm_state
from model.checkpoint import Checkpoint
from model.config import ModelConfig
from model.data.batch import Batch
from model.data.loader import full_state
from model.decoder import Decoder
from model.directory import fill
from model.kernels import linear_cross_entropy
from model.losses import LossSettings, move_router_bias
from model.metrics import Meter, StepMetrics, expert_loads
from model.muon import matrices_of
from model.optimizers import LossScaler, Optimizer, OptimizerSettings, gradient_norm
from model.ranks import Ranks
from model.schedule import rate_share
from model.state import training_state
from model.step import StepLosses, Tensors, add_gradients, to_tensors

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FIRST_SCALE = 65_536.0
"""Of float16's loss: torch's `GradScaler` begins with it too."""
SMALLEST_SCALE = 1.0
LESS = "in another output, a smaller optimizer.learning_rate may help"
"""What to do about a loss that rose or is no number."""
STORED = f"the state is in a checkpoint; change the configuration and start anew, or the alarms and {AGAIN_CHANGED}"
"""What to do about experts that got no token."""


class AlarmError(DataError):
    """A training that stopped by itself. The exit code is that of broken data."""


@dataclass
class Progress:
    """How far a training is."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    """Of steps alone, without validations and checkpoints."""
    best_loss: float = math.inf
    best_step: int | None = None


class Trainer:
    """Takes steps. Its state after each is `tensors` and `state`, and `restore` goes on from there, bit by bit."""

    def __init__(
        self, config: TrainingConfig, shape: ModelConfig, device: torch.device, ranks: Ranks, meter: Meter
    ) -> None:
        self.config = config
        self.device = device
        self._ranks = ranks
        self._meter = meter
        self.model = Decoder(shape, dtype=DTYPES[config.precision], recompute=config.recompute)
        self.model.initialise(config.seed)
        self._wrapped = ranks.wrap(self.model, device, config.parallel)
        self._parameters = dict(self.model.named_parameters())
        settings = OptimizerSettings(**config.optimizer.model_dump())
        self.optimizer = Optimizer(self.model, settings, matrices_of(self.model))
        self.alarms = Alarms(config.alarms)
        self.progress = Progress()
        self._scaler = LossScaler(FIRST_SCALE) if config.precision == "fp16" else None
        self._settings = LossSettings(config.loss.balance, config.loss.balance_weight, config.loss.router_z)
        self.average = (
            {}
            if config.average is None
            else {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        )

    def take_step(self, batch: Batch, epoch: int) -> tuple[StepMetrics, list[list[float]]]:
        """Learn from a batch (this rank's part of it). What happened, and the load of each layer's experts.

        AlarmError when the loss is no number or an alarm goes off: then nothing of the step was applied to the
        parameters in the first case, and all of it in the second. Of a divergence, `first_doubtful` says which states
        to go on from.
        """
        parts = [to_tensors(part, self.device) for part in batch.parts(self.config.accumulation)]
        losses, norm = self._gradient(parts)
        rate = self.config.optimizer.learning_rate * rate_share(
            self.progress.step, self._steps_in_all(), self.config.schedule
        )
        clip = min(1.0, self.config.optimizer.clip_norm / (norm + 1e-6))
        scale = torch.tensor(clip / (self._scaler.scale if self._scaler else 1.0), device=self.device)
        rule = self.optimizer.step(rate, norm, scale)
        if self._scaler:
            self._scaler.succeeded()
        if self.config.loss.balance == "bias":
            move_router_bias(self.model, losses.counts_LE, self.config.loss.bias_rate)
        self._follow()
        tokens = int(losses.tokens.item())
        self.progress.step += 1
        self.progress.tokens += tokens
        loads = expert_loads(losses.counts_LE)
        speed, mfu = self._meter.measure(tokens)
        self.progress.seconds += self._seconds(tokens / speed)
        metrics = StepMetrics(
            step=self.progress.step,
            loss=losses.total.item(),
            next_token=losses.next_token.item(),
            balance=losses.balance.item(),
            router_z=losses.router_z.item(),
            gradient_norm=norm,
            learning_rate=rate,
            rule=rule,
            tokens_per_second=speed,
            mfu=mfu,
            busiest_expert=max(map(max, loads)),
            epoch=epoch,
        )
        wrong = self.alarms.observe(metrics.next_token, losses.counts_LE.tolist())
        if wrong:
            raise AlarmError(f"step {metrics.step}: {wrong}", hint=LESS if self.alarms.has_diverged else STORED)
        return metrics, loads

    @property
    def first_doubtful(self) -> int:
        """The step from which on no state is known to be good: the one whose parameters gave the first of the losses in
        a row that were too high, or the last one, whose loss nobody has seen."""
        return self.progress.step - self.alarms.state.above

    @property
    def is_over(self) -> bool:
        """Whether its steps are taken, or its seconds are gone."""
        limit = self.config.seconds
        return self.progress.step >= self.config.steps or (limit is not None and self.progress.seconds >= limit)

    @torch.no_grad()
    def validate(self, batches: Sequence[Batch]) -> float:
        """The mean loss of the next token on held-out batches, in nats, by the average where one is kept."""
        total, weight = 0.0, 0.0
        with self._averaged():
            for batch in batches:
                part = to_tensors(batch, self.device)
                hidden_TD = self.model(part.inputs_T, part.documents).hidden_TD
                head_VD = self.model.head_VD.to(hidden_TD.dtype)
                found = linear_cross_entropy(hidden_TD, head_VD, part.targets_T, part.weights_T)
                total += found.total.item()
                weight += found.weight.item()
        self._ranks.rest(self.model)
        loss = total / weight
        if loss < self.progress.best_loss:
            self.progress.best_loss, self.progress.best_step = loss, self.progress.step
        self._meter.skip()
        return loss

    def skip_time(self) -> None:
        """Leave the time up to now out of the tokens a second."""
        self._meter.skip()

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """What a checkpoint holds as tensors, by file."""
        return {
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.tensors(),
            "average": self.average,
        }

    def state(self, binding: Mapping[str, object], lanes: Sequence[Mapping[str, object]]) -> dict[str, object]:
        """What a checkpoint holds beside tensors: JSON."""
        progress = self.progress
        return {
            "tokens": progress.tokens,
            "seconds": progress.seconds if self.config.seconds is not None else 0.0,
            "best": {
                "loss": None if math.isinf(progress.best_loss) else progress.best_loss,
                "step": progress.best_step,
                "sequences": self.config.validation.sequences,
            },
            "optimizer": {"steps": self.optimizer.steps, "switches": self.optimizer.switches},
            "alarms": self.alarms.as_json(),
            "scaler": None if self._scaler is None else [self._scaler.scale, self._scaler.good_steps],
            "data": full_state(binding, lanes),
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint. DataError when it is of another model, or not as it was written."""
        file = str(checkpoint.folder)
        with torch.no_grad():
            fill(dict(self.model.state_dict()), checkpoint.tensors("model"), file)
            fill(self.optimizer.tensors(), checkpoint.tensors("optimizer"), file)
            if self.average:
                fill(self.average, checkpoint.tensors("average"), file)
        state = training_state(checkpoint)
        self.progress = Progress(step=checkpoint.step, tokens=state.tokens, seconds=state.seconds)
        # A loss on other sequences is another measure: the lowest is looked for anew.
        if state.best.loss is not None and state.best.sequences == self.config.validation.sequences:
            self.progress.best_loss, self.progress.best_step = state.best.loss, state.best.step
        self.optimizer.steps, self.optimizer.switches = state.optimizer.steps, state.optimizer.switches
        self.alarms = Alarms(self.config.alarms, alarm_state(state.alarms.model_dump()))
        if self._scaler is not None and state.scaler is not None:
            self._scaler = LossScaler(*state.scaler)

    def _steps_in_all(self) -> int:
        """How many steps the training will have taken: those of the configuration, or what its seconds seem to be
        enough for."""
        progress, config = self.progress, self.config
        if config.seconds is None or not progress.seconds:
            return config.steps
        return min(config.steps, max(progress.step + 1, round(progress.step * config.seconds / progress.seconds)))

    def _seconds(self, own: float) -> float:
        """How long a step took: to all ranks the same, where something depends on it."""
        if self.config.seconds is None or self._ranks.size == 1:
            return own
        (together,) = self._ranks.add([torch.tensor(own, dtype=torch.float64, device=self.device)])
        return together.item() / self._ranks.size

    def _gradient(self, parts: Sequence[Tensors]) -> tuple[StepLosses, float]:
        """Leave the gradient of a batch, scaled, in the parameters; its losses, and its norm without the scale."""
        while True:
            scale = self._scaler.scale if self._scaler else 1.0
            for parameter in self._parameters.values():
                parameter.grad = None
            losses = add_gradients(
                self.model, parts, self._settings, ranks=self._ranks, wrapped=self._wrapped, scale=scale
            )
            norm = gradient_norm(self.model).item() / scale
            loss = losses.total.item()
            if math.isfinite(norm) and math.isfinite(loss):
                return losses, norm
            if self._scaler is None or not math.isfinite(loss) or scale <= SMALLEST_SCALE:
                what = "the loss" if not math.isfinite(loss) else "the gradient"
                raise AlarmError(
                    f"step {self.progress.step + 1}: {what} is no number",
                    hint=LESS,
                )
            # The same batch again, so that no batch is lost.
            self._scaler.overflowed()

    @torch.no_grad()
    def _follow(self) -> None:
        if self.config.average is not None:
            for name, parameter in self._parameters.items():
                self.average[name].lerp_(parameter, 1 - self.config.average)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        kept = {name: parameter.detach().clone() for name, parameter in self._parameters.items() if self.average}
        for name, average in self.average.items():
            self._parameters[name].copy_(average)
        try:
            yield
        finally:
            for name, before in kept.items():
                self._parameters[name].copy_(before)


SMALLER = f"make data.batch or data.sequence smaller, accumulation larger, or set recompute; {AGAIN_CHANGED}"
"""What to do where a training has too little memory."""


def out_of_memory(error: RuntimeError | MemoryError, hint: str = SMALLER) -> UserError | None:
    """The error to tell when torch or NumPy found no memory; None when this is another error."""
    told = isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
    return UserError("out of memory", hint=hint) if told else None


@contextmanager
def saying_out_of_memory(hint: str) -> Iterator[None]:
    """Turn what torch or NumPy raise when they find no memory into UserError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        told = out_of_memory(error, hint)
        if told is None:
            raise
        raise told from error


def lost_process(error: RuntimeError | MemoryError) -> TransientError | None:
    """The error to tell when another process of the training is gone; None when this is another error."""
    # gloo's errors have no class of their own, but say where in its sources they arose.
    if isinstance(error, torch.distributed.DistError) or "gloo" in str(error):
        return TransientError(
            "another process of the training is gone",
            hint=f"what it told says why; {AGAIN}: it goes on from the last checkpoint",
        )
    return None
