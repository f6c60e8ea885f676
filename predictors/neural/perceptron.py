"""Perceptrons on encodings, as in BANANAS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...encoders import Encoder
from ..base import Floats
from .ensemble import NeuralPredictor
from .inputs import learned_scaling, scaled

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .training import Inputs


class PerceptronPredictor(NeuralPredictor):
    """An ensemble of multilayer perceptrons on any encoding.

    Quantities are standardised, indicators are read as they are.

    Parameters
    ----------
    encoder, width, depth, n_members, steps, batch_size, learning_rate, weight_decay, loss, ranking_weight,
    target_transform, device, n_jobs, seed
        See `NeuralPredictor`.

    References
    ----------
    White, Neiswanger and Savani, "BANANAS: Bayesian optimization with neural architectures for neural architecture
    search", AAAI 2021: an ensemble of five perceptrons on the path encoding (`bananas`).
    """

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        width: int = 128,
        depth: int = 3,
        n_members: int = 5,
        steps: int = 400,
        batch_size: int = 128,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-1,
        loss: str = "hinge",
        ranking_weight: float = 1.0,
        target_transform: str = "rank_gaussian",
        device: str = "auto",
        n_jobs: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__(
            encoder,
            width=width,
            depth=depth,
            n_members=n_members,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            loss=loss,
            ranking_weight=ranking_weight,
            target_transform=target_transform,
            device=device,
            n_jobs=n_jobs,
            seed=seed,
        )

    def _learn_inputs(self, features: Floats) -> dict[str, NDArray[Any]]:
        return {"scaling": learned_scaling(features, self.columns_)}

    def _inputs(self, features: Floats) -> Inputs:
        rows: NDArray[np.float32] = scaled(features, self._learned["scaling"])
        return (rows,)

    def _network(self, generator: torch.Generator) -> nn.Module:
        from .networks import VectorNetwork

        return VectorNetwork(self.n_members, len(self.columns_), self.width, self.depth, generator)
