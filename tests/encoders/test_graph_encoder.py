import archcast as ac
import numpy as np
import pytest
from archcast.encoders import graph as graph_module
from archcast.encoders import make_encoder

NAMES = [
    "path",
    "path_truncated",
    "path_multiset",
    "operations",
    "statistics",
    "wl",
    "wl_hashed",
    "spectral",
    "shortest_path",
    "random_walk",
]


@pytest.mark.parametrize("name", NAMES)
def test_chunks_do_not_show(name, monkeypatch):
    space = ac.get_space("nasbench101")
    batch = space.sample(500, seed=0)
    encoder = make_encoder(name).fit(batch[:50])
    whole = encoder.transform(batch)
    for size in (1, 7, 64, 499):  # sizes that are no multiple of 8 leave bits unused
        monkeypatch.setattr(graph_module, "_MIN_CHUNK", size)
        monkeypatch.setattr(graph_module, "_MAX_CHUNK", size)
        np.testing.assert_allclose(encoder.transform(batch), whole, atol=0 if name != "spectral" else 2e-6)
        np.testing.assert_allclose(
            encoder.encode(space.to_graphs(batch)), whole, atol=0 if name != "spectral" else 2e-6
        )


@pytest.mark.parametrize("name", NAMES)
def test_working_memory_stays_bounded(name):
    import tracemalloc

    space = ac.get_space("darts")
    batch = space.sample(6000, seed=0, distinct=False)
    encoder = make_encoder(name, **({"max_columns": 200} if name.startswith("path") else {})).fit(batch[:20])
    tracemalloc.start()
    encoder.transform(batch[:5])
    tracemalloc.reset_peak()
    X = encoder.transform(batch)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - X.nbytes < 64 * 2**20
