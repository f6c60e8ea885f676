"""What every registered extrapolator must do."""

import numpy as np
import pytest
from archcast.errors import ArchcastError, InvalidDataError, UnknownNameError
from archcast.predictors import make_predictor
from archcast.predictors.curves import EXTRAPOLATORS, Extrapolator, make_extrapolator, register_extrapolator
from archcast.predictors.curves.features import FeatureExtrapolator
from archcast.spaces import get_space
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

NAMES = EXTRAPOLATORS.names()
EPOCHS = tuple(range(1, 13))
SPACE = get_space("nasbench201")


def build(name, **parameters):
    made = make_extrapolator(name, **parameters)
    if isinstance(made, FeatureExtrapolator) and made.regressor == "random_forest":
        made.set_params(regressor=make_predictor("random_forest", n_estimators=12))
    return made


def draw(n, seed):
    """Curves that rise by a power law, better ones from lower; some noise."""
    rng = np.random.default_rng(seed)
    final, change = rng.normal(90, 2, n), rng.gamma(4, 3, n)
    shape = np.array(EPOCHS, dtype=float)[None] ** -rng.uniform(0.4, 1.2, n)[:, None]
    return final[:, None] - change[:, None] * (shape - shape[:, -1:]) + rng.normal(0, 0.1, (n, 12))


COMPLETE, NEW = draw(40, 1), draw(60, 2)


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def fitted(name):
    return build(name).fit(COMPLETE, EPOCHS)


def test_a_mean_and_a_deviation_for_each(fitted):
    for seen in (1, 3, 11):
        mean, std = fitted.predict(NEW[:, :seen], return_std=True)
        assert mean.shape == std.shape == (60,)
        assert np.isfinite(mean).all()
        assert (std > 0).all()
        np.testing.assert_array_equal(fitted.predict(NEW[:, :seen]), mean)
    assert fitted.predict(NEW[:0, :3]).shape == (0,)


def test_beginnings_of_any_length_at_once(fitted):
    lengths = np.where(np.arange(60) % 3, 3, 6)
    ragged = np.where(np.arange(12) < lengths[:, None], NEW, np.nan)
    mean, std = fitted.predict(ragged, return_std=True)
    for length in (3, 6):
        alone = fitted.predict(NEW[lengths == length, :length], return_std=True)
        np.testing.assert_allclose([mean[lengths == length], std[lengths == length]], alone, rtol=1e-9)
    one = fitted.predict(ragged[7:8], return_std=True)
    np.testing.assert_allclose([mean[7:8], std[7:8]], one, rtol=1e-7)


def test_what_has_ended_is_known_and_what_has_not_begun_is_as_the_others(fitted):
    rows = np.stack([NEW[0], np.full(12, np.nan)])
    mean, std = fitted.predict(rows, return_std=True)
    assert (mean[0], std[0]) == (NEW[0, -1], 0)
    assert mean[1] == pytest.approx(COMPLETE[:, -1].mean())
    assert std[1] == pytest.approx(COMPLETE[:, -1].std(ddof=1))


def test_gaps_are_bridged(fitted):
    holed, straight = NEW[:, :6].copy(), NEW[:, :6].copy()
    holed[:, 3] = np.nan
    straight[:, 3] = (NEW[:, 2] + NEW[:, 4]) / 2
    np.testing.assert_allclose(fitted.predict(holed), fitted.predict(straight), rtol=1e-9)


def test_forecasts_get_better_and_surer(fitted):
    errors, deviations = [], []
    for seen in (3, 6, 11):
        mean, std = fitted.predict(NEW[:, :seen], return_std=True)
        errors.append(np.abs(mean - NEW[:, -1]).mean())
        deviations.append(std.mean())
    assert errors[0] > errors[1] > errors[2]
    assert deviations[0] > deviations[1] > deviations[2]


def test_intervals_cover_what_they_should(fitted):
    more = draw(300, 5)
    for seen in (3, 6):
        mean, std = fitted.predict(more[:, :seen], return_std=True)
        assert 0.65 < (np.abs(mean - more[:, -1]) < 1.2816 * std).mean() < 0.97


