"""Schedulers: promotions and stops against brackets that are worked out by hand."""

from itertools import islice

import numpy as np
import pytest
from archcast import CurveHistory, get_space, make_scheduler
from archcast.errors import InvalidDataError, UnknownNameError
from archcast.searchers.halving import hyperband_brackets
from archcast.searchers.lifting import lifted
from archcast.searchers.random_search import RandomSearch
from archcast.searchers.scheduler import ladder
from archcast.searchers.tpe import TPE

SPACE = get_space("nasbench201")


def train(history, trial, epoch, value):
    """Let a running trial report up to `epoch`."""
    for at in history.epochs:
        if history.reached[trial] < at <= epoch:
            history = history.tell(trial, at, value(trial, at))
            if history.endings[trial]:
                return history
    return history


def follow(scheduler, epochs, value, jobs, seed=0):
    """Let one worker do so many jobs; return the history and what was decided as (trial, epoch)."""
    history, decided = CurveHistory.start(SPACE, epochs), []
    for _ in range(jobs):
        step = scheduler.next(history, seed)
        trial = len(history) if step.trial is None else step.trial
        history = (
            history.begin(step.architecture, step.epoch) if step.trial is None else history.grant(trial, step.epoch)
        )
        history = train(history, trial, step.epoch, value)
        decided.append((trial, step.epoch))
    return history, decided


def curves(values, epochs, granted=None):
    """A history of given curves, NaN where they end."""
    table = np.array(values, dtype=float)
    reached = np.array([0, *epochs])[np.isfinite(table).sum(axis=1)]
    batch = SPACE.sample(len(table), seed=1, canonical=True)
    endings = np.zeros(len(table), dtype=np.int8)
    return CurveHistory(SPACE, epochs, batch, table, reached if granted is None else granted, endings)


# ---- brackets -----------------------------------------------------------------------------------------------------


def test_rungs():
    def rungs(epochs, first, eta):
        return [epochs[level] for level in ladder(epochs, first, eta)]

    assert rungs(range(1, 82), None, 3) == [1, 3, 9, 27, 81]
    assert rungs(range(1, 51), 3, 3) == [3, 9, 27, 50]
    assert rungs(range(1, 31), 3, 3) == [3, 9, 30]  # 27 is no rung of its own so near to 30
    assert rungs(range(1, 10), 9, 3) == [9]
    assert rungs([5, 20, 50], 1, 3) == [5, 20, 50]  # 1, 3, 9, 27: the next that is reported
    assert rungs([12, 200], None, 3) == [12, 200]
    assert rungs(range(1, 101), 10, 2.5) == [10, 25, 63, 100]


def test_brackets_of_hyperband_are_those_of_its_algorithm():
    """Li et al. 2018, algorithm 1 with R = 81 and eta = 3: n = ceil(5 / (s + 1) 3^s), r = 3^(4 - s)."""
    assert list(islice(hyperband_brackets(5, 3), 5)) == [(81, 0), (34, 1), (15, 2), (8, 3), (5, 4)]
    assert list(islice(hyperband_brackets(3, 4), 4)) == [(16, 0), (6, 1), (3, 2), (16, 0)]


def test_hyperband_fills_its_brackets_one_after_another():
    """R = 9, eta = 3: brackets of 9, 5 and 3; n_i = floor(n / 3^i) of each rung go on."""
    _, decided = follow(make_scheduler("hyperband"), (1, 3, 9), lambda trial, epoch: float(trial), 23)
    assert decided == [
        *[(trial, 1) for trial in range(9)],
        *[(8, 3), (7, 3), (6, 3), (8, 9)],
        *[(trial, 3) for trial in range(9, 14)],
        (13, 9),
        *[(trial, 9) for trial in range(14, 17)],
        (17, 1),  # and from the beginning
    ]


def test_successive_halving_promotes_by_the_rung_and_not_by_the_trial():
    values = {1: [5, 1, 9, 7], 2: [0, 0, 2, 3], 4: [0, 0, 0, 8]}
    scheduler = make_scheduler("successive_halving", eta=2)
    history, decided = follow(scheduler, (1, 2, 4), lambda trial, epoch: values[epoch][trial], 7)
    assert decided == [(0, 1), (1, 1), (2, 1), (3, 1), (2, 2), (3, 2), (3, 4)]
    assert scheduler.next(history, 0).trial is None  # the next bracket
    lower = CurveHistory(
        SPACE, history.epochs, history.architectures, -history.curves, history.granted, history.endings, False
    )
    assert scheduler.next(lower, 0).architecture == scheduler.next(history, 0).architecture


def test_a_rung_waits_for_its_last_and_other_brackets_fill_the_time():
    history = CurveHistory.start(SPACE, (1, 2)).begin(SPACE.sample(2, seed=0, canonical=True), 1).tell(0, 1, 5.0)
    scheduler = make_scheduler("successive_halving", eta=2)
    begun = scheduler.next(history, 0)
    assert (begun.trial, begun.epoch) == (None, 1)
    told = history.begin(begun.architecture, 1).tell(1, 1, 4.0)
    assert (scheduler.next(told, 0).trial, scheduler.next(told, 0).epoch) == (0, 2)


