"""The recurrent cells of NAS-Bench-NLP: recipes, validity, isomorphism, moves."""

import itertools
import json
import random
import zipfile
from collections import Counter
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from archcast.errors import InvalidArchitectureError
from archcast.spaces import get_space
from hypothesis import given, settings
from hypothesis import strategies as st

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "data" / "nasbench_nlp" / "wikitext2_logs.zip"


def node(op, *inputs):
    return {"op": op, "input": list(inputs)}


TANH, SIGM = "activation_tanh", "activation_sigm"
RNN = {"f": node("linear", "x", "h_prev_0"), "h_new_0": node(TANH, "f")}
LSTM = {
    "i": node("linear", "x", "h_prev_0"),
    "i_act": node(TANH, "i"),
    "j": node("linear", "x", "h_prev_0"),
    "j_act": node(SIGM, "j"),
    "f": node("linear", "x", "h_prev_0"),
    "f_act": node(SIGM, "f"),
    "o": node("linear", "x", "h_prev_0"),
    "o_act": node(TANH, "o"),
    "h_new_1_part1": node("elementwise_prod", "f_act", "h_prev_1"),
    "h_new_1_part2": node("elementwise_prod", "i_act", "j_act"),
    "h_new_1": node("elementwise_sum", "h_new_1_part1", "h_new_1_part2"),
    "h_new_1_act": node(TANH, "h_new_1"),
    "h_new_0": node("elementwise_prod", "h_new_1_act", "o_act"),
}
GRU = {
    "r": node("linear", "x", "h_prev_0"),
    "r_act": node(SIGM, "r"),
    "z": node("linear", "x", "h_prev_0"),
    "z_act": node(SIGM, "z"),
    "rh": node("elementwise_prod", "r_act", "h_prev_0"),
    "h_tilde": node("linear", "x", "rh"),
    "h_tilde_act": node(TANH, "h_tilde"),
    "h_new_0": node("blend", "z_act", "h_prev_0", "h_tilde_act"),
}


@pytest.fixture(scope="module")
def space():
    return get_space("nasbench_nlp")


def renamed(recipe, names):
    """Return the recipe with some nodes under another name."""
    return {
        names.get(name, name): node(item["op"], *(names.get(signal, signal) for signal in item["input"]))
        for name, item in recipe.items()
    }


def shuffled(recipe, seed):
    """Return an equal recipe: nodes in another order under other names, inputs in another order where it is free."""
    rng = random.Random(seed)
    free = [name for name in recipe if not name[-1].isdigit() or not name.startswith("h_new_") or name.count("_") > 2]
    numbers = rng.sample(range(100), len(free))
    result = renamed(recipe, {name: f"some {number}" for name, number in zip(free, numbers, strict=True)})
    items = list(result.items())
    rng.shuffle(items)
    for _, item in items:
        if item["op"] != "blend":
            rng.shuffle(item["input"])
    return dict(items)


def as_networkx(recipe):
    """Return what reaches the output, through any number of steps, as a graph with labelled nodes and edges."""
    needed, waiting = set(), ["h_new_0"]
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        waiting += (
            recipe[name]["input"] if name in recipe else [name.replace("prev", "new")] * name.startswith("h_prev")
        )
    graph = nx.DiGraph()
    for name in needed:
        is_state = name == "h_new_0" or (name.startswith("h_new_") and name.replace("new", "prev") in needed)
        state = name if is_state else ""
        graph.add_node(name, label=(recipe[name]["op"], state) if name in recipe else (name, ""))
    for name in needed & set(recipe):
        for position, signal in enumerate(recipe[name]["input"]):
            graph.add_edge(signal, name, operand=position if recipe[name]["op"] == "blend" else 0)
    return graph


def isomorphic(first, second):
    swap = {"h_new_1": "h_new_2", "h_new_2": "h_new_1", "h_prev_1": "h_prev_2", "h_prev_2": "h_prev_1"}
    nodes = nx.algorithms.isomorphism.categorical_node_match("label", None)
    edges = nx.algorithms.isomorphism.categorical_edge_match("operand", None)
    other = nx.relabel_nodes(second, {name: swap.get(name, name) for name in second}, copy=True)
    for name, data in list(other.nodes(data=True)):
        word, state = data["label"]
        other.nodes[name]["label"] = (swap.get(word, word), swap.get(state, state))
    return any(nx.is_isomorphic(first, graph, node_match=nodes, edge_match=edges) for graph in (second, other))


