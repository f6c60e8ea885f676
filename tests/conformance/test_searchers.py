"""What every registered searcher must do, whatever it is made of."""

import json
import subprocess
import sys

import numpy as np
import pytest
from archcast import History, Searcher, get_space, make_searcher
from archcast.errors import ExhaustedSpaceError, InvalidDataError
from archcast.searchers import SEARCHERS
from sklearn.base import clone

NAMES = SEARCHERS.names()
# Small initial designs, so that the learned part of each is at work after a few trials; small ensembles and pools.
QUICK = {
    "local_search": {"initial": 3},
    "regularized_evolution": {"population": 6, "sample": 3},
    "genetic": {"population": 6},
    "bananas": {"initial": 6, "round": 5, "candidates": 30, "predictor": "bayesian_linear@path_truncated"},
    "npenas": {"initial": 6, "round": 5, "candidates": 30, "predictor": "knn@operations"},
    "brp": {"initial": 6, "round": 5, "pool": 100},
    "hybrid": {"initial": 6, "population": 8, "children": 30},
    "nsga2": {"population": 6},
    "smac": {"initial": 6, "retrain": 3, "challengers": 50},
    "ehvi": {"initial": 6, "pool": 60},
    "parego": {"initial": 6, "pool": 60},
    "warm": {"searcher": "hybrid"},
    **{name: {"initial": 6} for name in ("umda", "pbil", "tree_eda", "tpe")},
    **{name: {"initial": 6, "pool": 60} for name in NAMES if name == "auto" or name.startswith("bo")},
}
LEARNERS = [name for name in NAMES if name not in ("random", "grid")]
SPACE = get_space("nasbench201")
TINY = get_space("cell", nodes=3, operations=["none", "skip_connect", "conv_3x3"])


def build(name, **parameters):
    return make_searcher(name, **{**QUICK.get(name, {}), **parameters})


def worth(architectures):
    """A smooth function of the genes with some interaction, for any space."""
    genes = architectures.genotypes / (architectures.space.cardinalities - 1).clip(1)
    weights = np.cos(1.7 * np.arange(genes.shape[1]) + 1)
    return genes @ weights + 0.5 * np.sin(3 * genes[:, :-1] * genes[:, 1:]).sum(axis=1)


def advance(searcher, history, steps, n=1, seed=0, outcome=worth):
    for _ in range(steps):
        asked = searcher.ask(history, n, seed)
        history = history.ask(asked).tell(asked, outcome(asked))
    return history


def assert_new(history, asked):
    keys = asked.keys()
    assert len(np.unique(keys)) == len(keys)
    assert not np.isin(keys, history.keys).any()


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def runs():
    """One run of each searcher on the same space, told in pieces: histories before each ask, and the answers."""
    found = {}

    def run(name):
        if name not in found:
            searcher, history, steps = build(name), History.start(SPACE), []
            for step in range(18):
                n = 3 if step == 9 else 1
                asked = searcher.ask(history, n, seed=5)
                steps.append((history, n, asked))
                history = history.ask(asked)
                if step == 12:
                    history = history.tell(asked, [np.nan])
                elif step not in (7, 14):  # those stay pending
                    history = history.tell(asked, worth(asked))
            found[name] = steps
        return found[name]

    return run


def test_is_a_searcher_with_parameters_stored_untouched(name):
    searcher = build(name)
    assert isinstance(searcher, Searcher)
    assert clone(searcher).get_params() == searcher.get_params()
    for parameter, value in QUICK.get(name, {}).items():
        assert getattr(searcher, parameter) == value
    before = dict(vars(searcher))
    searcher.ask(History.start(SPACE))
    assert vars(searcher) == before


def test_never_proposes_a_twin_of_any_trial(name, runs):
    for history, n, asked in runs(name):
        assert len(asked) == n
        assert asked.space == SPACE
        assert SPACE.is_valid(asked.genotypes).all()
        assert_new(history, asked)


def test_answers_depend_on_the_history_alone(name, runs):
    """Backwards and with another object: nothing may be carried over from one call to the next."""
    for history, n, asked in reversed(runs(name)):
        assert build(name).ask(history, n, seed=5) == asked


def test_other_seeds_give_other_answers(name, runs):
    history = runs(name)[0][0]
    answers = {build(name).ask(history, 4, seed=seed) for seed in range(5)}
    assert len(answers) == (1 if name == "grid" else 5)


