"""The training of a network, or of several seeds of it at once: epochs of steps, and measurements after each epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from .augmentation import AUGMENTATIONS, mixup_share
from .layouts import Layout
from .measures import LOSSES, METRICS, cross_entropy
from .recipe import Recipe

if TYPE_CHECKING:
    from .tasks import Task

Tensors = dict[str, tuple[Tensor, Tensor]]
"""Inputs and targets of each split, on the device."""

_ORDER, _SHARE, _AUGMENTATION = 1, 2, 3


class TrainingLoop:
    """Trains `R` networks, each with its own seed, and yields what is measured after every epoch.

    Nothing of one network depends on the others: a seed gives the same training alone and together.

    Parameters
    ----------
    network : nn.Module
        In the given layout.
    layout : Layout
    task : Task
    data : dict of pairs of tensors
        Of the task, on the device of the network.
    recipe : Recipe
    seeds : sequence of int
        One a network.
    epochs : int
    data_share : float
        Of the training examples, each seed its own part.
    mixed_precision : bool
        Compute with 16 bits where that is safe; on CUDA only.
    """

    def __init__(
        self,
        network: nn.Module,
        layout: Layout,
        task: Task,
        data: Tensors,
        recipe: Recipe,
        seeds: Sequence[int],
        *,
        epochs: int,
        data_share: float = 1.0,
        mixed_precision: bool = False,
    ) -> None:
        self.network, self.layout, self.task, self.data, self.recipe = network, layout, task, data, recipe
        self.epochs = epochs
        self.done = 0
        self.device = data["train"][0].device
        total = len(data["train"][0])
        kept = max(1, round(data_share * total))
        self.parts = [torch.randperm(total, generator=_generator(seed, _SHARE))[:kept] for seed in seeds]
        self.orders = [_generator(seed, _ORDER) for seed in seeds]
        self.augmenters = [_generator(seed, _AUGMENTATION) for seed in seeds]
        self.starts = [start for start in range(0, kept, recipe.batch_size) if start == 0 or start < kept - 1]
        self.optimizer = _optimizer(recipe, network, self.device)
        self.averaged = None if recipe.averaging is None else _averaged(network, recipe.averaging)
        half = torch.bfloat16 if self.device.type != "cuda" or torch.cuda.is_bf16_supported() else torch.float16
        self.autocast: Callable[[], Any] = lambda: torch.autocast(self.device.type, half, enabled=mixed_precision)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=mixed_precision and half == torch.float16)

    @property
    def evaluated(self) -> nn.Module:
        """The networks that are evaluated: the averaged ones if there are any."""
        return self.network if self.averaged is None else self.averaged

    @property
    def trained(self) -> nn.Module:
        """The networks that are evaluated, without what averaging and compilation have put around them."""
        module: nn.Module = self.network if self.averaged is None else self.averaged.module  # type: ignore[assignment]
        return getattr(module, "_orig_mod", module)

    def run(self) -> Iterator[list[dict[str, float]]]:
        """Train; after each epoch, `done` of them, yield the measurements of each network by name of the curve.

        Training losses and metrics are means over the epoch's batches as they were trained on, before each step.
        """
        while self.done < self.epochs:
            measured = {f"train/{name}": value for name, value in self._epoch(self.done).items()}
            self.done += 1
            splits = ["valid"]
            last = self.done == self.epochs
            if self.recipe.test == "every_epoch" or (self.recipe.test == "last_epoch" and last):
                splits.append("test")
            for split in splits:
                measured |= {f"{split}/{name}": value for name, value in self.evaluate(split).items()}
            columns = {name: value.double().cpu().tolist() for name, value in measured.items()}
            yield [{name: values[r] for name, values in columns.items()} for r in range(self.layout.replicas)]

    def state(self) -> dict[str, Tensor]:
        """Return all that the rest of the training depends on, by name: weights, optimizer, random numbers."""
        state = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        if self.averaged is not None:
            state |= {f"averaged/{name}": value for name, value in self.averaged.state_dict().items()}
        for place, values in self.optimizer.state_dict()["state"].items():
            state |= {f"optimizer/{place}/{name}": value for name, value in values.items() if value is not None}
        state |= {f"scaler/{name}": torch.tensor(value) for name, value in self.scaler.state_dict().items()}
        for kind, generators in (("order", self.orders), ("augmentation", self.augmenters)):
            state |= {f"{kind}/{place}": generator.get_state() for place, generator in enumerate(generators)}
        return state | {"random": torch.get_rng_state(), "done": torch.tensor(self.done)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state that `state` returned.

        Raises
        ------
        KeyError, RuntimeError, ValueError
            If it is the state of another training.
        """
        groups: dict[str, dict[str, Tensor]] = {}
        for name, value in state.items():
            kind, _, rest = name.partition("/")
            groups.setdefault(kind, {})[rest] = value
        self.network.load_state_dict(groups["network"])
        if self.averaged is not None:
            self.averaged.load_state_dict(groups["averaged"])
        known: dict[int, dict[str, Tensor]] = {}
        for name, value in groups.get("optimizer", {}).items():
            place, _, rest = name.partition("/")
            known.setdefault(int(place), {})[rest] = value
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": known})
        if "scaler" in groups:
            self.scaler.load_state_dict({name: value.item() for name, value in groups["scaler"].items()})
        for kind, generators in (("order", self.orders), ("augmentation", self.augmenters)):
            for number, generator in enumerate(generators):
                generator.set_state(groups[kind][str(number)])
        torch.set_rng_state(groups["random"][""])
        self.done = int(groups["done"][""])

    # ---- training -------------------------------------------------------------------------------------------------

    def _epoch(self, epoch: int) -> dict[str, Tensor]:
        self.network.train()
        orders = [
            part[torch.randperm(len(part), generator=generator)].to(self.device)
            for part, generator in zip(self.parts, self.orders, strict=True)
        ]
        sums: dict[str, Tensor] = {}
        seen = 0
        for number, start in enumerate(self.starts):
            progress = (epoch * len(self.starts) + number) / (self.epochs * len(self.starts))
            for group in self.optimizer.param_groups:
                group["lr"] = self.recipe.rate(progress)
            rows = [order[start : start + self.recipe.batch_size] for order in orders]
            measured = self._step(rows)
            size = len(rows[0])
            seen += size
            for name, value in measured.items():
                sums[name] = sums.get(name, 0) + size * value
        return {name: value / seen for name, value in sums.items()}

    def _step(self, rows: Sequence[Tensor]) -> dict[str, Tensor]:
        all_inputs, all_targets = self.data["train"]
        targets = torch.stack([all_targets[chosen] for chosen in rows])
        batches = [
            self._augmented(all_inputs[chosen], generator)
            for chosen, generator in zip(rows, self.augmenters, strict=True)
        ]
        shares = None
        if "mixup" in self.recipe.augmentation:
            drawn = [mixup_share(generator) for generator in self.augmenters]
            batches = [share * x + (1 - share) * x.flip(0) for share, x in zip(drawn, batches, strict=True)]
            shares = torch.tensor(drawn, dtype=all_inputs.dtype, device=self.device)[:, None]
        with self.autocast():
            outputs = self.layout.unpack(self.network(self.layout.pack(batches)))
        outputs = outputs.to(all_inputs.dtype)
        losses = self._losses(outputs, targets)
        if shares is not None:
            losses = shares * losses + (1 - shares) * self._losses(outputs, targets.flip(1))
        per_network = losses.mean(dim=1)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(per_network.sum()).backward()  # type: ignore[no-untyped-call]
        if self.recipe.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            self._clip(self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)  # type: ignore[operator]
        with torch.no_grad():
            return {"loss": per_network.detach(), **self._metrics(outputs, targets)}

    def _augmented(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        for name in self.recipe.augmentation:
            if name in AUGMENTATIONS:
                inputs = AUGMENTATIONS[name](inputs, generator)
        return inputs

    def _losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self.recipe.label_smoothing and self.task.loss == "cross_entropy":
            return cross_entropy(outputs, targets, self.recipe.label_smoothing)
        return LOSSES[self.task.loss].function(outputs, targets)

    def _metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        return {name: METRICS[name].function(outputs, targets).mean(dim=1) for name in self.task.metrics}

    def _clip(self, longest: float) -> None:
        """Shorten the gradient of each network by itself."""
        replicas = self.layout.replicas
        gradients = [p.grad.view(replicas, -1) for p in self.network.parameters() if p.grad is not None]
        if gradients:
            lengths = torch.stack([g.square().sum(dim=1) for g in gradients]).sum(dim=0).sqrt()
            factors = (longest / (lengths + 1e-12)).clamp(max=1.0)[:, None]
            for gradient in gradients:
                gradient.mul_(factors)

    # ---- evaluation -----------------------------------------------------------------------------------------------

    def evaluate(self, split: str) -> dict[str, Tensor]:
        """Return the loss and the metrics of each network on a split, `(R,)` each, by name."""
        self.evaluated.eval()
        inputs, targets = self.data[split]
        sums: dict[str, Tensor] = {}
        functions = {"loss": LOSSES[self.task.loss].function, **{m: METRICS[m].function for m in self.task.metrics}}
        with torch.inference_mode():
            at_once = max(1, self.layout.positions_at_once // inputs[0, 0].numel())
            for start in range(0, len(inputs), at_once):
                stop = start + at_once
                with self.autocast():
                    outputs = self.layout.unpack(self.evaluated(self.layout.spread(inputs[start:stop])))
                wanted = targets[None, start:stop].expand(self.layout.replicas, *targets[start:stop].shape)
                for name, function in functions.items():
                    sums[name] = sums.get(name, 0) + function(outputs.to(inputs.dtype), wanted).sum(dim=1)
        return {name: value / len(inputs) for name, value in sums.items()}


def _generator(seed: int, purpose: int) -> torch.Generator:
    """Return the stream of random numbers of a seed for one purpose."""
    state = np.random.SeedSequence((seed, purpose)).generate_state(1, dtype=np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


def _optimizer(recipe: Recipe, network: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    parameters = list(network.parameters())
    fused = device.type in ("cpu", "cuda")
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
            weight_decay=recipe.weight_decay,
            fused=fused,
        )
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    betas = (recipe.momentum, 0.999)
    return kind(parameters, recipe.learning_rate, betas=betas, weight_decay=recipe.weight_decay, fused=fused)


def _averaged(network: nn.Module, decay: float) -> nn.Module:
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    averaging = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=averaging, use_buffers=True)
