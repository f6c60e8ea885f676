import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import archcast as ac
import pytest
from archcast.errors import InvalidDataError
from archcast.trainers import Recipe, Status, TorchTrainer, make_task, run
from archcast.trainers.checkpoints import Checkpoints

SPACE = ac.get_space("nasbench201")
CELL = SPACE.parse(["|nor_conv_1x1~0|+|skip_connect~0|nor_conv_3x3~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"])
TASK = {"train": 96, "valid": 32, "test": 32, "length": 20}
SMALL = {"epochs": 4, "batch_size": 32, "channels": 4, "stages": 1, "cells": 1}
RECIPES = {
    "adamw": Recipe(optimizer="adamw", learning_rate=0.05, schedule="one_cycle", **SMALL),
    "augmented": Recipe(augmentation=("shift", "mixup"), averaging=0.9, clip_norm=1.0, **SMALL),
    "plain sgd": Recipe(momentum=0.0, schedule="constant", **SMALL),
}


@pytest.fixture(scope="module")
def task():
    return make_task("mnist1d", **TASK)


def interrupted(trainer, requests, after):
    def stop(_request, epoch, _metrics):
        if epoch > after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(requests, trainer, on_epoch=stop)


@pytest.mark.parametrize("seeds", [[3], [3, 5]])
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_an_interrupted_training_goes_on_with_the_same_curves(task, tmp_path, recipe, seeds):
    whole = run(TorchTrainer(task, recipe).requests(SPACE, CELL, seeds=seeds), TorchTrainer(task, recipe))
    trainer = TorchTrainer(task, recipe, checkpoints=tmp_path / "kept", checkpoint_seconds=0)
    requests = trainer.requests(SPACE, CELL, seeds=seeds)
    interrupted(trainer, requests, after=2)
    assert len(list((tmp_path / "kept").iterdir())) == 1
    epochs = []
    records = run(requests, trainer, on_epoch=lambda _request, epoch, _metrics: epochs.append(epoch))
    assert sorted(set(epochs)) == [3, 4]
    assert [record.curves for record in records] == [record.curves for record in whole]
    assert {record.status for record in records} == {Status.FINISHED}
    assert not (tmp_path / "kept").exists()


def test_short_trainings_leave_nothing(task, tmp_path):
    trainer = TorchTrainer(task, RECIPES["adamw"], checkpoints=tmp_path / "kept")
    interrupted(trainer, trainer.requests(SPACE, CELL), after=2)
    assert not (tmp_path / "kept").exists()


def test_a_damaged_checkpoint_is_said_and_the_training_begun_anew(task, tmp_path):
    recipe = RECIPES["adamw"]
    whole = run(TorchTrainer(task, recipe).requests(SPACE, CELL), TorchTrainer(task, recipe))[0]
    trainer = TorchTrainer(task, recipe, checkpoints=tmp_path, checkpoint_seconds=0)
    requests = trainer.requests(SPACE, CELL)
    interrupted(trainer, requests, after=2)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-100])
    record = run(requests, trainer)[0]
    assert record.curves == whole.curves
    assert record.message.startswith("begun anew, its checkpoint cannot be used:")


def test_checkpoints_of_others_are_left_alone(task, tmp_path):
    trainer = TorchTrainer(task, RECIPES["adamw"], checkpoints=tmp_path, checkpoint_seconds=0)
    interrupted(trainer, trainer.requests(SPACE, CELL, seeds=[0]), after=2)
    (file,) = tmp_path.iterdir()
    epochs = []
    run(trainer.requests(SPACE, CELL, seeds=[1]), trainer, on_epoch=lambda _r, epoch, _m: epochs.append(epoch))
    assert epochs == [1, 2, 3, 4]
    assert file.exists()


def test_kill_at_any_moment_loses_at_most_the_unfinished_epoch(tmp_path):
    program = textwrap.dedent(f"""
        import json, sys
        import archcast as ac
        from archcast.trainers import Recipe, TorchTrainer, make_task, run
        space = ac.get_space("nasbench201")
        cell = space.parse({CELL.strings()!r})
        recipe = Recipe(optimizer="adamw", learning_rate=0.05, epochs=400, batch_size=32, channels=4, stages=1, cells=1)
        trainer = TorchTrainer(make_task("mnist1d", **{TASK!r}), recipe, checkpoints={str(tmp_path)!r},
                               checkpoint_seconds=0)
        run(trainer.requests(space, cell), trainer, on_epoch=lambda r, epoch, m: print(epoch, flush=True))
    """)

    def epochs_until(count):
        child = subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        seen = [int(child.stdout.readline()) for _ in range(count)]
        time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
        return seen + [int(line) for line in child.stdout.read().split()]

    first = epochs_until(6)
    second = epochs_until(3)
    assert first[0] == 1
    assert first[-1] <= second[0] <= first[-1] + 1


def test_bad_folders_and_intervals_are_refused(task, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidDataError, match="it is no folder"):
        TorchTrainer(task, checkpoints=tmp_path / "file")
    with pytest.raises(InvalidDataError, match="at least 0 seconds apart, got -1"):
        Checkpoints(tmp_path, -1)


def test_a_full_disk_is_noted_and_the_training_goes_on(task, tmp_path, monkeypatch):
    import safetensors.torch

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    trainer = TorchTrainer(task, RECIPES["adamw"], checkpoints=tmp_path, checkpoint_seconds=0)
    record = run(trainer.requests(SPACE, CELL), trainer)[0]
    assert record.status is Status.FINISHED
    assert "no checkpoint after epoch 1" in record.message
    assert json.dumps(record.to_dict())
