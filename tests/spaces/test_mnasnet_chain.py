import json

import numpy as np
import pytest
from archcast.errors import InvalidArchitectureError
from archcast.spaces import get_space

KEYS = ("e", "k", "l", "se")

PUBLISHED = [  # per block e, k, l, se; then macs and params in millions, from the files of Accel-NASBench
    ("631- 452- 633- 653- 652- 132- 132-", 415.361072, 2.50116),
    ("632s 153s 151s 152s 431s 152s 451s", 308.15264, 2.399896),
    ("452- 432s 433s 132- 652s 454s 153-", 434.430368, 3.752384),
    ("153- 131- 632- 431- 131- 151- 133-", 137.492656, 2.06484),
]


def native(text: str) -> dict[str, int | bool]:
    result: dict[str, int | bool] = {}
    for block, word in enumerate(text.split()):
        values = (*map(int, word[:3]), word[3] == "s")
        result |= {f"block{block}_{key}": value for key, value in zip(KEYS, values, strict=True)}
    return result


def test_the_space_has_the_published_ranges() -> None:
    space = get_space("mnasnet_chain")
    assert space.size == 36**6 * 48 == 104_485_552_128
    assert [gene.name for gene in space.genes[:5]] == ["block0_e", "block0_k", "block0_l", "block0_se", "block1_e"]
    assert [len(gene.choices) for gene in space.genes if gene.name.endswith("_l")] == [3, 3, 3, 3, 3, 4, 3]


def test_the_published_notation_goes_in_and_out() -> None:
    space = get_space("mnasnet_chain")
    items = [native(text) for text, _, _ in PUBLISHED]
    batch = space.parse(items)
    assert [json.loads(text) for text in batch.strings()] == items
    assert space.parse(batch.strings()) == batch
    assert len(np.unique(batch.keys())) == len(items)
    with pytest.raises(InvalidArchitectureError, match="'block4_l' must be one of 1, 2, 3, got 4"):
        space.parse({**items[0], "block4_l": 4})


def test_complexity_equals_the_published_columns() -> None:
    space = get_space("mnasnet_chain")
    cost = space.complexity([native(text) for text, _, _ in PUBLISHED])
    assert cost is not None
    np.testing.assert_allclose(cost["flops"], [macs * 1e6 for _, macs, _ in PUBLISHED], rtol=0, atol=1e-3)
    np.testing.assert_allclose(cost["params"], [params * 1e6 for _, _, params in PUBLISHED], rtol=0, atol=1e-3)


def test_graphs_carry_readable_hyperparameters() -> None:
    graphs = get_space("mnasnet_chain").to_graphs([native(PUBLISHED[1][0])])
    assert graphs.schema.feature_names == ("expansion", "kernel", "layers", "squeeze_excite")
    assert graphs.features[0, 1:4].tolist() == [[6, 3, 2, 1], [1, 5, 3, 1], [1, 5, 1, 1]]
