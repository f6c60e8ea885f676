"""Weights that trainings leave, and trainings that start from them."""

import math
import re
from dataclasses import replace

import archcast as ac
import pytest
import torch
from archcast.errors import ArchcastError, InvalidDataError
from archcast.trainers import Fidelity, ProcessPool, Recipe, Status, TorchTrainer, make_task, run, train
from archcast.trainers.transfer import WeightStore, copy_matching

RECIPE = Recipe(epochs=2, batch_size=32, channels=4, stages=1, cells=1, learning_rate=0.05)
PARENT = "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
CHILD = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
UNLIKE = "|avg_pool_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_3x3~0|none~1|nor_conv_1x1~2|"
SPACE = ac.get_space("nasbench201")


@pytest.fixture(scope="module")
def task():
    return make_task("mnist1d", train=64, valid=32, test=32)


def trainer_for(task, folder, **options):
    return TorchTrainer(task, options.pop("recipe", RECIPE), device="cpu", weights=folder, **options)


def outputs(trainer, request, state):
    skeleton = Recipe.from_dict(request.recipe).skeleton(trainer.task, request.fidelity)
    network = SPACE.build(request.architecture, skeleton, seed=0)
    network.load_state_dict(state)
    with torch.no_grad():
        return network.eval()(torch.from_numpy(trainer.task.valid.inputs))


# ---- the store -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("averaging", [None, 0.5])
def test_the_weights_that_are_kept_are_those_that_were_evaluated(task, tmp_path, seeds, averaging):
    trainer = trainer_for(task, tmp_path, recipe=replace(RECIPE, averaging=averaging))
    requests = trainer.requests(SPACE, [CHILD], seeds=range(seeds))
    records = run(requests, trainer)
    assert len(trainer.weights) == seeds
    for request, record in zip(requests, records, strict=True):
        assert request in trainer.weights
        assert record.message == ""
        stored = trainer.weights.get(request)
        assert (stored.seed, stored.epochs, stored.warm_start) == (request.seed, 2, None)
        found = outputs(trainer, request, stored.load())
        accuracy = (found.argmax(1) == torch.from_numpy(task.valid.targets)).double().mean()
        assert record.final("valid/accuracy") == pytest.approx(float(accuracy))


def test_trainings_do_not_depend_on_whether_weights_are_kept(task, tmp_path):
    trainers = (trainer_for(task, tmp_path), trainer_for(task, None))
    kept, not_kept = (run(trainer.requests(SPACE, [CHILD]), trainer)[0] for trainer in trainers)
    assert kept.curves == not_kept.curves


def test_a_store_names_what_it_cannot_give(task, tmp_path):
    trainer = trainer_for(task, tmp_path / "deep" / "folder")
    request = trainer.requests(SPACE, [PARENT], seeds=[3])[0]
    store = trainer.weights
    assert request not in store and not len(store)
    with pytest.raises(InvalidDataError, match=r"no weights of \|nor_conv_1x1~0\|.* with seed 3 in"):
        store.get(request)
    with pytest.raises(InvalidDataError, match="does not start from another's weights"):
        store.parent(request)
    path = store.save(request, {"a": torch.ones(2)}, 1)
    assert torch.equal(store.get(request).load()["a"], torch.ones(2))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InvalidDataError, match="cannot read weights from"):
        store.get(request).load()
    path.write_bytes(b"nothing")
    with pytest.raises(InvalidDataError, match="cannot read weights from"):
        store.get(request)
    (tmp_path / "file").touch()
    with pytest.raises(InvalidDataError, match="cannot keep weights in"):
        WeightStore(tmp_path / "file")


def test_weights_that_cannot_be_written_do_not_cost_the_training(task, tmp_path):
    trainer = trainer_for(task, tmp_path / "weights")
    (tmp_path / "weights").rmdir()
    record = run(trainer.requests(SPACE, [PARENT]), trainer)[0]
    assert record.status is Status.FINISHED
    assert "cannot write" in record.message


def test_trainings_that_diverge_leave_no_weights(task, tmp_path):
    trainer = trainer_for(task, tmp_path, recipe=replace(RECIPE, learning_rate=1e30, schedule="constant"))
    record = run(trainer.requests(SPACE, [PARENT]), trainer)[0]
    assert record.status is Status.DIVERGED
    assert not len(trainer.weights)


# ---- warm starts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [[0], [0, 1, 5]])
def test_a_child_begins_where_its_parent_ended(task, tmp_path, seeds):
    trainer = trainer_for(task, tmp_path)
    parents = run(trainer.requests(SPACE, [PARENT], seeds=seeds), trainer)
    still = trainer.requests(SPACE, [CHILD], seeds=seeds, parents=[PARENT])
    assert {request.warm_start for request in still} == {PARENT}
    store = trainer.weights
    for request in still:
        state, message = trainer._start(request, RECIPE)
        found = outputs(trainer, request, state)
        plain = trainer.requests(SPACE, [PARENT], seeds=[request.seed])[0]
        expected = outputs(trainer, plain, store.get(plain).load())
        assert torch.allclose(found, expected, atol=1e-5)
        assert message.startswith(f"started from {PARENT} after epoch 2: outputs preserved by a morphism (")
    children = run(still, trainer)
    for parent, child in zip(parents, children, strict=True):
        assert child.status is Status.FINISHED
        assert child.warm_start == PARENT
        assert "% of the parameters" in child.message
        assert child.curves["train/loss"][0] < parent.curves["train/loss"][0]
    alone = run(trainer.requests(SPACE, [CHILD], seeds=seeds), trainer)
    assert {record.key for record in alone}.isdisjoint(record.key for record in children)
    assert all(record.warm_start is None and not record.message for record in alone)


