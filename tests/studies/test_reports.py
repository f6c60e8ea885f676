"""Reports say what the study holds, in numbers that can be checked, whatever names hold."""

import html.parser
import json

import archcast as ac
import numpy as np
import pytest
from archcast.errors import InvalidDataError, UnknownNameError
from archcast.studies import pruner_spec
from archcast.studies.plots import plot_anytime, plot_curves, plot_forecasts
from archcast.trainers import CallableTrainer
from toy_studies import METRIC, fail_sometimes


@pytest.fixture
def study(make):
    study = make("<b>cells</b> | 1", searcher="bo", pruner=pruner_spec("median", {"n_startup_trials": 6}), task="toy")
    study.run(CallableTrainer(fail_sometimes), trainings=18, max_failures=18)
    return study


class Page(html.parser.HTMLParser):
    """Collects the tags, the text and the sources of pictures of a page."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.sources = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_numbers_of_a_report(study):
    content = json.loads(study.summary().to_json())
    history, trials = study.history(), study.trials()
    states = [candidate.state for candidate in study.candidates()]
    assert content["counts"] == {
        state: states.count(state) for state in ("finished", "pruned", "failed", "running", "waiting")
    }
    assert content["counts"]["failed"] > 0
    finished = np.array(states) == "finished"
    values = np.where(finished, history.values, -np.inf)
    best = np.maximum.accumulate(values)
    assert content["anytime"]["best"] == [None if np.isinf(value) else value for value in best]
    assert content["best"]["number"] == int(np.argmax(values))
    assert content["seconds"] == pytest.approx(sum(trial.about["seconds"] for trial in trials))
    pairs = [
        (p["value"], p["forecast_mean"]) for p in content["picks"] if p["value"] is not None and p["forecast_mean"]
    ]
    assert content["forecasts"]["count"] == len(pairs)
    assert content["forecasts"]["mean_absolute_error"] == pytest.approx(np.mean([abs(a - b) for a, b in pairs]))
    for pick in content["picks"]:
        if pick["forecast_mean"] is not None and pick["value"] is not None:
            surprise = (pick["value"] - pick["forecast_mean"]) / pick["forecast_std"]
            assert pick["surprise"] == pytest.approx(surprise)
        for item in pick["neighbors"]:
            assert item["value"] == trials[item["number"]].value


def test_the_next_edits_are_new_and_near_the_best(study):
    report = study.summary()
    edits, best = report.content["edits"], study.best().architecture
    assert len(edits) == 5
    assert [edit["gain"] for edit in edits] == sorted((edit["gain"] for edit in edits), reverse=True)
    tried = {trial.architecture.batch().keys()[0] for trial in study.trials()}
    for edit in edits:
        batch = study.space.parse(edit["architecture"])
        assert (batch.genotypes[0] != best.genotype).sum() == 1
        assert batch.keys()[0] not in tried
        assert edit["edit"] in report.to_html().replace("&gt;", ">")
        assert f"- {edit['edit']}: forecast" in report.to_markdown()


def test_a_table_tells_the_regret(study):
    table = ac.load_table("nasbench201")
    values = table.values("cifar10/test_accuracy", epoch=200)
    regret = study.summary("nasbench201", "cifar10/test_accuracy", epoch=200).content["regret"]
    (row,) = table.rows(study.best().architecture.batch())
    assert regret["value"] == values[row]
    assert regret["regret"] == pytest.approx(values.max() - values[row])
    assert regret["anytime"][-1] == regret["regret"]
    assert len(regret["anytime"]) == 18
    with pytest.raises(InvalidDataError, match="table 'nasbench_nlp' is of space 'nasbench_nlp'"):
        study.summary("nasbench_nlp", "wikitext2/test_loss")
    with pytest.raises(InvalidDataError, match="expected the metric of table 'nasbench201'"):
        study.summary("nasbench201")
    with pytest.raises(UnknownNameError):
        study.summary("nasbench201", "cifar10/taste")


def test_the_page_holds_everything_and_nothing_that_was_smuggled_in(study, tmp_path):
    report = study.summary("nasbench201", "cifar10/test_accuracy", epoch=200)
    text = report.save(tmp_path / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert "<b>cells" not in text
    assert "Study <b>cells</b> | 1" in page.text
    assert len(page.sources) == 4  # the architecture, the best so far, forecasts, learning curves
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    for pick in report.content["picks"]:
        assert pick["architecture"] in page.text
    assert any("regret by nasbench201:cifar10/test_accuracy@200" in part for part in page.text)
    assert any("failed: ValueError: no input" in part or "is nan at the end" in part for part in page.text)


def test_markdown(study, tmp_path):
    lines = study.summary().save(tmp_path / "report.md").read_text().splitlines()
    assert lines[0] == "# Study <b>cells</b> \\| 1"
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| #")]
    picks = study.summary().content["picks"]
    assert len(rows) == len(picks) + min(10, sum(pick["state"] == "finished" for pick in picks))
    assert {line.replace("\\|", "").count("|") for line in rows} == {6}
    with pytest.raises(InvalidDataError, match=r"expected a file name ending in .html, .md, .json, got 'report.pdf'"):
        study.summary().save(tmp_path / "report.pdf")


def test_a_study_without_trainings_has_a_report(make, tmp_path):
    study = make()
    assert study.summary().content["best"] is None
    assert "No training has finished yet." in study.summary().to_markdown()
    assert Page(study.summary().to_html()).sources == []
    for draw, message in (
        (plot_anytime, "no finished training"),
        (plot_forecasts, "no outcome that was forecast"),
        (plot_curves, "no learning curve"),
    ):
        with pytest.raises(InvalidDataError, match=message):
            draw(study)


def test_pictures(study):
    axes = plot_anytime(study).axes[0]
    (line,) = [line for line in axes.lines if line.get_label() == "best so far"]
    assert line.get_ydata()[-1] == study.best().value
    seconds = plot_anytime(study, over="seconds").axes[0]
    (line,) = [line for line in seconds.lines if line.get_label() == "best so far"]
    assert line.get_xdata()[-1] == pytest.approx(sum(trial.about["seconds"] for trial in study.trials()))
    assert axes.get_ylabel() == METRIC
    with pytest.raises(InvalidDataError, match="over must be"):
        plot_anytime(study, over="epochs")
