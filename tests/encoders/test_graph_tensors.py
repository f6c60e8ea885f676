"""Graphs as rows, and back."""

import numpy as np
import pytest
from archcast.encoders import make_encoder
from archcast.encoders.graph import view
from archcast.encoders.graph_tensors import GraphTensorEncoder, graph_part
from archcast.errors import InvalidDataError
from archcast.spaces import get_space

NAMES = ["nasbench201", "nasbench101", "darts", "nasbench_nlp", "mnasnet_chain", "nasbench_macro"]


@pytest.mark.parametrize("graph", ["full", "pruned", "reduced"])
@pytest.mark.parametrize("name", NAMES)
def test_rows_hold_the_whole_graph(name, graph):
    space = get_space(name)
    batch = space.sample(60, seed=0)
    encoder = GraphTensorEncoder(graph)
    layout = encoder.layout(space)
    rows = encoder.transform(batch)
    scaling = layout.scaling(space)
    arrays = layout.unpack(rows, scaling)
    graphs = view(space.to_graphs(batch), graph)
    np.testing.assert_array_equal(arrays.edges > 0, graphs.adjacency)
    np.testing.assert_array_equal(arrays.mask > 0, graphs.mask)
    words = arrays.nodes[:, :, : layout.vocabulary]
    np.testing.assert_array_equal(words.argmax(axis=2)[graphs.mask], graphs.operations[graphs.mask])
    assert (words.sum(axis=2) == graphs.mask).all()
    assert (arrays.nodes[~graphs.mask] == 0).all()
    if graphs.features.shape[2]:
        standard = arrays.nodes[:, :, -graphs.features.shape[2] :] * scaling[1] + scaling[0]
        np.testing.assert_allclose(standard[graphs.mask], graphs.features[graphs.mask], atol=1e-4)


def test_depths_are_longest_distances():
    space = get_space("cell", nodes=4, operations=["none", "skip_connect", "conv"])
    batch = space.sample(50, seed=1)
    layout = GraphTensorEncoder("reduced").layout(space)
    arrays = layout.unpack(GraphTensorEncoder("reduced").transform(batch), layout.scaling(space))
    v = space.graph_schema.num_nodes
    start = layout.vocabulary + 1
    for g in range(len(batch)):
        down, up = np.zeros(v, int), np.zeros(v, int)
        for j in range(v):
            down[j] = max([down[i] + 1 for i in range(j) if arrays.edges[g, i, j]], default=0)
        for i in reversed(range(v)):
            up[i] = max([up[j] + 1 for j in range(i + 1, v) if arrays.edges[g, i, j]], default=0)
        used = arrays.mask[g] > 0
        depths = layout._depths
        np.testing.assert_array_equal(arrays.nodes[g, used, start : start + depths].argmax(axis=1), down[used])
        np.testing.assert_array_equal(
            arrays.nodes[g, used, start + depths : start + 2 * depths].argmax(axis=1), up[used]
        )


def test_chains_and_separate_cells_know_their_place():
    chain, cells, cell = (
        GraphTensorEncoder().layout(get_space(name))._places for name in ("mnasnet_chain", "darts", "nasbench201")
    )
    np.testing.assert_array_equal(chain, np.eye(9))
    assert cells.shape == (22, 2)
    assert (cells.sum(axis=1) == 1).all()
    assert cell.shape == (8, 0)


def test_is_found_beside_other_encodings():
    space = get_space("nasbench201")
    encoder = make_encoder("operations+graph").fit(space.sample(3, seed=0))
    part, start = graph_part(encoder, space)
    assert isinstance(part, GraphTensorEncoder)
    assert start == len(make_encoder("operations").columns(space))
    assert graph_part(make_encoder("operations"), space) is None
    assert graph_part(None, None) is None


def test_unknown_view_is_refused():
    with pytest.raises(InvalidDataError, match="graph must be one of full, pruned, reduced, got 'small'"):
        GraphTensorEncoder("small").transform(get_space("nasbench201").sample(2, seed=0))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"width": 10}, "width must be a multiple of 4, got 10"),
        ({"steps": 0}, "steps must be a whole number from 1, got 0"),
        ({"network": "gcn"}, "network must be one of gin, transformer, got 'gcn'"),
        ({"graph": "small"}, "graph must be one of full, pruned, reduced, got 'small'"),
    ],
)
def test_bad_parameters_of_the_embedding(parameters, said):
    with pytest.raises(InvalidDataError, match=said):
        make_encoder("gnn", **parameters).fit(get_space("nasbench201").sample(2, seed=0))