def test_size_of_a_bracket():
    _, decided = follow(make_scheduler("successive_halving", size=2, eta=3), (1, 3), lambda trial, epoch: -trial, 4)
    assert decided == [(0, 1), (1, 1), (0, 3), (2, 1)]  # at least one of a bracket gets to the end


def test_failures_are_never_promoted_and_make_no_room():
    def value(trial, epoch):
        return np.nan if trial in (7, 8) or (trial == 6 and epoch > 1) else float(trial)

    history, decided = follow(make_scheduler("successive_halving"), (1, 3, 9), value, 13)
    assert decided[9:] == [(6, 3), (5, 3), (4, 3), (5, 9)]  # 6 fails on its way: no fourth takes its place
    assert history.endings.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1]
    # Nothing but failures: a new bracket.
    _, decided = follow(make_scheduler("successive_halving", eta=2), (1, 2), lambda trial, epoch: np.nan, 4)
    assert decided == [(0, 1), (1, 1), (2, 1), (3, 1)]


# ---- asynchronous -------------------------------------------------------------------------------------------------


def test_asha_promotes_as_soon_as_there_is_a_best_third():
    """Li et al. 2020, algorithm 2 by hand: at any time the best floor(|rung| / 3) may go on, highest rung first."""
    values = [3, 2, 1, 9, 0, 8, 7, 7.5, 6]
    history, decided = follow(make_scheduler("asha"), (1, 3, 9), lambda trial, epoch: values[trial], 14)
    assert decided == [
        *[(0, 1), (1, 1), (2, 1), (0, 3)],  # 3 in the rung: the best goes on
        *[(3, 1), (3, 3)],  # 4: still one, another one now
        *[(4, 1), (5, 1)],  # 6: two, 3 and 5
        *[(5, 3), (3, 9)],  # three in the second rung: its best goes on first
        *[(6, 1), (7, 1), (8, 1)],  # 9: three, 3, 5 and 7
        (7, 3),
    ]
    assert make_scheduler("asha").next(history, 0).trial is None


def test_asha_does_not_promote_twice_what_runs_already():
    history = curves([[1, np.nan], [2, np.nan], [3, np.nan]], (1, 3), granted=[1, 1, 3])
    assert make_scheduler("asha").next(history, 0).trial is None
    assert make_scheduler("asha").next(curves([[1, np.nan], [2, np.nan], [3, np.nan]], (1, 3)), 0).trial == 2


def test_failures_count_in_a_rung_of_asha_as_its_worst():
    history = curves([[1, np.nan], [2, np.nan]], (1, 3))
    assert make_scheduler("asha").next(history, 0).trial is None
    third = history.begin(SPACE.sample(1, seed=9), 1).tell(2, 1, np.nan)
    assert make_scheduler("asha").next(third, 0).trial == 1


def test_stopping_asha_stops_at_rungs_whoever_is_not_in_the_best_third():
    nan = np.nan
    # Epochs 1 ... 9, rungs 1, 3 and 9.
    first = [1.0, 2.0, 3.0, 2.5, 0.0, 3.0]
    scheduler = make_scheduler("asha_stopping")
    epochs = tuple(range(1, 10))
    history = CurveHistory.start(SPACE, epochs).begin(SPACE.sample(6, seed=2, canonical=True), 9)
    stops = []
    for trial, value in enumerate(first):
        history = history.tell(trial, 1, value)
        stops.append(scheduler.stops(history, trial))
    assert stops == [
        False,
        False,
        False,
        True,
        True,
        False,
    ]  # the best so far; then of 6 the best 2, the earlier of equals
    history = history.tell(0, 2, -5.0)
    assert not scheduler.stops(history, 0)  # no rung
    assert not make_scheduler("asha_stopping").stops(curves([[1, 2, nan], [9, 9, 9]], (1, 3, 9)), 1)  # complete
    assert scheduler.next(history, 0).epoch == 9


# ---- early stopping -----------------------------------------------------------------------------------------------


def test_median_stopping_compares_the_best_so_far_with_running_averages():
    nan = np.nan
    others = [
        [1, 2, 3],
        [2, 3, 4],
        [3, 4, nan],
        [0, 0, nan],
        [9, nan, nan],
    ]  # averages at 2: 1.5, 2.5, 3.5, 0; median 2
    rule = make_scheduler("median", min_trials=4)

    def stops(curve, rule=rule):
        return rule.stops(curves([*others, [*curve, nan]], (1, 2, 3), granted=[3] * 6), 5)

    assert stops([1, 1.9])
    assert not stops([1, 2.0])
    assert not stops([2.1, 0])  # its best counts
    assert not stops([1, 1.9], make_scheduler("median", min_trials=5))
    assert not stops([1, 1.9], make_scheduler("median", min_trials=4, min_epochs=3))


def power(final, change, exponent, epochs, noise=0.0, seed=0):
    times = np.asarray(epochs) / epochs[-1]
    wiggle = np.random.default_rng(seed).normal(0, noise, len(epochs)) if noise else 0
    return final + change * (times**-exponent - 1) + wiggle


