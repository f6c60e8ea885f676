"""Studies are opened with their own settings only, and nothing is made of bad ones."""

import math

import archcast as ac
import optuna
import pytest
from archcast.errors import ArchcastError, InvalidDataError, StudyMismatchError, UnknownNameError
from archcast.studies import StudyStorage, open_study, pruner_spec
from archcast.studies.storage import SETTINGS
from archcast.trainers import Fidelity, Recipe
from toy_studies import METRIC, SPACE, TRAINER, change


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"space": ac.get_space("darts")}, "has space 'nasbench201', and was opened with 'darts'"),
        ({"metric": "valid/loss"}, "has metric 'valid/accuracy', and was opened with 'valid/loss'"),
        ({"direction": "lower"}, "has direction 'higher', and was opened with 'lower'"),
        ({"searcher": "bo"}, r"has searcher random\(\), and was opened with bo\("),
        ({"seed": 1}, "has seed 0, and was opened with 1"),
        ({"task": "other"}, "has task 'training', and was opened with 'other'"),
        ({"recipe": {"lr": 1}}, "has recipe {}, and was opened with {'lr': 1}"),
        ({"fidelity": Fidelity(epochs=2)}, "has fidelity"),
        ({"pruner": pruner_spec("median")}, "has pruner None, and was opened with"),
        ({"grace": 99}, "has grace 60, and was opened with 99"),
    ],
)
def test_a_study_is_opened_with_its_own_settings_only(make, path, given, message):
    make().run(TRAINER, trainings=2)
    with pytest.raises(StudyMismatchError, match=message):
        open_study("study", path, **given)
    assert len(open_study("study", path, space=SPACE, metric=METRIC).trials()) == 2


def test_of_two_searchers_the_difference_is_named(make):
    make(searcher=ac.make_searcher("bo", initial=7))
    with pytest.raises(StudyMismatchError, match=r"has searcher bo\(initial=7\), and was opened with bo\(initial=5\)"):
        make(searcher="bo")


RECIPE = Recipe(epochs=3).to_dict()


def test_what_came_after_a_study_was_made_is_at_its_default_in_it(make, path):
    made = make(searcher=ac.make_searcher("bo", initial=7), recipe=RECIPE, cost_metric="cost")
    stored = made.settings.to_dict()
    for setting in ("seeds", "pruner", "heartbeat", "grace"):
        del stored[setting]
    for holder, value in (("fidelity", "width"), ("recipe", "momentum")):
        del stored[holder][value]
    del stored["searcher"]["parameters"]["initial_design"]
    storage = StudyStorage(path)
    storage.set_attribute(storage.load("study"), SETTINGS, stored)
    own = {"seeds": [0], "grace": 60, "fidelity": Fidelity(), "recipe": RECIPE, "cost_metric": "cost"}
    again = open_study("study", path, **own, searcher=ac.make_searcher("bo", initial=7))
    assert again.settings.searcher.get_params() == made.settings.searcher.get_params()
    assert (again.settings.seeds, again.settings.pruner, again.settings.grace) == ((0,), None, 60)
    for given, message in [
        ({"seeds": [0, 1]}, r"has seeds \[0\], and was opened with \[0, 1\]"),
        ({"grace": 99}, "has grace 60, and was opened with 99"),
        ({"pruner": pruner_spec("median")}, "has pruner None"),
        ({"fidelity": Fidelity(width=0.5)}, "has fidelity"),
        ({"recipe": RECIPE | {"momentum": 0.5}}, "has recipe"),
        ({"recipe": {}}, "has recipe"),
        (
            {"searcher": ac.make_searcher("bo", initial=7, initial_design="kmeans")},
            r"bo\(initial_design='random'\), and was opened with bo\(initial_design='kmeans'\)",
        ),
    ]:
        with pytest.raises(StudyMismatchError, match=message):
            open_study("study", path, **given)


