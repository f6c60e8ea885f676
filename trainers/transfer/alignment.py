"""Which part of a child's network continues which part of its parent's, with which weights, and what is new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...errors import NoMorphismError
from ...spaces.networks.edge_cells import EdgeCell
from ...spaces.networks.node_cells import NodeCell
from .growth import can_grow, grow
from .neutral import neutralised, prefixed, silenced


@dataclass
class Alignment:
    """What is known of a child's weights.

    Parameters
    ----------
    weights : dict of str to Tensor
        By name in the child; what is not there has no effect and may stay random.
    neutral : set of str
        Those among them that are not the parent's.
    identity_norms : list of str
        Normalisations of convolutions that were made identities.
    steps : list of str
        What was changed, in words.
    """

    weights: dict[str, Tensor] = field(default_factory=dict)
    neutral: set[str] = field(default_factory=set)
    identity_norms: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def add(self, prefix: str, weights: dict[str, Tensor], *, neutral: bool = False) -> None:
        """Add the weights of a part."""
        named = prefixed(prefix, weights)
        self.weights |= named
        if neutral:
            self.neutral |= named.keys()


def align(parent: nn.Module, child: nn.Module, generator: torch.Generator) -> Alignment:
    """Return the child's weights.

    Networks that are sequences are matched part by part: each part of the parent in its order, what the child has
    beyond them as identities. All else is matched as a whole.

    Raises
    ------
    NoMorphismError
        If a part of the parent has no counterpart, or a new part cannot be neutral.
    """
    found = Alignment()
    if type(parent) is not nn.Sequential or type(child) is not nn.Sequential:
        if _carry("", parent, child, found, generator):
            found.steps.append("grows the network")
        return found
    old, new = list(parent), list(child)
    partners = _partners(old, new)
    grown = []
    for position, module in enumerate(new):
        prefix, partner = f"{position}.", partners[position]
        if partner is None:
            edits = neutralised(module)
            assert edits is not None
            found.add(prefix, edits, neutral=True)
            found.identity_norms += _identity_norms(prefix, module, edits)
            found.steps.append(f"inserts module {position} as an identity")
        elif _carry(prefix, old[partner], module, found, generator):
            grown.append(str(position))
    if grown:
        found.steps.append(f"grows modules {', '.join(grown)}")
    return found


def _identity_norms(prefix: str, module: nn.Module, edits: dict[str, Tensor]) -> list[str]:
    parts = [name for name, part in module.named_modules() if isinstance(part, _BatchNorm)]
    return [f"{prefix}{name}" for name in parts if f"{name}.running_mean" in edits]


# ---- which part goes with which --------------------------------------------------------------------------------------


def _partners(old: Sequence[nn.Module], new: Sequence[nn.Module]) -> list[int | None]:
    """Return for each part of the child the part of the parent that it continues, or None where it is new."""
    if len(new) < len(old):
        raise NoMorphismError(f"the child has {len(new)} modules in a row, its parent {len(old)}")
    if len(new) == len(old):
        return list(range(len(old)))
    worst = -1
    free = [neutralised(module) is not None for module in new]
    # best[i][j]: most agreement of the first i parts of the parent with the first j of the child.
    best = [[worst] * (len(new) + 1) for _ in range(len(old) + 1)]
    best[0][0] = 0
    for i in range(len(old) + 1):
        for j in range(1, len(new) + 1):
            skipped = best[i][j - 1] if free[j - 1] else worst
            matched = worst
            if i and best[i - 1][j - 1] > worst:
                agreement = _agreement(old[i - 1], new[j - 1])
                matched = worst if not agreement else best[i - 1][j - 1] + agreement
            best[i][j] = max(skipped, matched)
    if best[-1][-1] == worst:
        kinds = [Counter(type(module).__name__ for module in modules) for modules in (new, old)]
        more = ", ".join(f"{count} {name}" for name, count in (kinds[0] - kinds[1]).items())
        raise NoMorphismError(
            f"the child has {len(new)} modules in a row and its parent {len(old)}: what it has more ({more}) cannot be "
            "made identities between the others"
        )
    partners: list[int | None] = [None] * len(new)
    i, j = len(old), len(new)
    while j:
        if free[j - 1] and best[i][j - 1] == best[i][j]:
            j -= 1
            continue
        i, j = i - 1, j - 1
        partners[j] = i
    return partners


def _agreement(old: nn.Module, new: nn.Module) -> int:
    """Return 0 if one part cannot continue the other, 2 if it can, 3 if their weights have the same shapes."""
    if _difference(old, new) is not None and not isinstance(old, (EdgeCell, NodeCell)):
        return 0
    if type(old) is not type(new):
        return 0
    shapes = [[value.shape for value in module.state_dict().values()] for module in (old, new)]
    return 3 if shapes[0] == shapes[1] else 2


def _difference(old: nn.Module, new: nn.Module) -> str | None:
    """Return what keeps the weights of one module from being grown into another, or None."""
    parts = dict(new.named_modules())
    for name, part in old.named_modules():
        other = parts.get(name)
        if type(part) is not type(other) or _fixed(part) != _fixed(other):
            return f"{name or type(part).__name__} is {_shown(part)} in the parent and {_shown(other)} in the child"
    state, target = old.state_dict(), new.state_dict()
    for name in sorted(state.keys() ^ target.keys()):
        return f"only one of them has {name}"
    for name, value in state.items():
        if not can_grow(value.shape, target[name].shape):
            return f"{name} would have to go from shape {tuple(value.shape)} to {tuple(target[name].shape)}"
    return None


def _fixed(module: nn.Module | None) -> dict[str, object]:
    """Return what must not change of a module: its stride, its dilation, whether it adds its input."""
    names = ["stride", "dilation", "adds"]
    if isinstance(module, (nn.AvgPool1d, nn.AvgPool2d, nn.MaxPool1d, nn.MaxPool2d)):
        names.append("kernel_size")
    return {name: getattr(module, name) for name in names if hasattr(module, name)}


def _shown(module: nn.Module | None) -> str:
    if module is None:
        return "missing"
    details = ", ".join(f"{name}={value}" for name, value in _fixed(module).items())
    return f"{type(module).__name__}({details})"


# ---- the weights of one part -----------------------------------------------------------------------------------------


def _carry(prefix: str, old: nn.Module, new: nn.Module, found: Alignment, generator: torch.Generator) -> bool:
    """Add the weights of a part that continues one of the parent's; return whether any of them had to grow."""
    where = f"module {prefix.rstrip('.')}" if prefix else "the network"
    if isinstance(old, EdgeCell) and isinstance(new, EdgeCell):
        return _carry_edges(prefix, where, old, new, found, generator)
    if isinstance(old, NodeCell) and isinstance(new, NodeCell):
        return _carry_nodes(prefix, where, old, new, found, generator)
    return _grow_all(prefix, where, old, new, found, generator)


