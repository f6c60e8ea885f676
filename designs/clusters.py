"""The middle of each cluster: what stands for the others."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ..spaces import Architectures
from .base import EncodedDesign
from .embedding import Floats, embed

_BATCH = 1024
_PASSES = 20


class ClusterDesign(EncodedDesign):
    """Clusters the encodings into as many clusters as are wanted, and takes the nearest to the mean of each.

    The largest cluster comes first. A design of another size has other clusters.

    Parameters
    ----------
    encoder : str or Encoder
    candidates : int
        See `EncodedDesign`.

    Notes
    -----
    Sculley, "Web-Scale K-Means Clustering", WWW 2010.
    """

    def _select(self, candidates: Architectures, weights: Floats, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
        from sklearn.cluster import MiniBatchKMeans
        from sklearn.exceptions import ConvergenceWarning

        points = embed(candidates, self.encoder)
        seed = int(rng.integers(2**31))
        model = MiniBatchKMeans(n, batch_size=_BATCH, max_iter=_PASSES, n_init=1, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different encodings than clusters
            model.fit(points, sample_weight=weights)
        sizes = np.bincount(model.labels_, weights=weights, minlength=n)
        centers = model.cluster_centers_[np.argsort(-sizes, kind="stable")]
        distances = cdist(centers, points, "sqeuclidean")
        chosen = np.empty(n, dtype=np.intp)
        for cluster in range(n):
            chosen[cluster] = np.argmin(distances[cluster])
            distances[:, chosen[cluster]] = np.inf  # the middle of two clusters stands for the larger one
        return chosen
