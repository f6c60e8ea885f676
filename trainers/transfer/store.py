"""`WeightStore`: a folder that keeps the weights of trained networks, one file a training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InvalidDataError
from ...files import replacing
from ..records import Fidelity, training_key
from ..requests import TrainingRequest

if TYPE_CHECKING:
    from torch import Tensor

_SUFFIX = ".safetensors"
_FIELD = "archcast"


@dataclass(frozen=True)
class StoredWeights:
    """Where the weights of a training are, and which training it was.

    Parameters
    ----------
    path : Path
    architecture : str
        In the native notation.
    fidelity : Fidelity
    seed : int
    epochs : int
        That were trained.
    warm_start : str, optional
        What that training started from itself.
    """

    path: Path
    architecture: str
    fidelity: Fidelity
    seed: int
    epochs: int
    warm_start: str | None

    def load(self) -> dict[str, Tensor]:
        """Return parameters and buffers by name.

        Raises
        ------
        InvalidDataError
            If the file cannot be read.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            state: dict[str, Tensor] = load_file(self.path)
        except (OSError, SafetensorError) as error:
            raise _unreadable(self.path, error) from None
        return state


class WeightStore:
    """Keeps weights of trainings in a folder, which may be shared by processes: files appear whole or not at all.

    Parameters
    ----------
    folder : str or Path
        Made if it is not there.

    Raises
    ------
    InvalidDataError
        If the folder cannot be made.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidDataError(f"cannot keep weights in {str(folder)!r}: {error.strerror}") from None

    def __len__(self) -> int:
        return sum(1 for _ in self.folder.glob(f"*{_SUFFIX}"))

    def __contains__(self, request: TrainingRequest) -> bool:
        return self._path(request).exists()

    def save(self, request: TrainingRequest, state: Mapping[str, Tensor], epochs: int) -> Path:
        """Keep the weights of a training, in place of those it had before, and return their file.

        Raises
        ------
        InvalidDataError
            If they cannot be written.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        content = {
            "architecture": str(request.architecture),
            "fidelity": request.fidelity.to_dict(),
            "seed": request.seed,
            "epochs": epochs,
            "warm_start": request.warm_start,
        }
        path = self._path(request)
        tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
        with replacing(path) as temporary:
            try:
                save_file(tensors, temporary, metadata={_FIELD: json.dumps(content)})
            except (OSError, SafetensorError) as error:
                raise InvalidDataError(f"cannot write weights to {str(path)!r}: {error}") from None
        return path

    def get(self, request: TrainingRequest) -> StoredWeights:
        """Return the weights that exactly this training has left.

        Raises
        ------
        InvalidDataError
            If there are none, or they cannot be read.
        """
        if request not in self:
            raise InvalidDataError(
                f"there are no weights of {request.architecture} with seed {request.seed} in {str(self.folder)!r}"
            )
        return _describe(self._path(request))

    def parent(self, request: TrainingRequest) -> StoredWeights:
        """Return the weights that a warm-started training starts from.

        They are of the same task, recipe and seed. Of several trainings of the parent, those of networks of the same
        size come first, then those of more epochs, of more data, and those that started from random weights.

        Raises
        ------
        InvalidArchitectureError
            If what it names is no architecture of the space.
        InvalidDataError
            If the parent was never trained, or its file cannot be read.
        """
        if request.warm_start is None:
            raise InvalidDataError(f"the training of {request.architecture} does not start from another's weights")
        parent = request.architecture.space.parse([request.warm_start])[0]
        pattern = f"{_lineage(replace(request, architecture=parent))}-*{_SUFFIX}"
        found = [_describe(path) for path in sorted(self.folder.glob(pattern)) if path != self._path(request)]
        if not found:
            raise InvalidDataError(
                f"the parent {request.warm_start} was never trained on task {request.task!r} with this recipe and seed "
                f"{request.seed}: there are no weights of it in {str(self.folder)!r}"
            )
        return max(found, key=lambda weights: _preference(weights, request.fidelity))

    def _path(self, request: TrainingRequest) -> Path:
        return self.folder / f"{_lineage(request)}-{request.key}{_SUFFIX}"


def _preference(weights: StoredWeights, wanted: Fidelity) -> tuple[Any, ...]:
    sizes = [(level.width, level.cells, level.resolution) for level in (weights.fidelity, wanted)]
    return sizes[0] == sizes[1], weights.epochs, weights.fidelity.data_share, weights.warm_start is None


def _lineage(request: TrainingRequest) -> str:
    """Return what all trainings of an architecture with one seed share, whatever their fidelity and their start."""
    spec, genotype = request.architecture.space.spec, request.architecture.genotype
    return training_key(spec, genotype, request.task, request.recipe, Fidelity(), request.seed)[:24]


def _describe(path: Path) -> StoredWeights:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            content = json.loads(file.metadata()[_FIELD])
        return StoredWeights(
            path,
            str(content["architecture"]),
            Fidelity.from_dict(content["fidelity"]),
            int(content["seed"]),
            int(content["epochs"]),
            content["warm_start"],
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> InvalidDataError:
    return InvalidDataError(f"cannot read weights from {str(path)!r}: {error}")
