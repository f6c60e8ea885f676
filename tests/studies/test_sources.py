"""Studies that learn from another history: what is begun with, what is stored, and which sources are refused."""

import shutil

import archcast as ac
import numpy as np
import pytest
from archcast.errors import InvalidDataError, ModelFormatError, StudyMismatchError, UnknownNameError
from archcast.searchers.warm_start import source_scores
from archcast.studies import StudyStorage, open_study
from archcast.trainers import CallableTrainer
from toy_studies import METRIC, SPACE, TRAINER, change

CIFAR100 = "nasbench201:cifar100/test_accuracy@12"
MNIST1D = "mnist1d_nasbench201:mnist1d/valid_loss"


@pytest.fixture(scope="module")
def lookup():
    """A trainer whose outcomes are those of the table, CIFAR-10 after 200 epochs."""
    table = ac.load_table("nasbench201")
    return CallableTrainer(
        lambda architecture, *_: {
            METRIC: float(table.query(architecture.batch(), "cifar10/test_accuracy", epoch=200)[0])
        }
    )


def silent(_text):
    pass


def test_a_study_begins_with_the_best_of_its_sources_and_goes_on_without_naming_them(make, path, lookup):
    make("whole", searcher="bo_transfer", sources=[CIFAR100]).run(lookup, trainings=6)
    make("parts", searcher=None, sources=[CIFAR100]).run(lookup, trainings=3, notify=silent)
    again = open_study("parts", path)
    again.run(lookup, trainings=6)
    assert again.history() == make("whole", searcher=None).history()
    table = ac.load_table("nasbench201")
    y = table.values("cifar10/test_accuracy", epoch=200)
    first = again.trials()[0]
    assert first.value > np.quantile(y, 0.95)
    scores = source_scores(again.settings.asked.reader(), table.architectures)
    assert first.architecture.batch().keys() == table.canonical_keys[[int(np.argmax(scores))]]
    assert [trial.about["initial"] for trial in again.trials()] == [True] * 5 + [False]
    assert again.trials()[5].about["forecast_std"] > 0


def test_what_is_stored_names_the_sources_and_not_what_they_hold(make, path):
    study = make(searcher="warm:regularized_evolution", sources=[CIFAR100, MNIST1D])
    stored = study.storage.settings(study.optuna_study)
    assert [item["source"] for item in stored["sources"]] == [CIFAR100, MNIST1D]
    assert stored["searcher"]["parameters"]["searcher"] == "regularized_evolution"
    assert stored["searcher"]["parameters"]["sources"] == []
    study.run(TRAINER, trainings=3, notify=silent)
    losses = ac.load_table("mnist1d_nasbench201")
    given = study.settings.asked.reader().get_params()["sources"][1]
    assert given.y.tolist() == (-losses.values("mnist1d/valid_loss")).tolist()
    assert [trial.about["initial"] for trial in study.trials()] == [True] * 3
    assert f"{CIFAR100}, {MNIST1D}" in study.summary().to_html()
    assert open_study("study", path, sources=[CIFAR100, MNIST1D]).history() == study.history()


def test_other_sources_are_refused(make, path):
    make(searcher="bo_transfer", sources=[CIFAR100])
    make("without", searcher="bo_transfer")
    with pytest.raises(StudyMismatchError, match=rf"has sources {CIFAR100} \(\w+\), and was opened with {MNIST1D} \("):
        open_study("study", path, sources=[MNIST1D])
    with pytest.raises(StudyMismatchError, match="and was opened with none"):
        open_study("study", path, sources=[])
    with pytest.raises(StudyMismatchError, match="study 'without' has sources none, and was opened with nasbench201:"):
        open_study("without", path, sources=[CIFAR100])
    with pytest.raises(StudyMismatchError, match="has searcher bo"):
        open_study("study", path, searcher="warm:bo")
    with pytest.raises(UnknownNameError, match="no metric 'cifar10/taste'"):
        open_study("study", path, sources=["nasbench201:cifar10/taste"])


