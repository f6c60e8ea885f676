"""What a warm-started training starts from: the parent's weights, morphed if that is possible, else copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import NoMorphismError
from ...spaces import Skeleton
from ...spaces.networks import build_network
from ..requests import TrainingRequest
from .copying import Inherited, copy_matching
from .morphism import morph
from .store import StoredWeights

if TYPE_CHECKING:
    from torch import Tensor


def warm_start(
    request: TrainingRequest,
    skeleton: Skeleton,
    stored: StoredWeights,
    parent_skeleton: Skeleton,
    inputs: Tensor | None = None,
) -> Inherited:
    """Return the weights that a training starts from.

    Parameters
    ----------
    request : TrainingRequest
        Its seed gives the weights that the parent does not.
    skeleton : Skeleton
        Of its network.
    stored : StoredWeights
        Of the parent.
    parent_skeleton : Skeleton
    inputs : Tensor, optional
        Examples for `morph`.

    Raises
    ------
    InvalidDataError
        If the parent's weights cannot be read.
    """
    child = request.architecture
    parent = child.space.parse([stored.architecture])[0]
    weights = stored.load()
    network = build_network(child, skeleton, seed=request.seed)
    try:
        found = morph(weights, parent, child, parent_skeleton, skeleton, seed=request.seed, inputs=inputs)
    except NoMorphismError:
        inherited = copy_matching(weights, network)
    else:
        own = network.state_dict()
        steps = f" ({'; '.join(found.steps)})" if found.steps else ""
        message = f"outputs preserved by a morphism{steps}, {found.share:.1%} of the parameters"
        inherited = Inherited({name: found.state[name].to(own[name]) for name in own}, found.share, message)
    origin = f"started from {stored.architecture} after epoch {stored.epochs}"
    return Inherited(inherited.state, inherited.share, f"{origin}: {inherited.message}")
