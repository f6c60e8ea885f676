"""Toy trainings for studies."""

import math
import sqlite3

import archcast as ac
import numpy as np
from archcast.trainers import CallableTrainer

SPACE = ac.get_space("nasbench201")
METRIC = "valid/accuracy"


def accuracy(genotype):
    return 0.3 + 0.6 * (np.sum(np.equal(genotype, 3)) + 0.3 * np.sum(np.equal(genotype, 2))) / 6


def learn(architecture, fidelity, seed, report):
    for epoch in range(1, (fidelity.epochs or 3) + 1):
        value = accuracy(architecture.genotype) * (1 - 0.5**epoch)
        if report(epoch, {METRIC: value, "valid/loss": 1 - value}) == "stop":
            return None
    return {"parameters": 7}


TRAINER = CallableTrainer(learn)


def fail_sometimes(architecture, fidelity, seed, report):
    if architecture.genotype[0] == 0:
        raise ValueError("no input")
    if architecture.genotype[1] == 0:
        return {METRIC: math.nan}
    if architecture.genotype[2] == 0:
        return {METRIC: 0.5, "valid/loss": math.inf}
    return learn(architecture, fidelity, seed, report)


def change(path, statement):
    """Change the database behind the back of everybody."""
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