def assert_keys_are_isomorphism(recipes, keys):
    graphs = [as_networkx(recipe) for recipe in recipes]

    def profile(graph):
        return Counter(word for _, (word, _) in graph.nodes(data="label") if not word.startswith("h_")), graph.size()

    profiles = [profile(graph) for graph in graphs]
    for i, j in itertools.combinations(range(len(recipes)), 2):
        expected = profiles[i] == profiles[j] and isomorphic(graphs[i], graphs[j])
        assert (keys[i] == keys[j]) == expected, (recipes[i], recipes[j])


# ---- recipes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [RNN, LSTM, GRU])
def test_well_known_cells(space, recipe):
    batch = space.parse([recipe, json.dumps(recipe)])
    assert batch[0] == batch[1]
    written = json.loads(str(batch[0]))
    unnamed = [name for name in recipe if name not in written]
    assert written == renamed(recipe, {name: f"node_{k}" for k, name in enumerate(unnamed)})
    assert space.parse([written]) == batch[:1]


def test_normal_form_of_a_recipe(space):
    backwards = dict(reversed(GRU.items()))
    # Sorted where a node reads a later one, otherwise in the order given.
    assert [*json.loads(str(space.parse([backwards])[0])).values()] == [
        {"op": "linear", "input": ["x", "h_prev_0"]},
        {"op": "activation_sigm", "input": ["node_0"]},
        {"op": "linear", "input": ["x", "h_prev_0"]},
        {"op": "activation_sigm", "input": ["node_2"]},
        {"op": "elementwise_prod", "input": ["node_3", "h_prev_0"]},
        {"op": "linear", "input": ["x", "node_4"]},
        {"op": "activation_tanh", "input": ["node_5"]},
        {"op": "blend", "input": ["node_1", "h_prev_0", "node_6"]},
    ]


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_parse_is_the_inverse_of_format(seed):
    space = get_space("nasbench_nlp")
    batch = space.mutate(space.sample(2, seed), seed)
    assert space.parse(space.format(batch)) == batch
    recipes = [json.loads(text) for text in space.format(batch)]
    assert space.parse(recipes) == batch


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published logs are not here")
def test_all_published_recipes(space):
    with zipfile.ZipFile(PUBLISHED) as archive:
        recipes = [json.loads(json.loads(archive.read(name))["recepie"]) for name in archive.namelist()]
    batch = space.parse(recipes)
    assert len(batch) == 345
    assert space.parse(space.format(batch)) == batch
    for recipe, text in zip(recipes, space.format(batch), strict=True):
        written = json.loads(text)
        assert Counter(item["op"] for item in written.values()) == Counter(item["op"] for item in recipe.values())
        assert isomorphic(as_networkx(recipe), as_networkx(written))
    assert_keys_are_isomorphism(recipes[:120], batch[:120].keys())


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({**RNN, "f": node("conv", "x")}, "unknown operation 'conv' at node 'f'"),
        ({**RNN, "f": node("linear", "x", "g")}, "unknown input 'g' at node 'f'"),
        ({**RNN, "f": node("linear", "x", "h_prev_3")}, "unknown input 'h_prev_3' at node 'f'"),
        ({**RNN, "f": node("linear", "x", "x")}, "different inputs at node 'f', got 'x' twice"),
        ({**RNN, "f": node("linear")}, "1 to 3 inputs of linear at node 'f', got 0"),
        ({**RNN, "f": node("blend", "x", "h_prev_0")}, "3 inputs of blend at node 'f', got 2"),
        ({**RNN, "f": node("elementwise_sum", "x")}, "2 inputs of elementwise_sum at node 'f', got 1"),
        ({**RNN, "f": node("linear", "x", "h_new_0")}, "cycle"),
        ({**RNN, "f": node("linear", "h_prev_0")}, "does not depend on x"),
        ({**RNN, "f": node("linear", "x", "h_prev_1")}, "h_new_1 does not exist, but its h_prev is read"),
        ({**RNN, "f": {"op": "linear"}}, "'op' and 'input' at node 'f'"),
        ({**RNN, "f": {"op": "linear", "input": "x"}}, "a list of inputs at node 'f'"),
        ({**RNN, "x": node(TANH, "f")}, "'x' to be an input only"),
        ({**RNN, "h_new_2": node(TANH, "f")}, "expected a node 'h_new_1'"),
        ({**RNN, "h_new_3": node(TANH, "f")}, "h_new_0 to h_new_2, got 'h_new_3'"),
        ({**RNN, "h_new_01": node(TANH, "f")}, "got 'h_new_01'"),
        ({"f": node(TANH, "x")}, "expected a node 'h_new_0'"),
        ({**RNN, **{f"n{k}": node(TANH, "f") for k in range(23)}}, "at most 24 nodes, got 25"),
        ('{"h_new_0": {"op": "linear", "input": ["x"]}, "h_new_0": {}}', "got 'h_new_0' twice"),
        ('{"h_new_0": ', "expected a recipe in JSON"),
        ("[]", "expected a recipe"),
        ("{" * 100_000, "expected a recipe"),
    ],
)
def test_what_is_wrong_with_a_recipe(space, recipe, said):
    with pytest.raises(InvalidArchitectureError, match="architecture 1 ") as error:
        space.parse([LSTM, recipe])
    assert said in str(error.value)


