"""By what finished runs are known: the package's estimators by name and parameters, others by their code too."""

import importlib
import sys

import pytest
from archcast.evaluation.cache import content_key, described
from archcast.predictors import make_predictor

CODE = """
from archcast.predictors.constant import ConstantPredictor

class Mine(ConstantPredictor):
    offset = {offset}
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module of somebody else, whose predictor is made anew after each edit."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def made(offset):
        (tmp_path / "mine_predictor.py").write_text(CODE.format(offset=offset))
        importlib.invalidate_caches()
        sys.modules.pop("mine_predictor", None)
        return importlib.import_module("mine_predictor").Mine()

    yield made
    sys.modules.pop("mine_predictor", None)


def test_the_packages_own_are_known_by_class_and_parameters():
    assert set(described(make_predictor("gp"))) == {"class", "parameters"}
    assert content_key(described(make_predictor("gp"))) == content_key(described(make_predictor("gp")))
    assert content_key(described(make_predictor("gp"))) != content_key(described(make_predictor("gp", restarts=1)))


def test_an_edited_predictor_of_somebody_else_is_another_run(mine):
    before = content_key(described(mine(0)))
    assert content_key(described(mine(0))) == before
    assert content_key(described(mine(1))) != before


def test_code_inside_parameters_counts_too(mine):
    def key(offset):
        return content_key(described(make_predictor("auto", candidates=("gp",)).set_params(encoder=mine(offset))))

    assert key(0) != key(1)
