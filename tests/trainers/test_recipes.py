"""Recipes by name, from JSON and from files; the recipe and the plan of the shipped table."""

import json

import pytest
from archcast.errors import InvalidDataError, UnknownNameError
from archcast.trainers import Fidelity, Recipe, make_task
from archcast.trainers.plans import PLANS
from archcast.trainers.recipes import RECIPES, default_recipe, make_recipe


@pytest.mark.parametrize("name", RECIPES.names())
def test_recipes_come_by_name_as_json_and_from_files(name, tmp_path):
    recipe = make_recipe(name)
    text = json.dumps(recipe.to_dict())
    (tmp_path / "mine.json").write_text(text)
    assert make_recipe(text) == make_recipe(str(tmp_path / "mine.json")) == recipe
    assert make_recipe(name, epochs=3).to_dict() == recipe.to_dict() | {"epochs": 3}


def test_what_is_left_out_has_its_default():
    assert make_recipe("{}") == Recipe()
    assert make_recipe(' {"epochs": 7}', epochs=8, optimizer="adam") == Recipe(epochs=8, optimizer="adam")


def test_tasks_have_a_usual_recipe():
    assert default_recipe(make_task("mnist1d", train=20, valid=10, test=10)) == make_recipe("signals")
    assert default_recipe(make_task("digits")) == make_recipe("small_images")


def test_what_is_no_recipe_is_refused(tmp_path):
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "bytes.json").write_bytes(b"\xff")
    for text, message in (
        ("{", "the recipe is not valid JSON"),
        ('{"epoch": 3}', "unknown value 'epoch' of a recipe"),
        ('{"epochs": 0}', "'epochs' of a recipe must be an integer of at least 1, got 0"),
        (str(tmp_path / "none.json"), "cannot read the recipe .*none.json'"),
        (str(tmp_path / "list.json"), "list.json must be a JSON object, got list"),
        (str(tmp_path / "bytes.json"), "it is not UTF-8 text"),
    ):
        with pytest.raises(InvalidDataError, match=message):
            make_recipe(text)
    with pytest.raises(UnknownNameError, match="did you mean 'signals'"):
        make_recipe("signal")
    with pytest.raises(InvalidDataError, match="unknown value 'text' of a recipe"):
        make_recipe("signals", text="a")


def test_the_shipped_table_is_planned_as_documented():
    plan = PLANS.create("mnist1d_nasbench201")
    assert len(plan.architectures) == 6466
    assert len(set(plan.architectures.keys().tolist())) == 6466
    full, quarter = plan.parts
    assert (full.fidelity, full.seeds) == (Fidelity(), (0, 1, 2, 3))
    assert (quarter.fidelity, quarter.seeds) == (Fidelity(data_share=0.25), (0, 1))
    recipe = full.recipe
    assert (recipe.epochs, recipe.batch_size, recipe.channels, recipe.stages, recipe.cells) == (10, 100, 16, 1, 1)
    assert (recipe.optimizer, recipe.schedule, recipe.test) == ("adamw", "one_cycle", "every_epoch")
    assert len(plan.made_task.train) == 2000
    assert plan.made_task.inputs == (1, 20)
    order = plan.order()
    assert sorted(order.tolist()) == list(range(6466))
    assert (order == PLANS.create("mnist1d_nasbench201").order()).all()
    with pytest.raises(UnknownNameError, match="unknown plan 'mnist1d'"):
        PLANS.create("mnist1d")
