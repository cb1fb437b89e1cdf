"""How well lines, moved as one, explain a picture of the ground.

Near a railway the ground's look depends on the distance to the nearest track: rails, sleepers, ballast, its shoulder,
what lies beyond, and where vehicles come and go. Nothing is assumed about how: the dependence is fitted anew at every
place tried, and the place is rated by how much of the picture it explains (the correlation ratio of Roche et al. 1998,
MICCAI, for several looks at once: Wilks' lambda).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.spatial import cKDTree
from shapely import LineString

from rail_watch.interpret.refine_picture import Picture, dense

Floats = NDArray[np.float64]

FAR_M = 9.0
"""Beyond this from every line the ground is one: the rest of the yard and the land around it."""
KNOT_M = 0.5
KNOTS = int(FAR_M / KNOT_M) + 1
BEND = np.diff(np.eye(KNOTS), 2, axis=0)
SMOOTH = 1e-4 * BEND.T @ BEND + 1e-6 * np.eye(KNOTS)
"""A trace of smoothness, per pixel: knots that hardly any pixel reaches take after their neighbours."""
COARSE_M = 8
"""Steps of the distance map in the blocks that are looked at whether a line is near."""


@dataclass(frozen=True)
class Pose:
    """How lines are moved: turned about a centre (counter-clockwise), then shifted."""

    east_m: float
    north_m: float
    turn_rad: float
    centre: tuple[float, float]

    def moved(self, xy: Floats) -> Floats:
        """(n, 2) points of the lines to where they are moved."""
        return (xy - self.centre) @ self._matrix().T + self.centre + (self.east_m, self.north_m)

    def undone(self, xy: Floats) -> Floats:
        """(n, 2) points on the ground to where they lie beside the lines as they were."""
        return (xy - self.centre - (self.east_m, self.north_m)) @ self._matrix() + self.centre

    def _matrix(self) -> Floats:
        cos, sin = np.cos(self.turn_rad), np.sin(self.turn_rad)
        return np.array([[cos, -sin], [sin, cos]])


@dataclass(frozen=True)
class Distances:
    """A map of the distance to the nearest line, `FAR_M` at most."""

    corner: Floats
    step_m: float
    map: NDArray[np.float32]

    def __call__(self, xy: Floats) -> Floats:
        """(n,) metres at (n, 2) points, bilinear; far outside the map."""
        at = np.clip((xy - self.corner) / self.step_m, 0, np.array(self.map.shape) - 1.001)
        first = at.astype(np.int64)
        share = (at - first).T
        start = first[:, 0] * self.map.shape[1] + first[:, 1]
        flat, width = self.map.ravel(), self.map.shape[1]
        near = flat[start] * (1 - share[1]) + flat[start + 1] * share[1]
        far = flat[start + width] * (1 - share[1]) + flat[start + width + 1] * share[1]
        return np.asarray(near * (1 - share[0]) + far * share[0])


def distances_to(lines: Sequence[LineString], *, step_m: float = 0.5) -> Distances:
    """Map the distance to the nearest of some lines."""
    points = np.concatenate([dense(line, 0.5) for line in lines])
    corner = points.min(axis=0) - FAR_M - 2 * step_m
    shape = np.ceil((points.max(axis=0) + FAR_M - corner) / step_m).astype(np.int64) + 3
    near = np.zeros(shape // COARSE_M + 2, dtype=bool)
    near[tuple(((points - corner) / step_m / COARSE_M).astype(np.int64).T)] = True
    near = ndimage.binary_dilation(near, np.ones((3, 3)), iterations=int(np.ceil(FAR_M / step_m / COARSE_M)))
    wanted = np.argwhere(np.kron(near, np.ones((COARSE_M, COARSE_M), dtype=bool))[: shape[0], : shape[1]])
    found, _ = cKDTree(points).query(corner + wanted * step_m, distance_upper_bound=FAR_M)
    out = np.full(shape, FAR_M, dtype=np.float32)
    out[tuple(wanted.T)] = np.minimum(found, FAR_M)
    return Distances(corner, step_m, out)


@dataclass(frozen=True)
class Profile:
    """How the ground looks at each distance from the nearest line."""

    levels: Floats
    """(KNOTS, K)"""
    left: Floats
    """(K, K) covariance of what the distance leaves unexplained."""

    def surprise(self, distance: Floats, looks: Floats) -> Floats:
        """(n,) half the squared Mahalanobis length of what is unexplained, pixel by pixel."""
        return misfit(self.whitened(), distance, looks @ self.whitening())

    def whitening(self) -> Floats:
        """(K, K) matrix after which what is unexplained is white."""
        return np.asarray(np.linalg.cholesky(np.linalg.inv(self.left)))

    def whitened(self) -> Floats:
        """(KNOTS, K) levels after whitening."""
        return np.asarray(self.levels @ self.whitening())


def misfit(levels: Floats, distance: Floats, looks: Floats) -> Floats:
    """(…) half the squared difference of whitened looks (…, K) from a profile's whitened levels at (…) distances."""
    at = np.minimum(distance, FAR_M - 1e-6) / KNOT_M
    first = at.astype(np.int64)
    share = (at - first)[..., None]
    left = looks - levels[first] * (1 - share) - levels[first + 1] * share
    return np.asarray(0.5 * (left**2).sum(axis=-1))


def _solved(distance: Floats, looks: Floats) -> tuple[Floats, Floats]:
    """Knot levels (KNOTS, K), and the sums of squares left (K, K)."""
    count = len(distance)
    at = np.minimum(distance, FAR_M - 1e-6) / KNOT_M
    first = at.astype(np.int64)
    share = at - first
    data = np.stack([1 - share, share], axis=1).ravel()
    hats = sparse.csr_array((data, np.stack([first, first + 1], 1).ravel(), np.arange(count + 1) * 2), (count, KNOTS))
    turned = hats.T.tocsr()
    products = turned @ looks
    levels = np.linalg.solve((turned @ hats).toarray() + count * SMOOTH, products)
    return levels, looks.T @ looks - products.T @ levels


def profile_of(distance: Floats, looks: Floats) -> Profile:
    """Fit the ground's look at each distance."""
    levels, left = _solved(distance, looks)
    return Profile(levels, _firm(left / max(len(distance), 1)))


def _firm(covariance: Floats) -> Floats:
    return np.asarray(covariance + 1e-6 * np.trace(covariance) / len(covariance) * np.eye(len(covariance)))


def gain(distance: Floats, looks: Floats) -> float:
    """Log-likelihood gained by knowing the distance, were all pixels independent: `-n / 2` log of Wilks' lambda."""
    _, left = _solved(distance, looks)
    whole = _firm(looks.T @ looks)
    return float(-0.5 * len(distance) * (np.linalg.slogdet(_firm(left))[1] - np.linalg.slogdet(whole)[1]))


def rated(picture: Picture, distances: Distances, pose: Pose) -> float:
    """Rate lines moved to a pose."""
    return gain(distances(pose.undone(picture.xy)), picture.looks)
