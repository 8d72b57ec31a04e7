"""How parameters follow gradients: AdamW, Lion, a hybrid of both, and Muon.

AdamW is the fused operation of `model.kernels.adamw`. Lion (Chen et al. 2023, https://arxiv.org/abs/2302.06675,
algorithm 2):

    u <- sign(beta1 m + (1 - beta1) g);   p <- p - rate (u + decay p);   m <- beta2 m + (1 - beta2) g

The hybrid takes AdamW, save in steps whose gradient norm before clipping is above a threshold: there it takes Lion,
whose step has the same length whatever the gradient's. The state of both moves in every step, so that either can go on
where the other stopped. Muon (`model.muon`) moves the hidden matrices, and AdamW the rest.

Parameters may lie in parts over ranks (`model.sharded`): each rank moves its own. Muon needs whole matrices, which are
gathered for it; those of experts lie whole on one rank.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from model.kernels import adamw_step
from model.muon import Blocks, directions
from model.sharded import local_part, part_of, total_norm, whole_of

ADAMW = "adamw"
LION = "lion"
MUON = "muon"


@dataclass(frozen=True)
class OptimizerSettings:
    """Which optimizer, and its numbers (see `curator.training.OptimizerSection`, whose fields these are)."""

    name: Literal["adamw", "lion", "hybrid", "muon"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    clip_norm: float = 1.0
    lion_beta1: float = 0.9
    lion_beta2: float = 0.99
    lion_rate: float = 0.2
    switch_norm: float = 2.0
    muon_momentum: float = 0.95


class Optimizer:
    """Moves the parameters of a model, by their gradients, and holds what it remembers of earlier ones. `matrices` are
    those that Muon moves."""

    def __init__(
        self, model: nn.Module, settings: OptimizerSettings, matrices: Mapping[str, Blocks] | None = None
    ) -> None:
        self._settings = settings
        self._parameters = dict(model.named_parameters())
        self._matrices = dict(matrices or {}) if settings.name == MUON else {}
        self.steps = 0
        self.switches = 0
        others = [name for name in self._parameters if name not in self._matrices]
        kinds = {
            "adamw": {"first": others, "second": others},
            "lion": {"momentum": others},
            "hybrid": {"first": others, "second": others, "momentum": others},
            "muon": {"first": others, "second": others, "velocity": list(self._matrices)},
        }
        self._state = {
            kind: {name: torch.zeros_like(self._parameters[name]) for name in names}
            for kind, names in kinds[settings.name].items()
        }

    def tensors(self) -> dict[str, Tensor]:
        """All state, by kind and the name of its parameter: to be written, or filled in place."""
        return {f"{kind}/{name}": tensor for kind, found in self._state.items() for name, tensor in found.items()}

    def choose(self, gradient_norm: float) -> str:
        """Which rule a step of this gradient norm follows: ADAMW, LION or MUON."""
        if self._settings.name == "hybrid":
            return LION if gradient_norm > self._settings.switch_norm else ADAMW
        return self._settings.name

    @torch.no_grad()
    def step(self, rate: float, gradient_norm: float, gradient_scale: Tensor) -> str:
        """Move every parameter; which rule was followed. `rate` is AdamW's learning rate, `gradient_norm` that of the
        whole gradient before clipping, `gradient_scale` a float32 scalar that gradients are multiplied by."""
        rule = self.choose(gradient_norm)
        self.steps += 1
        self.switches += rule == LION and self._settings.name == "hybrid"
        if "first" in self._state:
            self._step_adamw(rate if rule != LION else 0.0, gradient_scale)
        if "momentum" in self._state:
            self._step_lion(rate * self._settings.lion_rate if rule == LION else 0.0, gradient_scale)
        if "velocity" in self._state:
            self._step_muon(rate, gradient_scale)
        return rule

    def _step_adamw(self, rate: float, gradient_scale: Tensor) -> None:
        """With a rate of 0 only the moments move."""
        settings = self._settings
        for parameter, gradient, first, second in self._moving("first", "second"):
            adamw_step(
                parameter,
                gradient,
                first,
                second,
                step=self.steps,
                learning_rate=rate,
                beta1=settings.beta1,
                beta2=settings.beta2,
                epsilon=settings.epsilon,
                weight_decay=self._decay(parameter),
                gradient_scale=gradient_scale,
            )

    def _step_lion(self, rate: float, gradient_scale: Tensor) -> None:
        settings = self._settings
        for parameter, gradient, momentum in self._moving("momentum"):
            scaled = gradient * gradient_scale
            if rate:
                update = torch.lerp(scaled, momentum, settings.lion_beta1).sign_()
                parameter.mul_(1 - rate * self._decay(parameter)).add_(update, alpha=-rate)
            momentum.lerp_(scaled, 1 - settings.lion_beta2)

    def _step_muon(self, rate: float, gradient_scale: Tensor) -> None:
        settings = self._settings
        for name, blocks in self._matrices.items():
            parameter = self._parameters[name]
            if parameter.grad is None:
                continue
            velocity, own = local_part(self._state["velocity"][name]), local_part(parameter.data)
            scaled = local_part(parameter.grad) * gradient_scale
            velocity.lerp_(scaled, 1 - settings.muon_momentum)
            update = torch.lerp(scaled, velocity, settings.muon_momentum)
            if parameter.dim() > 2:  # many matrices, which are divided between them
                direction = directions(update, blocks)
            else:
                direction = part_of(directions(whole_of(update, parameter), blocks), parameter)
            own.mul_(1 - rate * self._decay(parameter)).add_(direction, alpha=-rate)

    def _decay(self, parameter: Tensor) -> float:
        """Norms have no weight decay: they have one number for each channel, and 0 is no place to go to."""
        return self._settings.weight_decay if parameter.dim() > 1 else 0.0

    def _moving(self, *kinds: str) -> Iterable[tuple[Tensor, ...]]:
        """This rank's part of each parameter that state of these kinds moves, of its gradient, and of that state."""
        for name in self._state[kinds[0]]:
            parameter = self._parameters[name]
            if parameter.grad is not None:
                state = (local_part(self._state[kind][name]) for kind in kinds)
                yield local_part(parameter.data), local_part(parameter.grad), *state


def gradient_norm(model: nn.Module) -> Tensor:
    """The Euclidean norm of the whole gradient, of all ranks' parts, in float32: a scalar."""
    return total_norm([parameter.grad for parameter in model.parameters() if parameter.grad is not None])


class LossScaler:
    """Scales the loss so that gradients of float16 activations do not vanish (Micikevicius et al. 2018,
    https://arxiv.org/abs/1710.03740, section 3.2): halved when a gradient overflows, and that step is left out; doubled
    after GROWTH_STEPS steps that did not."""

    GROWTH_STEPS = 1000

    def __init__(self, scale: float = 1.0, good_steps: int = 0) -> None:
        self.scale = scale
        self.good_steps = good_steps

    def overflowed(self) -> None:
        """A gradient was not finite."""
        self.scale, self.good_steps = self.scale / 2, 0

    def succeeded(self) -> None:
        """A step was taken."""
        self.good_steps += 1
        if self.good_steps == self.GROWTH_STEPS:
            self.scale, self.good_steps = self.scale * 2, 0