def test_units_and_direction_do_not_matter(name, fitted):
    mean, std = fitted.predict(NEW[:, :3], return_std=True)
    lower = build(name).fit(7 - 1000 * COMPLETE, EPOCHS, higher_is_better=False)
    other, spread = lower.predict(7 - 1000 * NEW[:, :3], return_std=True)
    # A split may fall to either side of a tie, and the support vector solver stops short of the end.
    tolerance = {"feature_forest": 1500, "feature_svr": 30}.get(name, 1)
    np.testing.assert_allclose(other, 7 - 1000 * mean, atol=tolerance)
    np.testing.assert_allclose(np.median(spread), 1000 * np.median(std), rtol=0.2 if tolerance > 1 else 1e-2)


def test_the_same_again(name, fitted):
    again = clone(fitted).fit(COMPLETE, EPOCHS)
    assert repr(again) == repr(fitted)
    for a, b in zip(
        again.predict(NEW[:, :3], return_std=True), fitted.predict(NEW[:, :3], return_std=True), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_incomplete_curves_are_left_out_in_fit(name, fitted):
    partly = np.concatenate([COMPLETE, np.where(np.arange(12) < 5, NEW, np.nan)])
    again = build(name).fit(partly, EPOCHS)
    np.testing.assert_array_equal(again.predict(NEW[:, :3]), fitted.predict(NEW[:, :3]))


def with_value(value):
    curves = COMPLETE.copy()
    curves[3, 2] = value
    return curves


@pytest.mark.parametrize(
    ("curves", "options", "said"),
    [
        (with_value(np.inf), {}, "curve 3 must be finite, or NaN where it is not known, got inf"),
        (COMPLETE[0], {}, r"one row a training and one column an epoch, got shape \(12,\)"),
        ([["a"]], {}, "curves must be numbers"),
        (COMPLETE, {"epochs": [1, 2]}, "one epoch for each of 12 columns, got 2"),
        (COMPLETE, {"epochs": [3, *range(2, 13)]}, "epochs must be increasing positive integers"),
        (COMPLETE, {"architectures": SPACE.sample(3, seed=0)}, "one architecture for each of 40 curves, got 3"),
    ],
)
def test_bad_curves(name, curves, options, said):
    with pytest.raises(InvalidDataError, match=said):
        build(name).fit(curves, **options)


def test_bad_queries(name, fitted):
    with pytest.raises(NotFittedError):
        build(name).predict(NEW)
    with pytest.raises(InvalidDataError, match="curves of up to 12 epochs as in fit, got 13"):
        fitted.predict(np.ones((2, 13)))
    with pytest.raises(InvalidDataError, match="curve 1 must be finite"):
        fitted.predict([[1.0, 2.0], [1.0, -np.inf]])


def test_too_few_complete_curves_are_refused(name):
    least = build(name).least_complete
    if least:
        with pytest.raises(InvalidDataError, match=f"at least {least} complete curves, got {least - 1} of {least - 1}"):
            build(name).fit(COMPLETE[: least - 1])
    else:
        bare = build(name).fit(np.empty((0, 12)))
        assert np.isfinite(bare.predict(NEW[:, :3])).all()
        with pytest.raises(InvalidDataError, match="curve 1 has no value"):
            bare.predict([[1.0, 2.0], [np.nan, np.nan]])
    build(name).fit(COMPLETE[: least + 1]).predict(NEW[:, :3], return_std=True)


def test_names():
    assert make_extrapolator("feature_forest@operations").encoder == "operations"
    with pytest.raises(UnknownNameError, match="did you mean 'parametric'"):
        make_extrapolator("parametrics")
    with pytest.raises(UnknownNameError, match="unknown encoder"):
        make_extrapolator("feature_gp@nosuch")
    with pytest.raises(ArchcastError, match="has no parameter 'encoder'"):
        make_extrapolator("last@operations")


def test_a_registered_class_joins():
    @register_extrapolator("test_median")
    class Median(Extrapolator):
        def _fit(self, curves, architectures):
            self.middle_ = np.median(self.finals_)

        def _predict(self, curves, architectures):
            return np.full(len(curves), self.middle_), np.ones(len(curves))

    try:
        assert make_extrapolator("test_median").fit(COMPLETE).predict(NEW[:1, :2])[0] == np.median(COMPLETE[:, -1])
    finally:
        del EXTRAPOLATORS._registered["test_median"]
