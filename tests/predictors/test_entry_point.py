"""A predictor of another package is found through its entry point, without a line changed here."""

import os
import subprocess
import sys

PACKAGE = '''
import numpy as np
from archcast.predictors import Predictor


class Toy(Predictor):
    """least squares on the features, for the sake of the example"""

    def _fit(self, features, z):
        self.weight_ = np.linalg.lstsq(features, z, rcond=None)[0]

    def _predict(self, features):
        return features @ self.weight_, np.ones((len(features), 1))

    def _get_state(self):
        return {"weight": self.weight_}

    def _set_state(self, state):
        self.weight_ = state["weight"]
'''
USER = """
import sys
import numpy as np
import archcast

space = archcast.get_space("nasbench201")
architectures = space.sample(40, seed=0)
y = (architectures.genotypes == 3).sum(axis=1) + 0.1 * (architectures.genotypes == 2).sum(axis=1)
toy = archcast.make_predictor("toy@adjacency").fit(architectures, y)
assert type(toy).__module__ == "toypackage", type(toy)
mean, std = toy.predict(architectures, return_std=True)
assert np.corrcoef(mean, y)[0, 1] > 0.9 and (std > 0).all()
toy.save(sys.argv[1])
assert np.array_equal(archcast.load_predictor(sys.argv[1]).predict(architectures), mean)

from archcast.predictors import PREDICTORS
assert PREDICTORS.names()[-1] == "toy"
assert PREDICTORS.summary("toy") == "least squares on the features, for the sake of the example"
print("found")
"""


def write_package(folder):
    (folder / "toypackage.py").write_text(PACKAGE)
    info = folder / "toypackage-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toypackage\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[archcast.predictors]\ntoy = toypackage:Toy\n")


def run(folder, path, script):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    command = [sys.executable, "-c", script, str(folder / "toy.archcast")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_toy_predictor_of_another_package(tmp_path):
    write_package(tmp_path)
    done = run(tmp_path, [str(tmp_path)], USER)
    assert (done.returncode, done.stdout) == (0, "found\n"), done.stderr
    # where the package is not installed, its model is refused in one sentence
    loading = "import archcast, sys; archcast.load_predictor(sys.argv[1])"
    done = run(tmp_path, [], loading)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("archcast.errors.ModelFormatError")
    assert "unknown predictor 'toy'" in last
