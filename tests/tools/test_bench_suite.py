"""The benchmark suite, at sizes that take no time: what it reports, and that the peers give the same answers."""

import pytest
from archcast.tools.bench_parts import (
    canonical,
    encode,
    growth,
    network,
    neural,
    replay,
    search,
    surrogate,
    table,
    train,
)
from archcast.tools.bench_parts.measurement import Measurement


def test_counts_are_compared_with_the_published_ones():
    counts = list(canonical.count_classes((2, 3, 4)))
    assert [count.found for count in counts] == [1, 6, 84]
    assert all(count.exact for count in counts)
    assert "exact" in str(counts[0])
    assert "WRONG, published are 84" in str(canonical.Count(4, 83, 84, 0.1))


def test_a_line_says_what_was_timed():
    small, large = canonical.measure(sizes=(40, 400), subset=100, repeats=1)
    assert small.peer == "networkx (100 cells timed)"
    assert large.peer == "networkx (100 cells timed, scaled)"
    assert large.peer_seconds == pytest.approx(10 * small.peer_seconds)
    assert f"{large.ratio:.1f}x" in str(large)


def test_targets_are_judged():
    assert Measurement("a", 1, 1.0, "peer", 10.0, target=5).met
    missed = Measurement("a", 1, 1.0, "peer", 4.0, target=5)
    assert not missed.met
    assert "at least 5x: MISSED" in str(missed)
    assert not Measurement("a", 1, 1.0, limit=0.5).met
    assert Measurement("a", 1, 1.0, target=5).met  # no peer at hand


def test_encoders_agree_with_the_loops():
    lines = list(encode.measure(sizes=(50,), subset=50))
    assert {line.what for line in lines} == {f"encode {name}" for name in encode.CASES}
    assert all(line.ratio > 1 for line in lines)


def test_graph_networks_are_timed():
    lines = list(neural.measure(sizes=(20,), width=8, depth=1, n_members=2, steps=3, pretrain=False))
    assert [line.what for line in lines] == ["fit gin", "fit graph_transformer"]
    assert all(line.met and "Kendall tau" in line.note for line in lines)


def test_surrogates_rank_as_their_peers_do():
    for line in surrogate.measure(sizes=(60,)):
        ours, theirs = (float(word.rstrip(",")) for word in line.note.split() if word[0] == "0")
        assert ours > theirs - 0.03


def test_growth_is_told_line_by_line():
    lines = list(growth.report(("gp@adjacency",), (60,), compared=60, space=300, inducing=60, steps=1))
    texts = [text for text, _ in lines]
    assert [text.split("  ")[0] for text in texts[:3]] == ["fit gp@adjacency", "exact gp@semantic", "sparse, 60 rows"]
    assert "lost: tau" in texts[3]
    assert "MB" in texts[-1]
    assert all(met for _, met in lines)


def test_lookups_are_measured_on_generated_tables_too():
    lines = {line.what: line for line in table.measure(sizes=(2000,))}
    assert lines["10,000 lookups (generated)"].size == 2000
    assert "10,000 lookups nasbench201" in lines
    assert all("opening alone" in line.note for line in lines.values())


def test_networks_are_those_that_are_written_by_hand():
    lines = list(network.measure(cells=1, batch=8, repeats=1))
    assert [line.size for line in lines] == [8, 2, 8]
    assert [line.note for line in lines[:2]] == ["same outputs"] * 2
    assert all(line.peer_seconds > 0 for line in lines)


def test_trainings_at_once_are_those_one_after_another():
    lines = list(train.measure(cells=1, epochs=1, train=100, calls=5, trainings=1, repeats=1))
    together, here, pool, workers = lines
    assert (together.size, here.size, pool.size, workers.size) == (4, 5, 5, 4)
    assert float(together.note.split()[-1]) < 1e-3
    assert here.limit == pool.limit == 0.005
    assert workers.peer == "one worker" and "plain matrix products" in workers.note


def test_asks_are_timed_beside_those_of_the_peers():
    lines = list(search.measure(observations=(12,), tables=["mnist1d_nasbench201"], observed=12))
    assert [line.size for line in lines] == [15625, 15625, 6466, 6466]
    assert [line.peer for line in lines] == ["tpe", "smac"] * 2
    assert all(line.seconds > 0 and line.peer_seconds > 0 and "the slowest" in line.note for line in lines)
    assert all(line.limit is None for line in lines)  # the bar is for 200 trainings


def test_replays_are_timed_as_a_whole():
    (line,) = replay.measure(seeds=2, budget=8, processes=1)
    assert line.size == 16
    assert line.limit is None
    assert "1 processes" in line.note
