"""Search spaces: what an architecture is, and how to move among architectures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InvalidDataError
from ..registry import Entry, Registry
from .architectures import Architecture, Architectures
from .base import ArchitecturesLike, Gene, SearchSpace
from .graphs import GraphBatch, GraphSchema
from .operations import Operation
from .skeleton import Skeleton

SPACES = Registry(
    "space",
    {
        "nasbench201": Entry(
            ".spaces.nasbench201:NASBench201Space", "NAS-Bench-201 cell: 6 edges x 5 operations, 15,625 architectures"
        ),
        "nasbench101": Entry(
            ".spaces.nasbench101:NASBench101Space",
            "NAS-Bench-101 cell: 7 nodes, 9 edges, 3 operations, 423,624 distinct cells",
        ),
        "darts": Entry(".spaces.darts:DARTSSpace", "DARTS: normal and reduction cell, 7 operations, about 1e18"),
        "nasbench301": Entry(
            ".spaces.darts:DARTSSpace",
            "NAS-Bench-301: the DARTS cells under their benchmark's name",
            {"name": "nasbench301"},
        ),
        "nasbench_nlp": Entry(
            ".spaces.nasbench_nlp:NASBenchNLPSpace", "NAS-Bench-NLP: recurrent cells of at most 24 nodes"
        ),
        "cell": Entry(".spaces.cell:cell_space", "Your own cell, with operations on edges or on nodes"),
        "nasbench_graph": Entry(
            ".spaces.nasbench_graph:NASBenchGraphSpace",
            "NAS-Bench-Graph: trees of 4 GNN operations, 26,206 architectures",
        ),
        "nasbench_graph_proteins": Entry(
            ".spaces.nasbench_graph:NASBenchGraphSpace",
            "NAS-Bench-Graph as measured on proteins: 5 operations, 2,021 architectures",
            {"proteins": True},
        ),
        "mnasnet_chain": Entry(
            ".spaces.mnasnet_chain:MnasNetChainSpace", "Accel-NASBench: 7 MBConv blocks with 4 hyperparameters each"
        ),
        "nats_size": Entry(
            ".spaces.nats_size:NATSSizeSpace", "NATS-Bench size space: channels of 5 layers, 32,768 architectures"
        ),
        "nasbench_macro": Entry(
            ".spaces.nasbench_macro:NASBenchMacroSpace", "NAS-Bench-Macro: 8 layers x 3 blocks, 6,561 architectures"
        ),
        "transnasbench101_micro": Entry(
            ".spaces.transnasbench101:TransNASBench101MicroSpace",
            "TransNAS-Bench-101 cell: 6 edges x 4 operations, 4,096 architectures",
        ),
        "transnasbench101_macro": Entry(
            ".spaces.transnasbench101:TransNASBench101MacroSpace",
            "TransNAS-Bench-101 skeleton: 4 to 6 modules of 4 kinds, 3,256 architectures",
        ),
        "chain": Entry(".spaces.chain:ChainSpace", "Your own sequence of blocks with named hyperparameters"),
    },
)
register_space = SPACES.register


def get_space(name: str, **parameters: Any) -> SearchSpace:
    """Return a search space by its registered name.

    Parameters
    ----------
    name : str
        E.g. `"nasbench201"`; `archcast list spaces` shows all.
    **parameters
        What the space takes, if anything, e.g. `nodes` and `operations` of `"cell"`.

    Raises
    ------
    UnknownNameError
        If there is no such space.
    """
    return SPACES.make(SearchSpace, name, **parameters)


def space_from_spec(spec: Mapping[str, Any]) -> SearchSpace:
    """Return the space that `SearchSpace.spec` describes.

    Raises
    ------
    InvalidDataError
        If the mapping is not such a description.
    UnknownNameError
        If the space is not registered here.
    """
    if not isinstance(spec.get("space"), str) or not isinstance(spec.get("parameters", {}), Mapping):
        raise InvalidDataError(f"expected a space spec with 'space' and 'parameters', got {dict(spec)!r}")
    return get_space(spec["space"], **spec.get("parameters", {}))


__all__ = [
    "SPACES",
    "Architecture",
    "Architectures",
    "ArchitecturesLike",
    "Gene",
    "GraphBatch",
    "GraphSchema",
    "Operation",
    "SearchSpace",
    "Skeleton",
    "get_space",
    "register_space",
    "space_from_spec",
]