def test_what_is_wrong_with_a_genotype(space):
    good = space.parse([LSTM]).genotypes[0]
    places = {gene.name: k for k, gene in enumerate(space.genes)}

    def reason(**changes):
        row = good.copy()
        for name, value in changes.items():
            row[places[name.replace("_", " ") if name.startswith("node") else name]] = value
        assert not space.is_valid(row[None])[0]
        return space.explain_invalid(row)

    assert reason(node_20_operation=4, node_20_input_0=1).startswith("node 20 follows an absent node")
    assert reason(node_20_input_0=1).startswith("node 20 has the wrong number of inputs")
    assert reason(node_0_input_0=0).startswith("node 0 has inputs after a missing one")
    assert reason(node_0_input_1=1).startswith("node 0 reads the same input twice")
    assert reason(h_new_0=0) == "h_new_0 is missing"
    assert reason(h_new_1=0, h_new_2=11) == "h_new_1 is missing"
    assert reason(h_new_2=20) == "h_new_2 must be a node that is there"
    assert reason(h_new_2=11) == "h_new_2 must not be the node of another hidden state"
    assert reason(h_new_1=0) == "h_new_1 does not exist, but its h_prev is read"


# ---- canonical form ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [RNN, LSTM, GRU])
def test_names_and_orders_do_not_matter(space, recipe):
    keys = space.canonical([recipe, *(shuffled(recipe, seed) for seed in range(20))])
    assert len(set(keys.tolist())) == 1


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_names_and_orders_do_not_matter_in_random_cells(seed):
    space = get_space("nasbench_nlp")
    recipes = [json.loads(text) for text in space.format(space.sample(3, seed))]
    keys = space.canonical(recipes)
    assert (space.canonical([shuffled(recipe, seed) for recipe in recipes]) == keys).all()


def test_the_operands_of_blend_are_ordered(space):
    orders = [
        {**GRU, "h_new_0": node("blend", *order)}
        for order in itertools.permutations(["z_act", "h_prev_0", "h_tilde_act"])
    ]
    assert len(np.unique(space.canonical(orders))) == 6


def test_dead_nodes_and_states_do_not_matter(space):
    dead = [
        GRU,
        {**GRU, "unread": node("linear", "x", "r_act", "z")},
        {**GRU, "h_new_1": node("linear", "x", "h_prev_1")},
        {**GRU, "h_new_1": node("linear", "h_prev_2"), "h_new_2": node("linear", "h_prev_1", "z")},
    ]
    assert len(np.unique(space.canonical(dead))) == 1
    alive = {**GRU, "rh": node("elementwise_prod", "r_act", "h_prev_1"), "h_new_1": node("linear", "x", "h_prev_1")}
    assert space.canonical([GRU, alive])[0] != space.canonical([GRU, alive])[1]


def test_hidden_states_one_and_two_can_change_places_but_not_with_the_output(space):
    states = {
        "a": node("linear", "x", "h_prev_1"),
        "h_new_1": node(TANH, "a"),
        "b": node("linear", "x", "h_prev_2"),
        "h_new_2": node(SIGM, "b"),
        "h_new_0": node("linear", "a", "b", "h_prev_0"),
    }
    swap = {"h_new_1": "h_new_2", "h_new_2": "h_new_1", "h_prev_1": "h_prev_2", "h_prev_2": "h_prev_1"}
    output = {"h_new_0": "h_new_1", "h_new_1": "h_new_0", "h_prev_0": "h_prev_1", "h_prev_1": "h_prev_0"}
    crossed = {**states, "h_new_1": node(SIGM, "b"), "h_new_2": node(TANH, "a")}
    keys = space.canonical([states, renamed(states, swap), renamed(states, output), crossed])
    assert keys[0] == keys[1]
    assert len(set(keys.tolist())) == 3


