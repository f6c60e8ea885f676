import re
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from archcast.errors import InvalidDataError
from archcast.spaces import SPACES, get_space
from archcast.spaces.chain import ChainSpace
from archcast.spaces.drawing import draw, to_dot
from archcast.spaces.layout import layered_layout
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

matplotlib.use("Agg")

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|"
CONFIGURED = {"cell", "chain"}
NAMED = [name for name in SPACES.names() if name not in CONFIGURED]


def nodes_and_edges(dot: str) -> tuple[dict[str, str], set[tuple[str, str]]]:
    nodes = dict(re.findall(r"^  (n\d+) \[(.*)\];$", dot, flags=re.MULTILINE))
    return nodes, set(re.findall(r"^  (n\d+) -> (n\d+)", dot, flags=re.MULTILINE))


@pytest.mark.parametrize("name", NAMED)
def test_every_space_can_be_drawn(name: str) -> None:
    space = get_space(name)
    for architecture in space.sample(2, seed=5):
        graph = space.to_graphs(architecture)
        nodes, edges = nodes_and_edges(to_dot(architecture))
        assert len(nodes) == graph.mask.sum()
        assert edges == {(f"n{i}", f"n{j}") for _, i, j in np.argwhere(graph.adjacency)}
        ax = draw(architecture)
        boxes = [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
        arrows = [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
        assert (len(boxes), len(arrows)) == (len(nodes), len(edges))
        ax.figure.canvas.draw()
        inked = [box.get_window_extent() for box in boxes]
        for k, box in enumerate(inked):
            assert not any(box.overlaps(other) for other in inked[:k]), "no two boxes overlap"
        whole = ax.get_window_extent()
        for text in ax.texts:
            extent = text.get_window_extent()
            assert extent.x0 >= whole.x0 and extent.x1 <= whole.x1 and extent.y0 >= whole.y0
        for box, label in zip(inked, ax.texts[1:], strict=True):
            extent = label.get_window_extent()
            assert extent.width <= box.width and extent.height <= box.height, label.get_text()
        plt.close(ax.figure)


def test_dead_parts_are_grey_and_dashed() -> None:
    dot = to_dot(get_space("nasbench201").parse(CELL)[0])
    nodes, edges = nodes_and_edges(dot)
    assert 'label="nor_conv_3x3\\n0->1"' in nodes["n1"]
    assert {key for key, attributes in nodes.items() if "dashed" in attributes} == {"n2", "n5"}
    assert len(edges) == 10
    dashed = set(re.findall(r"(n\d -> n\d) \[style=dashed", dot))
    assert dashed == {"n0 -> n2", "n2 -> n6", "n1 -> n5", "n5 -> n7"}
    colors = {re.search(r'fillcolor="(#\w+)"', nodes[key])[1] for key in ("n1", "n3", "n4", "n6")}
    assert len(colors) == 4, "each operation has its own colour"


def test_labels_are_escaped() -> None:
    space = ChainSpace([{"operation": ['say "hi"\\N'], "act": ["a\\b", "c"]}], name="chain")
    dot = to_dot(space.parse([[0, 0]])[0])
    nodes, _ = nodes_and_edges(dot)
    assert 'label="say \\"hi\\"\\\\N\\nblock0\\nact=a\\\\b"' in nodes["n1"]
    draw(space.parse([[0, 0]])).figure.canvas.draw()
    plt.close("all")


def test_hyperparameters_are_shown() -> None:
    space = get_space("transnasbench101_macro")
    nodes, _ = nodes_and_edges(to_dot(space.parse("64-1234-basic")))
    assert 'label="double_halve\\nmodule4\\nchannels 256   resolution 16"' in nodes["n4"]
    assert len(nodes) == 6, "absent modules are not drawn"


def test_a_given_axes_is_used_and_its_size_kept() -> None:
    figure, axes = plt.subplots(1, 2, figsize=(6, 3))
    architecture = get_space("nasbench201").parse(CELL)[0]
    assert draw(architecture, axes[1]) is axes[1]
    assert figure.get_size_inches().tolist() == [6, 3]
    assert not axes[0].patches
    own = draw(architecture)
    assert axes[1].texts[1].get_fontsize() < own.texts[1].get_fontsize()
    plt.close("all")


def test_only_one_architecture_can_be_drawn() -> None:
    batch = get_space("nasbench201").sample(2, seed=0)
    with pytest.raises(InvalidDataError, match="expected one architecture to draw, got 2"):
        to_dot(batch)
    with pytest.raises(InvalidDataError, match="got 0"):
        draw(batch[:0])


def test_graphviz_source_needs_no_matplotlib() -> None:
    code = (
        "import sys; from archcast.spaces import get_space; from archcast.spaces.drawing import to_dot;"
        "print(len(to_dot(get_space('nasbench201').sample(1, 0)))); assert 'matplotlib' not in sys.modules"
    )
    assert int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout) > 100


@settings(deadline=None, max_examples=60)
@given(v=st.integers(1, 9), seed=st.integers(0, 10_000), density=st.floats(0, 0.8))
def test_layouts_keep_nodes_apart_and_edges_downwards(v: int, seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    adjacency = np.triu(rng.random((v, v)) < density, 1)
    used = rng.random(v) < 0.8
    sizes = rng.uniform(0.2, 2.0, (v, 2))
    layout = layered_layout(adjacency, used, sizes)
    drawn = np.flatnonzero(used)
    assert np.isnan(layout.centers[~used]).all()
    low, high = layout.centers - sizes / 2, layout.centers + sizes / 2
    for i in drawn:
        assert (low[i] >= -1e-9).all() and high[i][0] <= layout.width + 1e-9 and high[i][1] <= layout.height + 1e-9
        for j in drawn[drawn > i]:
            assert (low[i] >= high[j] - 1e-9).any() or (low[j] >= high[i] - 1e-9).any()
    expected = {(i, j) for i, j in np.argwhere(adjacency).tolist() if used[i] and used[j]}
    assert set(layout.routes) == expected
    for (i, j), route in layout.routes.items():
        stops = [high[i][1], *route[:, 1], low[j][1]]
        assert (np.diff(stops) > -1e-9).all(), "edges lead down"
        for x, y in route:
            blocked = (low[drawn, 0] < x) & (x < high[drawn, 0]) & (low[drawn, 1] < y) & (y < high[drawn, 1])
            assert not blocked.any(), "edges pass beside the boxes of a layer"