def test_a_stored_history_resumes_in_another_process(runs, tmp_path):
    cases = []
    for name in NAMES:
        history, n, _ = runs(name)[-1]
        cases.append({"name": name, "parameters": QUICK.get(name, {}), "history": history.to_dict(), "n": n})
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    script = (
        "import json, sys, archcast as ac\n"
        "for case in json.load(open(sys.argv[1])):\n"
        "    searcher = ac.make_searcher(case['name'], **case['parameters'])\n"
        "    asked = searcher.ask(ac.History.from_dict(case['history']), case['n'], seed=5)\n"
        "    print(json.dumps(asked.genotypes.tolist()))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "cases.json")]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(output) == len(NAMES)
    for name, line in zip(NAMES, output, strict=True):
        assert json.loads(line) == runs(name)[-1][2].genotypes.tolist(), name


def test_lower_is_better_is_the_mirror_image(name, runs):
    for history, n, asked in runs(name)[-2:]:
        mirrored = History(
            history.space, history.architectures, -history.values, history.status, higher_is_better=False
        )
        assert build(name).ask(mirrored, n, seed=5) == asked


@pytest.mark.parametrize("learner", LEARNERS)
def test_learns_what_is_good(learner):
    """The second half of a run is better than random architectures are, and also where a region always fails."""
    typical = worth(SPACE.sample(2000, seed=1))

    def failing(architectures):
        return np.where(architectures.genotypes[:, 0] == 2, np.nan, worth(architectures))

    for outcome in (worth, failing):
        history = advance(build(learner), History.start(SPACE), 7, n=6, outcome=outcome)
        late = history.values[-18:]
        assert np.nanmean(late) > typical.mean() + 0.4 * typical.std()


def test_survives_nothing_but_failures_and_ties(name):
    for outcome in (lambda batch: np.full(len(batch), np.nan), lambda batch: np.ones(len(batch))):
        history = advance(build(name), History.start(SPACE), 3, n=5, outcome=outcome)
        assert len(np.unique(history.keys)) == 15


def test_goes_on_while_everything_is_pending(name):
    history = History.start(SPACE)
    for _ in range(4):
        asked = build(name).ask(history, 4)
        assert_new(history, asked)
        history = history.ask(asked)
    assert len(history.pending) == 16


@pytest.mark.parametrize("limited", [False, True])
def test_exhausts_a_small_space_exactly(name, limited):
    """Every canonical class of a tiny space, or of a pool in a large one, is proposed once; then it is over."""
    if limited:
        large = get_space("mnasnet_chain")
        pool = large.sample(30, seed=0)
        history, classes = History.start(large, pool=pool), len(np.unique(pool.keys()))
    else:
        history, classes = History.start(TINY), len(np.unique(TINY.enumerate().keys()))
    searcher = build(name)
    while len(history) < classes:
        asked = searcher.ask(history, 4, seed=1)
        assert len(asked) == min(4, classes - len(history))
        assert_new(history, asked)
        if limited:
            assert (asked.genotypes[:, None] == pool.genotypes).all(axis=2).any(axis=1).all()
        history = history.ask(asked).tell(asked, worth(asked))
    with pytest.raises(ExhaustedSpaceError, match=f"{classes} trials"):
        searcher.ask(history)


@pytest.mark.parametrize("space", ["nasbench101", "darts", "mnasnet_chain"])
def test_searches_spaces_too_large_to_look_at_whole(name, space):
    huge = get_space(space)
    history = advance(build(name), History.start(huge), 2, n=6, seed=2)
    asked = build(name).ask(history, 2, seed=2)
    assert len(asked) == 2
    assert huge.is_valid(asked.genotypes).all()
    assert_new(history, asked)
    assert build(name).ask(history, 2, seed=2) == asked


def test_takes_over_trainings_it_never_asked_for(name):
    given = SPACE.sample(25, seed=3, canonical=True)
    history = History.start(SPACE).tell(given, worth(given))
    asked = build(name).ask(history, 3)
    assert len(asked) == 3
    assert_new(history, asked)


@pytest.mark.parametrize(("n", "seed"), [(0, 0), (-1, 0), (1.5, 0), (True, 0), (1, -1), (1, "a")])
def test_rejects_senseless_numbers(name, n, seed):
    with pytest.raises(InvalidDataError, match=r"(n|seed) must be an integer of at least"):
        build(name).ask(History.start(SPACE), n, seed)