def test_a_source_that_changed_or_is_gone_is_noticed_before_anything_is_trained(make, path, tmp_path):
    table = ac.load_table("nasbench201")
    train, _ = table.split(40, seed=0)
    y = table.values("cifar100/test_accuracy", epoch=12)
    file = tmp_path / "earlier.archcast"
    ac.make_predictor("ridge@operations").fit(table.architectures[train], y[train]).save(file)
    make(sources=[str(file)], searcher="warm:random")
    copied = tmp_path / "copied.archcast"
    shutil.copy(file, copied)
    assert open_study("study", path, sources=[str(copied)]).settings.asked.reader() is not None
    ac.make_predictor("ridge@operations").fit(table.architectures[train], -y[train]).save(file)
    changed = open_study("study", path)
    with pytest.raises(StudyMismatchError, match=r"earlier.archcast' does not hold what it held"):
        changed.run(TRAINER, trainings=3)
    file.unlink()
    gone = open_study("study", path)
    with pytest.raises(InvalidDataError, match=r"must read TABLE:METRIC\[@EPOCH\] or be the file of a predictor"):
        gone.run(TRAINER, trainings=3)
    assert gone.trials() == []
    assert "earlier.archcast" in gone.summary().to_markdown()


def test_sources_that_are_objects_are_given_again(make, path):
    known = SPACE.sample(30, seed=0)
    source = ac.Source(known, (known.genotypes == 3).sum(axis=1), name="counted")
    make(searcher="bo_transfer", sources=[source]).run(TRAINER, trainings=2, notify=silent)
    with pytest.raises(InvalidDataError, match="source 'counted' was given to the study as an object"):
        open_study("study", path).run(TRAINER, trainings=4)
    assert len(open_study("study", path, sources=[source]).run(TRAINER, trainings=4, notify=silent)) == 2


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"searcher": "bo"}, InvalidDataError, "searcher 'bo' takes no sources, expected one that learns from them"),
        ({"searcher": "random"}, InvalidDataError, "searcher 'random' takes no sources"),
        ({"sources": ["nowhere:cifar10/test_accuracy"]}, UnknownNameError, "unknown table 'nowhere'"),
        ({"sources": ["nasbench201:taste/test"]}, UnknownNameError, "no metric 'taste/test'"),
        ({"sources": [f"{CIFAR100}3"]}, UnknownNameError, "has no epoch 123"),
        ({"sources": ["nasbench201"]}, InvalidDataError, r"a source must read TABLE:METRIC\[@EPOCH\]"),
        ({"sources": CIFAR100}, InvalidDataError, "sources must be a list, got str"),
        ({"sources": [3]}, InvalidDataError, "source 0: expected a Source, a fitted predictor"),
        ({"sources": [__file__]}, ModelFormatError, "test_sources.py"),
    ],
)
def test_nothing_is_made_of_bad_sources(path, given, error, message):
    settings = {"space": SPACE, "metric": METRIC, "searcher": "bo_transfer", "sources": [CIFAR100], **given}
    with pytest.raises(error, match=message):
        open_study("study", path, **settings)
    assert StudyStorage(path).names() == []


def test_a_source_of_another_space_needs_something_in_common(path):
    cells = ac.get_space("nasbench201").sample(30, seed=0)
    forecaster = ac.make_predictor("ridge@operations").fit(cells, np.arange(30.0))
    chains = {"space": ac.get_space("mnasnet_chain"), "metric": METRIC, "searcher": "warm:tpe"}
    with pytest.raises(InvalidDataError, match="is a predictor of space 'nasbench201', and the target is of space"):
        open_study("study", path, sources=[forecaster], **chains)
    adjacency = ac.make_searcher("bo", predictor=ac.make_predictor("gp_transfer@adjacency"))
    with pytest.raises(InvalidDataError, match="of space 'nasbench201', whose encoding shares no column with that of"):
        open_study("study", path, sources=[CIFAR100], **{**chains, "searcher": adjacency})
    graphs = open_study("graphs", path, space=ac.get_space("nasbench101"), metric=METRIC, sources=[CIFAR100])
    asked = graphs.settings.asked.ask(graphs.history(), 1)
    assert asked.space.name == "nasbench101"


def test_studies_of_before_had_no_sources(make, path):
    make().run(TRAINER, trainings=2)
    change(
        path,
        "UPDATE study_user_attributes SET value_json = json_remove(value_json, '$.sources') WHERE \"key\" = 'archcast'",
    )
    study = open_study("study", path)
    assert study.settings.sources == ()
    assert len(study.run(TRAINER, trainings=3)) == 1