def test_forecast_stopping_gives_up_the_hopeless_and_not_the_late():
    epochs = tuple(range(1, 21))
    finished = [power(80 + k, -4, 0.5, epochs, noise=0.1, seed=k) for k in range(6)]
    hopeless, promising = power(60, -4, 0.5, epochs), power(90, -12, 0.5, epochs)
    assert promising[5] < finished[5][5] + 2  # not ahead yet, or hardly

    def stops(curve, seen=6, **parameters):
        part = np.where(np.arange(20) < seen, curve, np.nan)
        history = curves([*finished, part], epochs, granted=[20] * 7)
        return make_scheduler("forecast", **parameters).stops(history, 6)

    assert stops(hopeless)
    assert not stops(promising)
    assert not stops(hopeless, seen=2)
    assert not stops(hopeless, min_trials=7)
    assert not stops(hopeless, min_epochs=10)
    assert not stops(hopeless, p=0.0)
    assert stops(promising, p=1.0)
    assert stops(hopeless, extrapolator="last")
    assert not stops(promising, extrapolator="parametric")
    with pytest.raises(UnknownNameError, match="unknown extrapolator 'magic'"):
        stops(hopeless, extrapolator="magic")


# ---- what searchers are told --------------------------------------------------------------------------------------


def test_searchers_learn_at_the_highest_epoch_that_enough_have_reached():
    rng = np.random.default_rng(0)
    low = rng.normal(size=12)
    high = np.where(np.arange(12) < 6, 2 * low + 10, np.nan)
    history = curves(np.stack([low, high], axis=1), (1, 9))
    tpe = TPE()
    told = lifted(history, [0, 1], tpe, None, 6)
    assert told.values[:6].tolist() == high[:6].tolist()
    assert told.pending.tolist() == [6, 7, 8, 9, 10, 11]
    assert lifted(history, [0, 1], tpe, None, 7).values.tolist() == low.tolist()
    forecast = lifted(history, [0, 1], tpe, "bayesian_linear@operations", 6)
    assert len(forecast.finished) == 12
    assert forecast.values[:6].tolist() == high[:6].tolist()
    assert np.corrcoef(forecast.values[6:], low[6:])[0, 1] > 0.6  # the lower value is what it learns from
    assert lifted(history, [0, 1], RandomSearch(), "bayesian_linear@operations", 6) == told
    failed = history.begin(SPACE.sample(1, seed=5), 1).tell(12, 1, np.nan)
    assert lifted(failed, [0, 1], tpe, None, 6).failed.tolist() == [12]


def test_bohb_proposes_by_its_model_but_for_a_share():
    assert make_scheduler("bohb").searcher == "bo"
    history = curves(np.random.default_rng(0).normal(size=(20, 1)) * [[1, 1]], (1, 3))
    asked = {
        share: make_scheduler("bohb@regularized_evolution", random_share=share).next(history, 0).architecture
        for share in (0.0, 1.0)
    }
    assert asked[1.0] == make_scheduler("hyperband").next(history, 0).architecture
    assert asked[0.0] == make_scheduler("hyperband@regularized_evolution").next(history, 0).architecture
    assert asked[0.0] != asked[1.0]


# ---- names and numbers --------------------------------------------------------------------------------------------


def test_names():
    scheduler = make_scheduler("asha@regularized_evolution", eta=4)
    assert (scheduler.searcher, scheduler.eta) == ("regularized_evolution", 4)
    with pytest.raises(UnknownNameError, match=r"unknown scheduler 'asha2'.*did you mean 'asha'"):
        make_scheduler("asha2")
    with pytest.raises(UnknownNameError, match="unknown searcher 'bq'"):
        make_scheduler("asha@bq")
    with pytest.raises(InvalidDataError, match="names its searcher"):
        make_scheduler("asha@bo", searcher="random")


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("asha", {"eta": 1.5}, "eta must be a number of at least 2, got 1.5"),
        ("asha", {"min_epochs": 0}, "min_epochs must be an integer between 1 and 9, got 0"),
        ("hyperband", {"min_epochs": 10}, "min_epochs must be an integer between 1 and 9, got 10"),
        ("bohb", {"random_share": 2}, "random_share must be a number between 0 and 1, got 2"),
        ("bohb", {"enough": 1}, "enough must be an integer of at least 2, got 1"),
        ("successive_halving", {"size": 0}, "size must be an integer of at least 1, got 0"),
        ("median", {"min_trials": 0}, "min_trials must be an integer of at least 1, got 0"),
        ("forecast", {"p": -0.1}, "p must be a number between 0 and 1, got -0.1"),
        ("full", {"searcher": 3}, "searcher must be a name or a Searcher, got int"),
    ],
)
def test_numbers_out_of_range(name, parameters, message):
    with pytest.raises(InvalidDataError, match=message):
        make_scheduler(name, **parameters).next(CurveHistory.start(SPACE, (1, 3, 9)), 0)