def test_what_no_morphism_gives_is_copied(task, tmp_path):
    record = train(SPACE.parse([PARENT])[0], task, RECIPE, weights=tmp_path)
    child, parent = SPACE.parse([UNLIKE])[0], SPACE.parse([PARENT])[0]
    record = train(child, task, RECIPE, weights=tmp_path, parent=parent)
    # The stem with its norm (12 + 8), the last norm (8), the classifier (50); no edge has a counterpart.
    share = (12 + 8 + 8 + 50) / record.parameters
    assert record.message == (
        f"started from {PARENT} after epoch 2: {share:.1%} of the parameters copied by name and shape"
    )


def test_copying_takes_what_agrees():
    parent = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    child = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 3), torch.nn.Linear(3, 3))
    own = {name: value.clone() for name, value in child.state_dict().items()}
    inherited = copy_matching(parent.state_dict(), child)
    assert inherited.share == pytest.approx(16 / (16 + 15 + 12))
    for name, value in inherited.state.items():
        assert torch.equal(value, parent.state_dict()[name] if name.startswith("0.") else own[name])
    assert all(torch.equal(own[name], value) for name, value in child.state_dict().items())


def test_networks_grow_with_the_fidelity(task, tmp_path):
    """The same architecture, first small and short, then wider and deeper from there."""
    trainer = trainer_for(task, tmp_path)
    small = Fidelity(epochs=1, width=0.5)
    first = run(trainer.requests(SPACE, [CHILD], small), trainer)[0]
    record = run(trainer.requests(SPACE, [CHILD], Fidelity(cells=2), parents=[CHILD]), trainer)[0]
    assert record.parameters > first.parameters
    assert re.search(
        r"after epoch 1: outputs .* \(inserts module \d as an identity; grows modules 0, 1, ", record.message
    )


def test_of_several_trainings_of_the_parent_the_longest_of_the_same_size_is_taken(task, tmp_path):
    trainer = trainer_for(task, tmp_path)
    levels = [{"epochs": 1}, {"epochs": 3}, {"epochs": 3, "data_share": 0.5}, {"epochs": 5, "width": 0.5}]
    for fidelity in (Fidelity(**level) for level in levels):
        run(trainer.requests(SPACE, [PARENT], fidelity), trainer)
    run(trainer.requests(SPACE, [PARENT], Fidelity(epochs=3), parents=[PARENT]), trainer)
    request = trainer.requests(SPACE, [CHILD], parents=[PARENT])[0]
    stored = trainer.weights.parent(request)
    assert stored.fidelity == Fidelity(epochs=3)
    assert stored.warm_start is None
    narrow = trainer.requests(SPACE, [CHILD], Fidelity(width=0.5), parents=[PARENT])[0]
    assert trainer.weights.parent(narrow).fidelity == Fidelity(epochs=5, width=0.5)


def test_a_parent_that_was_never_trained_is_named(task, tmp_path):
    trainer = trainer_for(task, tmp_path)
    run(trainer.requests(SPACE, [PARENT], seeds=[1]), trainer)
    records = run(trainer.requests(SPACE, [CHILD], seeds=[0, 1, 2], parents=[PARENT]), trainer)
    assert [record.status for record in records] == [Status.FAILED, Status.FINISHED, Status.FAILED]
    assert records[2].message.startswith(f"the parent {PARENT} was never trained on task {task.name!r}")
    assert "seed 2: there are no weights of it in" in records[2].message
    other = trainer_for(task, tmp_path, recipe=replace(RECIPE, momentum=0.5))
    assert run(other.requests(SPACE, [CHILD], seeds=[1], parents=[PARENT]), other)[0].status is Status.FAILED


def test_requests_with_parents_are_checked(task, tmp_path):
    trainer = trainer_for(task, tmp_path)
    with pytest.raises(InvalidDataError, match="expected one parent or 3, one an architecture, got 2"):
        trainer.requests(SPACE, [PARENT, CHILD, UNLIKE], parents=[PARENT, CHILD])
    pairs = trainer.requests(SPACE, [CHILD, UNLIKE], seeds=[0, 1], parents=[PARENT, CHILD])
    assert [request.warm_start for request in pairs] == [PARENT, PARENT, CHILD, CHILD]
    without = trainer_for(task, None)
    with pytest.raises(InvalidDataError, match="need the folder with the weights of their parents"):
        without.requests(SPACE, [CHILD], parents=[PARENT])
    record = run(pairs[:1], without)[0]
    assert record.status is Status.FAILED
    assert "its trainer has no folder of weights" in record.message
    damaged = run([replace(pairs[0], warm_start="|none~0|")], trainer)[0]
    assert damaged.status is Status.FAILED and "expected 3 groups" in damaged.message
    with pytest.raises(ArchcastError):
        trainer.requests(SPACE, [CHILD], parents=["|none~0|"])


def test_workers_of_a_pool_share_the_folder(task, tmp_path):
    trainer = trainer_for(task, tmp_path)
    with ProcessPool(1) as pool:
        run(trainer.requests(SPACE, [PARENT, CHILD], seeds=[0, 1]), trainer, pool)
        records = run(trainer.requests(SPACE, [CHILD], seeds=[0, 1], parents=[PARENT]), trainer, pool)
    here = run(trainer.requests(SPACE, [CHILD], seeds=[0, 1], parents=[PARENT]), trainer)
    assert [record.status for record in records] == [Status.FINISHED] * 2
    assert [record.curves for record in records] == [record.curves for record in here]
    assert all(math.isfinite(record.final("test/loss")) for record in records)