def test_settings_without_what_has_no_default_cannot_be_read(make, path):
    stored = make().settings.to_dict()
    storage = StudyStorage(path)
    for setting in ("space", "metric", "direction", "searcher"):
        fewer = {name: value for name, value in stored.items() if name != setting}
        storage.set_attribute(storage.load("study"), SETTINGS, fewer)
        with pytest.raises(InvalidDataError, match=f"of study 'study' cannot be read: KeyError.*'{setting}'"):
            open_study("study", path, seed=0)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"metric": None}, InvalidDataError, "a new study needs a metric"),
        ({"space": None}, InvalidDataError, "a new study needs a space"),
        ({"metric": "valid/quality"}, InvalidDataError, "'valid/quality' does not follow from its name"),
        ({"direction": "up"}, InvalidDataError, "direction must be 'higher' or 'lower', got 'up'"),
        ({"searcher": "oracle"}, UnknownNameError, "unknown searcher 'oracle'"),
        ({"searcher": 3}, InvalidDataError, "expected the name of a searcher"),
        ({"pruner": pruner_spec("mean")}, UnknownNameError, "unknown pruner 'mean'"),
        ({"pruner": pruner_spec("median", {"steps": 3})}, InvalidDataError, "has no parameter 'steps'"),
        ({"pruner": pruner_spec("hyperband", {"max_resource": "x"})}, InvalidDataError, "'hyperband' cannot be made"),
        ({"seed": -1}, InvalidDataError, "seed must be an integer of at least 0, got -1"),
        ({"heartbeat": 5, "grace": 5}, InvalidDataError, "grace must be more than heartbeat = 5"),
        ({"recipe": {"lr": math.nan}}, InvalidDataError, "a recipe must be a JSON object"),
        ({"task": "a/b"}, InvalidDataError, "must not have a slash"),
    ],
)
def test_nothing_is_made_of_bad_settings(make, new_path, path, given, error, message):
    with pytest.raises(error, match=message):
        make(**given)
    assert StudyStorage(path).names() == []
    absent = new_path.with_name("absent.db")
    with pytest.raises(error, match=message):
        open_study("study", absent, **{"space": SPACE, "metric": METRIC, **given})
    assert not absent.exists()


def test_names(make, path):
    for name in ("", "x" * 201, "a\nb", 3):
        with pytest.raises(InvalidDataError, match="a study needs a name"):
            make(name)
    with pytest.raises(UnknownNameError, match="the file does not exist; a new study needs a space and a metric"):
        open_study("study", path.with_name("absent.db"))
    make("first")
    with pytest.raises(UnknownNameError, match=r"there is no study 'second' in .*, there is first"):
        open_study("second", path)


def test_studies_of_others_are_left_alone(make, path):
    foreign = optuna.create_study(study_name="theirs", storage=f"sqlite:///{path}")
    foreign.add_trial(optuna.trial.create_trial(value=1.0))
    make("ours")
    for settings in ({}, {"space": SPACE, "metric": METRIC}):
        with pytest.raises(StudyMismatchError, match="was not made by archcast"):
            open_study("theirs", path, **settings)


def test_trials_that_others_add_are_known(make):
    study = make()
    genotype = (3, 3, 3, 3, 3, 3)
    genes = zip(study._distributions.items(), genotype, strict=True)
    study.optuna_study.add_trial(
        optuna.trial.create_trial(
            value=0.93,
            params={name: distribution.choices[value] for (name, distribution), value in genes},
            distributions=study._distributions,
        )
    )
    study.optuna_study.enqueue_trial({})
    history = study.history()
    assert history.architectures.genotypes.tolist() == [list(genotype)]
    assert history.values.tolist() == [0.93]


def test_an_architecture_of_another_space_is_noticed(make, path):
    make().run(TRAINER, trainings=1)
    change(path, "UPDATE trial_user_attributes SET value_json = '[9, 9, 9, 9, 9, 9]' WHERE \"key\" = 'genotype'")
    with pytest.raises(ArchcastError, match="the study holds what is no architecture of 'nasbench201'"):
        make().ask()
