"""Many models on the same samples: which differ, and which rank each may have.

Differences are tested together by a step-down max-|t| test (Romano and Wolf 2005), or one by one with
Holm's adjustment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .design import Codes, Design, Floats, make_design, sums
from .linear import check_credit, is_binary, moments
from .multiplicity import holm
from .paired import mcnemar_midp, paired_difference
from .proportion import check_level
from .stepdown import step_down

RESAMPLES = 9_999

ROUNDING = 1e-12
"""Influences below this share of all the weight are the rounding of zeros, and have no signs to flip."""


@dataclass(frozen=True, slots=True, eq=False)
class AllPairs:
    """M models, every one against every other.

    Attributes:
        values: [M] weighted means.
        difference: [M, M] value of the row's model minus that of the column's.
        p: [M, M] two-sided p-values, each as if it were the only one; 1 on the diagonal.
        adjusted: [M, M] p-values adjusted for all pairs, never below `p`.
        best: [M] best rank that each model may have: 1 + number of models that are certainly better.
        worst: [M] worst rank: M - number of models that are certainly worse.
        n: Samples with weight for which every model has a credit.
        clusters: Distinct clusters among them.
        missing: Samples with weight that were left out, as some model has no credit for them.
        level: Probability that *all* rank sets hold the true ranks (Mogstad et al. 2024), at least.
        method: Name of the procedure, for reports.
    """

    values: Floats
    difference: Floats
    p: Floats
    adjusted: Floats
    best: Codes
    worst: Codes
    n: int
    clusters: int
    missing: int
    level: float
    method: str


@dataclass(frozen=True, slots=True, eq=False)
class AgainstOne:
    """M models against one of them, the baseline.

    Attributes:
        difference: [M] value minus the baseline's; 0 for the baseline.
        p: [M] two-sided p-values, each as if it were the only one; 1 for the baseline.
        adjusted: [M] p-values adjusted for the M - 1 comparisons, never below `p`.
        n: Samples with weight for which every model has a credit.
        clusters: Distinct clusters among them.
        missing: Samples with weight that were left out, as some model has no credit for them.
        method: Name of the procedure, for reports.
    """

    baseline: int
    values: Floats
    difference: Floats
    p: Floats
    adjusted: Floats
    n: int
    clusters: int
    missing: int
    method: str


def all_pairs(
    credits: npt.ArrayLike,
    weight: npt.ArrayLike,
    stratum: npt.ArrayLike,
    cluster: npt.ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> AllPairs:
    """Compare all pairs of models by the step-down max-|t| test.

    Samples that some model has no credit for are left out for all, so that all pairs speak of the same
    samples and ranks cannot contradict each other; the remaining rows of a stratum take over its weight.

    Args:
        credits: [M, n] in [0, 1]; NaN where a model has none.
        weight: [n] not negative; rows of weight zero are left out.
        stratum: [n] integer codes of fixed groups, such as a benchmark's subsets.
        cluster: [n] integer codes; rows of a cluster are not independent, also across strata.
        level: One minus the probability of any false difference.
        resamples: The least adjusted p-value is 1 / (resamples + 1).
        seed: Same seed, same adjusted p-values.

    Raises:
        ValueError: As `paired_difference` does; or a stratum has no row left.
    """
    check_level(level)
    data = _Data.of(credits, weight, stratum, cluster)
    first, second = np.triu_indices(data.models, 1)
    x, scale = _statistics(data, first, second)
    p = _p_values(data, first, second)
    adjusted = np.maximum(step_down(_influence(data), first, second, x, scale, resamples, seed), p)
    return _pairs_result(data, p, adjusted, level, f"max-|t| step-down, {resamples:,} sign flips of clusters")


def all_pairs_holm(
    credits: npt.ArrayLike,
    weight: npt.ArrayLike,
    stratum: npt.ArrayLike,
    cluster: npt.ArrayLike,
    *,
    level: float = 0.95,
) -> AllPairs:
    """Compare all pairs of models by their own p-values with Holm's adjustment: no resampling, less power.

    Arguments and errors are those of `all_pairs`.
    """
    check_level(level)
    data = _Data.of(credits, weight, stratum, cluster)
    p = _p_values(data, *np.triu_indices(data.models, 1))
    return _pairs_result(data, p, holm(p), level, "Holm")


def against_one(
    credits: npt.ArrayLike,
    baseline: int,
    weight: npt.ArrayLike,
    stratum: npt.ArrayLike,
    cluster: npt.ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> AgainstOne:
    """Compare all models with one, such as checkpoints with the model they started from (step-down max-|t|).

    Args:
        baseline: Row of `credits`. The other arguments and errors are those of `all_pairs`.
    """
    data = _Data.of(credits, weight, stratum, cluster)
    if not 0 <= baseline < data.models:
        raise ValueError(f"baseline is {baseline}: give a row of credits, 0 to {data.models - 1}")
    others = np.flatnonzero(np.arange(data.models) != baseline)
    base = np.full_like(others, baseline)
    x, scale = _statistics(data, others, base)
    p, adjusted = np.ones(data.models), np.ones(data.models)
    p[others] = _p_values(data, others, base)
    flipped = step_down(_influence(data), others, base, x, scale, resamples, seed)
    adjusted[others] = np.maximum(flipped, p[others])
    values = data.values()
    return AgainstOne(
        baseline=baseline,
        values=values,
        difference=values - values[baseline],
        p=p,
        adjusted=adjusted,
        n=data.design.n,
        clusters=data.design.clusters,
        missing=data.missing,
        method=f"max-|t| step-down, {resamples:,} sign flips of clusters",
    )


def rank_sets(difference: Floats, adjusted: Floats, level: float) -> tuple[Codes, Codes]:
    """[M] best and [M] worst rank that each model may have (Mogstad, Romano, Shaikh and Wilhelm 2024).

    Args:
        difference: [M, M] row minus column.
        adjusted: [M, M] p-values adjusted for all pairs.
        level: A pair is told apart when its adjusted p-value is below 1 - level.
    """
    certain = adjusted < 1 - level
    better = np.count_nonzero(certain & (difference < 0), axis=1)
    worse = np.count_nonzero(certain & (difference > 0), axis=1)
    return 1 + better, len(difference) - worse


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    """Credits [M, n] of complete rows with weight, and what is needed to compare two rows of them."""

    credits: Floats
    weight: Floats
    stratum: Codes
    cluster: Codes
    design: Design
    missing: int

    @classmethod
    def of(cls, credits: npt.ArrayLike, weight: npt.ArrayLike, stratum: npt.ArrayLike, cluster: npt.ArrayLike) -> _Data:
        x, w = np.asarray(credits, dtype=np.float64), np.asarray(weight, dtype=np.float64)
        h, g = np.asarray(stratum), np.asarray(cluster)
        if x.ndim != 2 or not len(x) or not w.shape == h.shape == g.shape == x.shape[1:]:
            raise ValueError(f"credits {x.shape} must be [models, rows]; weight, stratum and cluster [rows]")
        used, known = w > 0, ~np.isnan(x).any(axis=0)
        rows = used & known
        if not rows.any():
            raise ValueError("no row with weight has a credit from every model: leave out the model that lacks most")
        missing = int(np.count_nonzero(used & ~known))
        w = _taken_over(w, h, rows) if missing else w
        x, w, h, g = x[:, rows], w[rows], h[rows], g[rows]
        x = np.stack([check_credit(row, w) for row in x])
        return cls(x, w, h, g, make_design(w, h, g), missing)

    @property
    def models(self) -> int:
        return len(self.credits)

    def values(self) -> Floats:
        return np.asarray(self.design.total * (self.credits @ self.design.weight))


def _taken_over(weight: Floats, stratum: Codes, rows: npt.NDArray[np.bool_]) -> Floats:
    """Weights with which the given rows of each stratum carry all of its weight."""
    _, code = np.unique(stratum, return_inverse=True)
    whole, left = np.bincount(code, weight), np.bincount(code, np.where(rows, weight, 0.0))
    if np.any((whole > 0) & (left == 0)):
        raise ValueError("a stratum has no row with a credit from every model: leave out the model that lacks most")
    return np.asarray(weight * (whole / np.where(left > 0, left, 1.0))[code])


def _statistics(data: _Data, first: Codes, second: Codes) -> tuple[Floats, Floats]:
    """[pairs] statistics, and [pairs] scales of their resampled counterparts.

    The statistic is `x = t sqrt((df + 1) / (df + t^2))`: t with its standard error taken under the
    null hypothesis, which for 0/1 credits of independent samples is McNemar's z.
    """
    influence = _influence(data)
    x, scale = np.zeros(len(first)), np.zeros(len(first))
    for k, (a, b) in enumerate(zip(first, second, strict=True)):
        found = moments(data.credits[a] - data.credits[b], data.design)
        if found.variance > 0:
            t2 = found.mean**2 / found.variance
            x[k] = np.sqrt(t2 * (found.df + 1) / (found.df + t2))
            norm = float(np.linalg.norm(influence[:, a] - influence[:, b]))
            scale[k] = norm if norm > ROUNDING else 0.0
        elif abs(found.mean) > 1e-12:
            x[k] = np.sqrt(found.df + 1)
    return x, scale


def _influence(data: _Data) -> Floats:
    """[clusters, M] weighted residuals to the stratum means, summed by cluster; columns sum to zero."""
    design = data.design
    columns = []
    for credit in data.credits:
        mean = sums(design.stratum, design.weight * credit) / design.stratum_weight
        columns.append(sums(design.cluster, design.weight * (credit - mean[design.stratum])))
    return np.stack(columns, axis=1)


def _p_values(data: _Data, first: Codes, second: Codes) -> Floats:
    """[pairs] the p-values that `paired_difference` gives."""
    if data.design.plain and is_binary(data.credits):
        only = data.credits @ (1 - data.credits.T)
        return mcnemar_midp(np.rint(only[first, second]), np.rint(only[second, first]))
    p = np.empty(len(first))
    for k, (a, b) in enumerate(zip(first, second, strict=True)):
        found = paired_difference(data.credits[a], data.credits[b], data.weight, data.stratum, data.cluster)
        p[k] = 1.0 if found.p is None else found.p
    return p


def _pairs_result(data: _Data, p: Floats, adjusted: Floats, level: float, method: str) -> AllPairs:
    values = data.values()
    difference = values[:, None] - values[None, :]
    whole = _square(adjusted, data.models)
    best, worst = rank_sets(difference, whole, level)
    return AllPairs(
        values=values,
        difference=difference,
        p=_square(p, data.models),
        adjusted=whole,
        best=best,
        worst=worst,
        n=data.design.n,
        clusters=data.design.clusters,
        missing=data.missing,
        level=level,
        method=method,
    )


def _square(pairs: Floats, models: int) -> Floats:
    """[M, M] symmetric, one on the diagonal, from the upper triangle."""
    square = np.ones((models, models))
    first, second = np.triu_indices(models, 1)
    square[first, second] = square[second, first] = pairs
    return square
