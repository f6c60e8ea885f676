"""The examples in the docstrings of the spaces."""

import doctest
import importlib
import pkgutil

import archcast.spaces
import pytest

MODULES = [f"archcast.spaces.{module.name}" for module in pkgutil.iter_modules(archcast.spaces.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
