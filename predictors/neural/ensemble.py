"""Deep ensembles: networks that start apart and see different parts of the observations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...encoders import Encoder
from ...torch_runtime import limited_threads, require_torch, torch_device
from ..base import Floats, Predictor
from ..checks import check_choice, check_integer, check_real
from .cost import FOLDS, training_seconds
from .inputs import check_network

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .training import Inputs, Recipe

LOSS_NAMES = ("mse", "hinge", "logistic", "kendall", "list_mle", "approx_ndcg")
_FOLDS = 10
"""Each member leaves out another tenth of the observations."""
_LEAST_OBSERVATIONS = 5
"""With fewer there is nothing to be learned from leaving some out; the noise is the spread of the targets."""
_LEAST_SHARE = 0.25
"""The least share of the left-out error that counts as noise."""
_MEMBERS_LEFT_OUT = 2
"""The members that forecast a fold without having seen it: the fewest that can disagree."""


class NeuralPredictor(Predictor):
    """An ensemble of networks that are trained at once (Lakshminarayanan, Pritzel and Blundell, NeurIPS 2017).

    Members start from different weights, see the observations in a different order, and each leaves out another tenth
    of them. The forecast is their mean. Its deviation adds two things up: how far the members disagree, and noise,
    which is what the errors on left-out observations hold beyond disagreement.

    Subclasses implement `_learn_inputs`, `_inputs`, `_multiplications` and `_network`.

    Parameters
    ----------
    encoder, target_transform, seed
        See `Predictor`.
    width : int
        Of the hidden layers; a multiple of 4.
    depth : int
        Hidden layers.
    n_members : int
    steps : int
        Steps of the optimiser; the time of a fit hardly depends on the number of observations.
    batch_size : int
        Observations that each member sees in a step.
    learning_rate, weight_decay : float
        Of AdamW (Loshchilov and Hutter, ICLR 2019); the rate rises over a tenth of the steps, then falls to 0.
    loss : {"hinge", "logistic", "kendall", "list_mle", "approx_ndcg", "mse"}
        The ranking loss that joins the squared error, see `predictors/neural/losses.py`; none with `"mse"`.
    ranking_weight : float
        The weight of the ranking loss.
    device : str
        `"auto"` (a GPU if there is one), `"cpu"`, `"cuda"` or `"cuda:1"`.
    n_jobs : int
        Threads of PyTorch while it fits and forecasts; the setting of the process stays as it is.
    """

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        width: int = 32,
        depth: int = 3,
        n_members: int = 5,
        steps: int = 400,
        batch_size: int = 128,
        learning_rate: float = 5e-3,
        weight_decay: float = 1e-2,
        loss: str = "hinge",
        ranking_weight: float = 1.0,
        target_transform: str = "rank_gaussian",
        device: str = "auto",
        n_jobs: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, target_transform=target_transform, seed=seed)
        self.width = width
        self.depth = depth
        self.n_members = n_members
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.loss = loss
        self.ranking_weight = ranking_weight
        self.device = device
        self.n_jobs = n_jobs

    # ---- what a subclass says -----------------------------------------------------------------------------------

    @abstractmethod
    def _learn_inputs(self, features: Floats) -> dict[str, NDArray[Any]]:
        """Return what the inputs of the network need to know of the training features, as arrays."""

    @abstractmethod
    def _inputs(self, features: Floats) -> Inputs:
        """Return the arrays that the network reads, one row an architecture each."""

    @abstractmethod
    def _multiplications(self, d: int) -> int:
        """Return how often the network multiplies, in one member, to forecast one row of `d` columns."""

    @abstractmethod
    def _network(self, members: int, generator: torch.Generator) -> nn.Module:
        """Return a new network; parameters named `trunk.` may come from a pre-training."""

    def _start(self, network: nn.Module, n: int) -> float | None:
        """Put pre-trained weights into the network that `n` observations will train.

        Returns the learning rate of the trunk relative to all others; None if nothing was pre-trained.
        """
        return None

    # ---- fitting ------------------------------------------------------------------------------------------------

    def _fit(self, features: Floats, z: Floats) -> None:
        self._check_parameters()
        torch = require_torch()
        from .training import forecasts, train

        device = torch_device(self.device, double=True)
        target = z[:, 0]
        # trained around zero and at unit scale, so that rates and penalties mean the same whatever the transform
        self._centre, self._scale = float(target.mean()), float(target.std())
        standard = (target - self._centre) / self._scale
        self._learned = self._learn_inputs(features)
        inputs = self._inputs(features)
        rng = np.random.default_rng([self.seed, 0])
        outside = _left_out(len(target), self.n_members, rng)
        penalties = self._penalties(bool(outside.any()))
        members = len(penalties) * self.n_members
        with limited_threads(self.n_jobs):
            network = self._network(members, torch.Generator().manual_seed(self.seed))
            recipe = self._recipe(np.repeat(penalties, self.n_members), self._start(network, len(target)))
            parts = [np.flatnonzero(~out) for out in outside] * len(penalties)
            train(network, inputs, standard, parts, recipe, rng, device)
            at_training = forecasts(network, inputs, members, device).reshape(len(penalties), self.n_members, -1)
        best = _least_error(standard, at_training, outside)
        self.penalty_ = penalties[best]
        kept = slice(best * self.n_members, (best + 1) * self.n_members)
        self._weights = {k: v[kept].float().cpu().numpy().copy() for k, v in network.state_dict().items()}
        self._noise = _noise(standard, at_training[best], outside)

    def _penalties(self, choose: bool) -> tuple[float, ...]:
        """Return the penalties on the weights that ensembles are trained with; one only if there is no choice."""
        return (0.0,)

    def _check_parameters(self) -> None:
        check_network(self.width, self.depth, self.n_jobs)
        for name in ("steps", "batch_size"):
            check_integer(name, getattr(self, name), 1)
        check_integer("n_members", self.n_members, 2)
        check_real("learning_rate", self.learning_rate, 0.0)
        for name in ("weight_decay", "ranking_weight"):
            check_real(name, getattr(self, name), -1e-300)
        check_choice("loss", self.loss, LOSS_NAMES)

    def _recipe(self, penalties: Floats, pretrained_rate: float | None) -> Recipe:
        from .training import Recipe

        return Recipe(
            steps=self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            penalties=tuple(penalties.tolist()),
            loss=self.loss,
            ranking_weight=self.ranking_weight,
            pretrained_rate=pretrained_rate,
        )

    def _left_out(self, features: Floats, z: Floats, folds: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return what pairs of members forecast that are trained without a fold each, all at once."""
        torch = require_torch()
        from .training import forecasts, train

        device, inputs, each = torch_device(self.device, double=True), self._inputs(features), np.unique(folds)
        target = (z[:, 0] - self._centre) / self._scale
        parts = [np.flatnonzero(folds != fold) for fold in each for _ in range(_MEMBERS_LEFT_OUT)]
        with limited_threads(self.n_jobs):
            network = self._network(len(parts), torch.Generator().manual_seed(self.seed))
            recipe = self._recipe(np.full(len(parts), self.penalty_), self._start(network, len(target)))
            train(network, inputs, target, parts, recipe, np.random.default_rng([self.seed, 1]), device)
            members = forecasts(network, inputs, len(parts), device).reshape(len(each), _MEMBERS_LEFT_OUT, -1)
        own = members[np.searchsorted(each, folds), :, np.arange(len(folds))].T
        return self._summary(own)

    def _seconds(self, n: int, d: int) -> float:
        """Return the seconds of a fit, and of the members that are trained without each fold."""
        members = len(self._penalties(choose=True)) * self.n_members + _MEMBERS_LEFT_OUT * FOLDS
        return training_seconds(self.steps, members * min(self.batch_size, n) * self._multiplications(d))

    # ---- forecasting --------------------------------------------------------------------------------------------

    def _members(self, features: Floats) -> Floats:
        """Return the forecasts of the members on their own scale, `(members, n)`."""
        from .training import forecasts

        with limited_threads(self.n_jobs):
            return forecasts(
                self._restored(), self._inputs(features), self.n_members, torch_device(self.device, double=True)
            )

    def _restored(self) -> nn.Module:
        torch = require_torch()
        network = self._network(self.n_members, torch.Generator().manual_seed(0))
        network.load_state_dict({name: torch.from_numpy(value) for name, value in self._weights.items()})
        return network

    def _predict_mean(self, features: Floats) -> Floats:
        mean: Floats = self._centre + self._scale * self._members(features).mean(axis=0)
        return mean[:, None]

    def _predict(self, features: Floats) -> tuple[Floats, Floats]:
        return self._summary(self._members(features))

    def _summary(self, members: Floats) -> tuple[Floats, Floats]:
        """Return mean and deviation on the scale of the targets, both `(n, 1)`, from forecasts `(members, n)`."""
        std = np.sqrt(members.var(axis=0, ddof=1) + self._noise**2)
        return (self._centre + self._scale * members.mean(axis=0))[:, None], (self._scale * std)[:, None]

    # ---- saving -------------------------------------------------------------------------------------------------

    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        return {
            "scalars": np.array([self._centre, self._scale, self._noise, self.penalty_]),
            **{f"inputs/{name}": array for name, array in self._learned.items()},
            **{f"network/{name}": array for name, array in self._weights.items()},
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._centre, self._scale, self._noise, self.penalty_ = state["scalars"].tolist()
        self._learned, self._weights = (
            {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
            for prefix in ("inputs/", "network/")
        )
        self._restored()  # weights that do not fit the network are refused
        self._inputs(np.zeros((1, len(self.columns_))))


def _left_out(n: int, members: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which observations each member does not see, `(members, n)`."""
    if n < _LEAST_OBSERVATIONS:
        return np.zeros((members, n), dtype=np.bool_)
    folds = min(max(_FOLDS, members), n)
    fold = rng.permutation(n) % folds
    outside: NDArray[np.bool_] = fold == (np.arange(members) % folds)[:, None]
    return outside


def _least_error(target: Floats, ensembles: Floats, outside: NDArray[np.bool_]) -> int:
    """Return which of several ensembles, `(ensembles, members, n)`, errs least on what its members left out."""
    if len(ensembles) == 1:
        return 0
    return int(((ensembles - target) ** 2)[:, outside].mean(axis=1).argmin())


def _noise(target: Floats, members: Floats, outside: NDArray[np.bool_]) -> float:
    """Return the deviation of the noise, from the errors of members on what each left out.

    Let v be the variance between members. Such an error holds the noise and v, where the mean of all M members has
    v / M in its place; and a forecast's deviation adds v for the place it is made at. So the noise is what the errors
    hold beyond `(2 - 1 / M) v`.
    """
    if not outside.any():
        return float(target.std())
    errors = (target - members) ** 2
    between = np.broadcast_to(members.var(axis=0, ddof=1), errors.shape)
    left_out = errors[outside].mean()
    beyond = left_out - (2 - 1 / len(members)) * between[outside].mean()
    return float(np.sqrt(max(beyond, _LEAST_SHARE * left_out, 1e-6)))
