"""Perceptrons on encodings, as in BANANAS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...encoders import Encoder
from ..base import Floats
from ..checks import check_real
from .cost import perceptron
from .ensemble import NeuralPredictor
from .inputs import learned_scaling, scaled

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .training import Inputs


PENALTIES = (0.05, 0.1, 0.2, 0.4, 0.8)
"""What `penalty=None` chooses from: from targets that are nearly without noise to those that are noise above all."""
_SAFE_PENALTY = 0.4
"""With so few observations that nothing is left out to choose by."""


class PerceptronPredictor(NeuralPredictor):
    """An ensemble of multilayer perceptrons on any encoding.

    Quantities are standardised, indicators are read as they are, and all are scaled together so that the square of a
    row is the number of columns on average. What no training architecture varies in, such as a path that none has, is
    not read: its weights would stay what they were drawn as.

    Weights keep, as a prior, the Gaussian that they are drawn from, and a fit looks for the most probable ones: the
    mean squared error is joined by `penalty / n` times the squares of the weights in units of their variance. Weight
    decay in its place, which takes the same share off every weight while Adam moves the weights of a path that one
    architecture has as far as any other, lets a perceptron learn a hundred observations by heart.

    Parameters
    ----------
    encoder, width, depth, n_members, steps, batch_size, learning_rate, loss, ranking_weight, target_transform, device,
    n_jobs, seed
        See `NeuralPredictor`.
    penalty : float, optional
        The variance of the noise that the prior is weighed against, in units of the variance of the targets. By default
        ensembles with 0.05, 0.1, 0.2, 0.4 and 0.8 are trained at once, and the one stays that errs least on what its
        members left out.

    Attributes
    ----------
    penalty_ : float
        The penalty that was chosen.

    References
    ----------
    White, Neiswanger and Savani, "BANANAS: Bayesian optimization with neural architectures for neural architecture
    search", AAAI 2021: an ensemble of five perceptrons on the path encoding (`bananas`).
    """

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        width: int = 64,
        depth: int = 3,
        n_members: int = 5,
        steps: int = 300,
        batch_size: int = 128,
        learning_rate: float = 5e-3,
        penalty: float | None = None,
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
            weight_decay=0.0,
            loss=loss,
            ranking_weight=ranking_weight,
            target_transform=target_transform,
            device=device,
            n_jobs=n_jobs,
            seed=seed,
        )
        self.penalty = penalty

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.penalty is not None:
            check_real("penalty", self.penalty, -1e-300)

    def _penalties(self, choose: bool) -> tuple[float, ...]:
        if self.penalty is not None:
            return (float(self.penalty),)
        return PENALTIES if choose else (_SAFE_PENALTY,)

    def _learn_inputs(self, features: Floats) -> dict[str, NDArray[Any]]:
        scaling = learned_scaling(features, self.columns_)
        scaling[1, np.ptp(features, axis=0) == 0] = np.inf
        power = np.square(scaled(features, scaling)).sum(axis=1).mean()
        if power > 0:  # nothing varies among chains whose paths are all of their own, say
            scaling[1] *= np.sqrt(power / features.shape[1])
        return {"scaling": scaling}

    def _inputs(self, features: Floats) -> Inputs:
        rows: NDArray[np.float32] = scaled(features, self._learned["scaling"])
        return (rows,)

    def _multiplications(self, d: int) -> int:
        return perceptron(d, self.width, self.depth)

    def _network(self, members: int, generator: torch.Generator) -> nn.Module:
        from .networks import VectorNetwork

        return VectorNetwork(members, len(self.columns_), self.width, self.depth, generator)