def test_sharing_a_node_is_not_having_two(space):
    shared = {"a": node("linear", "x"), "b": node(TANH, "a"), "c": node(SIGM, "a")}
    apart = {"a": node("linear", "x"), "d": node("linear", "x"), "b": node(TANH, "a"), "c": node(SIGM, "d")}
    end = {"h_new_0": node("elementwise_sum", "b", "c")}
    keys = space.canonical([{**shared, **end}, {**apart, **end}])
    assert keys[0] != keys[1]


def test_keys_agree_with_networkx(space):
    batch = space.sample(60, seed=0)
    batch = space.parse(np.concatenate([batch.genotypes, space.mutate(batch, seed=1).genotypes]))
    assert_keys_are_isomorphism([json.loads(text) for text in space.format(batch)], batch.keys())


# ---- graphs and moves -------------------------------------------------------------------------------------------


def test_graph_of_the_lstm(space):
    graphs = space.to_graphs([LSTM])
    names = graphs.schema.node_names
    edges = {(names[i], names[j]) for i, j in np.argwhere(graphs.adjacency[0])}
    assert graphs.mask[0].sum() == 3 + 13 + 2
    assert {("x", "node 0"), ("h_prev_0", "node 0"), ("h_prev_1", "node 8"), ("node 10", "h_new_1")} <= edges
    assert ("node 12", "h_new_0") in edges
    assert len(edges) == sum(len(item["input"]) for item in LSTM.values()) + 2
    words = [graphs.schema.vocabulary[k].name for k in graphs.operations[0][graphs.mask[0]]]
    assert words[3:16] == [item["op"] for item in LSTM.values()]


def test_random_cells_follow_the_published_generator(space):
    batch = space.sample(1500, seed=0)
    recipes = [json.loads(text) for text in space.format(batch)]
    operations = Counter(item["op"] for recipe in recipes for item in recipe.values())
    linear = [len(item["input"]) for recipe in recipes for item in recipe.values() if item["op"] == "linear"]
    assert {2, 3} == set(linear)
    assert 0.1 < np.mean(np.array(linear) == 3) < 0.3
    activations = [operations[name] for name in operations if name.startswith("activation")]
    assert max(activations) < 1.3 * min(activations)
    assert operations["linear"] > operations["elementwise_sum"] > 0
    for recipe in recipes:
        signals = {signal for item in recipe.values() for signal in item["input"]}
        states = [name for name in recipe if name.startswith("h_new_")]
        assert signals >= {"x", *(name.replace("new", "prev") for name in states)}
        assert not any(signal.startswith("h_prev") for name in states for signal in recipe[name]["input"])
        # A node that nobody reads is a hidden state; only linear nodes read x.
        assert set(recipe) - signals <= set(states)
        assert all("x" not in item["input"] for item in recipe.values() if item["op"] != "linear")


def test_cells_grow_and_shrink(space):
    start = space.parse([RNN])
    near, _ = space.neighbors(start)
    sizes = Counter(len(json.loads(text)) for text in space.format(near))
    assert sizes[3] == 3
    assert sizes[1] == 1
    grown = space.parse([text for text in space.format(near) if len(json.loads(text)) == 3])
    for arch in grown:
        assert start[0] in set(space.neighbors(arch.batch())[0])
    mutants = start
    seen = set()
    for seed in range(60):
        mutants = space.mutate(mutants, seed)
        seen.add(len(json.loads(str(mutants[0]))))
    assert len(seen) > 3


def test_children_take_whole_nodes(space):
    mothers, fathers = space.sample(200, seed=0), space.sample(200, seed=1)
    children = space.crossover(mothers, fathers, seed=0)
    nodes = [batch.genotypes[:, :96].reshape(-1, 24, 4) for batch in (children, mothers, fathers)]
    from_mother, from_father = ((nodes[0] == other).all(axis=2) for other in nodes[1:])
    assert (from_mother | from_father).all()
    assert (~from_mother.all(axis=1) & ~from_father.all(axis=1)).mean() > 0.3
