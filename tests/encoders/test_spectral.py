import archcast as ac
import networkx as nx
import numpy as np
import pytest
from archcast.encoders import make_encoder
from archcast.errors import InvalidDataError
from graph_references import relabelled, surviving, to_networkx
from hypothesis import given, settings
from hypothesis import strategies as st


def decomposition(graph):
    """Eigenvalues, and for each the projector onto its eigenspace, of networkx's normalised Laplacian."""
    nodes = list(graph)
    if not nodes:
        return nodes, np.zeros(0), []
    laplacian = nx.normalized_laplacian_matrix(graph.to_undirected(), nodelist=nodes).toarray()
    values, vectors = np.linalg.eigh(laplacian)
    projectors = []
    for value in values:
        basis = vectors[:, np.abs(values - value) < 1e-6]
        projectors.append(basis @ basis.T / basis.shape[1])
    return nodes, values, projectors


@pytest.mark.parametrize("space_name", ["nasbench101", "nasbench201", "darts", "mnasnet_chain"])
def test_agrees_with_networkx(space_name):
    space = ac.get_space(space_name)
    batch = space.sample(30, seed=1)
    graphs = space.to_graphs(batch)
    encoder = make_encoder("spectral")
    X = encoder.transform(batch)
    names = encoder.feature_names_out(space)
    for k in range(len(batch)):
        graph = surviving(to_networkx(graphs, k))
        nodes, values, projectors = decomposition(graph)
        expected = dict.fromkeys(names, 0.0)
        for i, value in enumerate(sorted(values.tolist(), reverse=True)):
            expected[f"eigenvalue {i + 1}"] = value
        for mode, projector in enumerate(projectors[:3]):
            for place, node in enumerate(nodes):
                name = f"share of {graph.nodes[node]['name']} in mode {mode}"
                if name in expected:
                    expected[name] += projector[place, place]
        np.testing.assert_allclose(X[k], [expected[name] for name in names], atol=2e-6)


def test_a_single_path_has_the_known_spectrum():
    space = ac.get_space("nasbench201")
    batch = space.parse("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|")
    row = make_encoder("spectral", modes=0).transform(batch)[0]
    path = 1 - np.cos(np.pi * np.arange(5)[::-1] / 4)  # Chung 1997, example 1.4
    np.testing.assert_allclose(row, [*path, 0, 0, 0], atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from(["full", "pruned", "reduced"]))
def test_does_not_depend_on_the_numbering_of_nodes(seed, graph):
    space = ac.get_space("nasbench101")
    graphs = space.to_graphs(space.sample(20, seed=seed))
    encoder = make_encoder("spectral", graph=graph)
    other = encoder.encode(relabelled(graphs, np.random.default_rng(seed)))
    np.testing.assert_allclose(encoder.encode(graphs), other, atol=2e-6)


def test_sizes_can_be_chosen():
    space = ac.get_space("nasbench101")
    names = make_encoder("spectral", eigenvalues=2, modes=1).feature_names_out(space)
    assert names[:2] == ["eigenvalue 1", "eigenvalue 2"]
    assert len(names) == 2 + 3
    assert len(make_encoder("spectral", eigenvalues=100, modes=0).feature_names_out(space)) == 7


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"eigenvalues": 0}, "eigenvalues must be None or at least 1, got 0"),
        ({"modes": -1}, "modes must be at least 0, got -1"),
        ({"graph": "line"}, "graph must be one of full, pruned, reduced, got 'line'"),
    ],
)
def test_refuses_parameters_out_of_range(parameters, message):
    space = ac.get_space("nasbench201")
    with pytest.raises(InvalidDataError, match=message):
        make_encoder("spectral", **parameters).transform(space.sample(2, seed=0))