def _grow_all(
    prefix: str, where: str, old: nn.Module, new: nn.Module, found: Alignment, generator: torch.Generator
) -> bool:
    difference = _difference(old, new)
    if difference is not None:
        raise NoMorphismError(f"{where} does not become the child's: {difference}")
    state, target = old.state_dict(), new.state_dict()
    found.add(prefix, {name: grow(value, target[name].shape, generator) for name, value in state.items()})
    return any(value.shape != target[name].shape for name, value in state.items())


def _carry_edges(
    prefix: str, where: str, old: EdgeCell, new: EdgeCell, found: Alignment, generator: torch.Generator
) -> bool:
    """Keep the edges that the parent's output depends on; silence those that are added to what they compute."""
    kept = {name: target for _, target, name in old.live}
    live = {name: target for _, target, name in new.live}
    for name in kept:
        if name not in live:
            raise NoMorphismError(
                f"edge {name} of {where} is {old.operations[name]!r} in the parent, and without effect in the child"
            )
    heard = {new.nodes - 1, *kept.values()}
    grown = False
    for name, target in live.items():
        part, named = f"{prefix}edges.{name}.", f"edge {name} of {where}"
        if name in kept:
            before, after = old.operations[name], new.operations[name]
            if before != after:
                _require_same_form(named, before, after, old.edges[name], new.edges[name])
                found.steps.append(f"turns {named} from {before} into {after}")
            grown |= _grow_all(part, named, old.edges[name], new.edges[name], found, generator)
            continue
        if target in heard:
            edits = silenced(new.edges[name])
            if edits is None:
                raise NoMorphismError(
                    f"{named} is new in the child, and nothing in {new.operations[name]!r} can make it begin as zero"
                )
            found.add(part, edits, neutral=True)
        found.steps.append(f"adds {new.operations[name]} on {named}")
    return grown


def _require_same_form(named: str, before: str, after: str, old: nn.Module, new: nn.Module) -> None:
    if _difference(old, new) is not None:
        raise NoMorphismError(f"{named} is {before!r} in the parent, which does not become {after!r}")


def _carry_nodes(
    prefix: str, where: str, old: NodeCell, new: NodeCell, found: Alignment, generator: torch.Generator
) -> bool:
    """Keep all nodes; silence edges from the input that are new."""
    added = [name for name in new.projections if name not in old.projections]
    same = [item[:2] for item in old.sources] == [item[:2] for item in new.sources]  # all but the channels
    if not same or old.feeding != new.feeding or any(name not in new.projections for name in old.projections):
        raise NoMorphismError(f"{where} has other nodes or edges in the child, and not just more edges from its input")
    grown = False
    for kind in ("projections", "nodes"):
        ours, theirs = getattr(new, kind), getattr(old, kind)
        for name in theirs:
            part = f"{prefix}{kind}.{name}."
            grown |= _grow_all(part, f"{kind[:-1]} {name} of {where}", theirs[name], ours[name], found, generator)
    for name in added:
        edits = silenced(new.projections[name])
        assert edits is not None
        found.add(f"{prefix}projections.{name}.", edits, neutral=True)
        found.steps.append(f"adds an edge from the input to node {name} of {where}")
    return grown
