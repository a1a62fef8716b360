"""Many models at once: agreement with pairwise tests, error rates and rank sets by simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gram_eval.stats.bootstrap import Part, resampled, resampled_difference
from gram_eval.stats.design import make_design
from gram_eval.stats.linear import moments
from gram_eval.stats.many import against_one, all_pairs, all_pairs_holm, rank_sets
from gram_eval.stats.paired import mcnemar_exact, paired_difference
from gram_eval.stats.stepdown import step_down


def flat(n, size=1):
    return np.full(n, 1 / n), np.zeros(n, int), np.arange(n) // size


def sections(sizes, size=1):
    """Equal weight for each stratum; clusters of `size` rows."""
    stratum = np.repeat(np.arange(len(sizes)), sizes)
    return 1 / len(sizes) / np.asarray(sizes)[stratum], stratum, np.arange(len(stratum)) // size


def similar(rng, accuracy, n, own=0.3):
    """[M, n] 0/1 credits of models that agree on most samples."""
    accuracy = np.asarray(accuracy)
    luck = np.where(rng.random((len(accuracy), n)) < own, rng.random((len(accuracy), n)), rng.random(n))
    return (luck < accuracy[:, None]) * 1.0


@st.composite
def problems(draw):
    """Credits of two to five models with weights, strata and clusters that may cross them."""
    models, n = draw(st.integers(2, 5)), draw(st.integers(8, 40))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    credits = rng.integers(0, 3, (models, n)) / 2 if draw(st.booleans()) else rng.integers(0, 2, (models, n)) * 1.0
    weight = rng.random(n) + 0.1
    stratum, cluster = rng.integers(0, 3, n), rng.integers(0, n // draw(st.integers(1, 3)), n)
    return credits, weight / weight.sum(), stratum, cluster


@given(problems())
@settings(max_examples=50)
def test_pairs_are_antisymmetric_and_agree_with_the_paired_comparison(problem) -> None:
    found = all_pairs(*problem, resamples=199)
    credits, *design = problem
    np.testing.assert_allclose(found.difference, -found.difference.T, atol=1e-15)
    np.testing.assert_array_equal(found.adjusted, found.adjusted.T)
    assert np.all(found.adjusted >= found.p) and np.all(found.adjusted <= 1) and np.all(np.diag(found.adjusted) == 1)
    for a in range(len(credits)):
        for b in range(a):
            pair = paired_difference(credits[a], credits[b], *design)
            assert found.difference[a, b] == pytest.approx(pair.value, abs=1e-12)
            assert found.p[a, b] == pytest.approx(pair.p, rel=1e-9)
    assert np.all(found.best >= 1) and np.all(found.best <= found.worst) and np.all(found.worst <= len(credits))


def test_rounding_is_not_resampled() -> None:
    """One cluster in each stratum: influences are zero, but for bits that depend on the order of rows."""
    credits = np.array([[int(bit) for bit in row] for row in ("01111011", "00010010", "11110001", "01110110")], float)
    weight = np.array([0.15366364, 0.0892962, 0.19903286, 0.03522032, 0.19390826, 0.1065208, 0.04959384, 0.17276408])
    stratum, cluster = np.array([0, 0, 0, 2, 0, 2, 2, 2]), np.array([1, 1, 1, 0, 1, 0, 0, 0])
    found = all_pairs(credits, weight, stratum, cluster, resamples=199).adjusted
    for seed in range(200):
        rows = np.random.default_rng(seed).permutation(8)
        other = all_pairs(credits[:, rows], weight[rows], stratum[rows], cluster[rows], resamples=199).adjusted
        np.testing.assert_allclose(other, found, rtol=1e-12)


@given(problems(), st.integers(0, 1000))
@settings(max_examples=50)
def test_the_order_of_rows_and_models_does_not_matter(problem, seed) -> None:
    credits, weight, stratum, cluster = problem
    rng = np.random.default_rng(seed)
    rows, models = rng.permutation(credits.shape[1]), rng.permutation(len(credits))
    found = all_pairs(*problem, resamples=199)
    other = all_pairs(credits[models][:, rows], weight[rows], stratum[rows], cluster[rows], resamples=199)
    # Rounding may break a tie between two pairs, or between a pair and a flip, the other way.
    np.testing.assert_allclose(other.adjusted, found.adjusted[np.ix_(models, models)], atol=0.05)
    np.testing.assert_allclose(other.values, found.values[models], atol=1e-12)


def test_one_pair_is_mcnemars_test() -> None:
    rng = np.random.default_rng(0)
    credits = similar(rng, [0.9, 0.8], 200)
    found = all_pairs(credits, *flat(200), resamples=20000)
    b, c = ((credits[0] > credits[1]).sum(), (credits[0] < credits[1]).sum())
    assert found.p[0, 1] <= found.adjusted[0, 1] <= mcnemar_exact(b, c) + 0.005
    assert found.adjusted[0, 1] == pytest.approx(found.p[0, 1], abs=0.005)


def test_few_clusters_get_students_tails() -> None:
    """With 12 Gaussian clusters and one pair the flips reproduce the t test, not the normal one."""
    rng = np.random.default_rng(4)
    d = rng.normal(0.04, 0.1, 12).clip(-0.5, 0.5)
    found = all_pairs(np.stack([0.5 + d / 2, 0.5 - d / 2]), *flat(12), resamples=20000)
    assert found.adjusted[0, 1] == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.01)


def test_step_down_beats_holm_and_one_baseline_beats_all_pairs() -> None:
    rng = np.random.default_rng(2)
    credits = similar(rng, [0.8, 0.8, 0.8, 0.8, 0.8, 0.87], 600)
    every, cheap = all_pairs(credits, *flat(600)), all_pairs_holm(credits, *flat(600))
    one = against_one(credits, 0, *flat(600))
    np.testing.assert_array_equal(cheap.p, every.p)
    assert every.adjusted[5, 0] <= cheap.adjusted[5, 0] + 0.002
    assert one.adjusted[5] <= every.adjusted[5, 0]
    np.testing.assert_array_equal(one.p, every.p[0])
    np.testing.assert_allclose(one.difference, every.difference[:, 0], atol=1e-15)
    assert (one.p[0], one.adjusted[0], one.difference[0]) == (1, 1, 0)


def test_a_less_extreme_pair_is_never_more_certain() -> None:
    """Two independent contrasts: the first competes with both, the second alone would look more certain."""
    influence = np.random.default_rng(0).normal(size=(400, 4))
    influence -= influence.mean(axis=0)
    first, second = np.array([0, 2]), np.array([1, 3])
    scale = np.linalg.norm(influence[:, first] - influence[:, second], axis=0)
    adjusted = step_down(influence, first, second, np.array([2.0, 1.95]), scale, 20000, 0)
    both = 1 - (1 - 2 * stats.norm.sf(2.0)) ** 2
    assert adjusted[0] == adjusted[1] == pytest.approx(both, abs=0.008)
    apart = step_down(influence, first, second, np.array([2.0, 0.5]), scale, 20000, 0)
    assert apart[1] == pytest.approx(2 * stats.norm.sf(0.5), abs=0.015)


def test_nearly_identical_models_do_not_spoil_the_others() -> None:
    """Two models that differ on two samples: no bootstrap standard error there in one draw of seven."""
    credits = similar(np.random.default_rng(5), [0.9, 0.75, 0.9], 300)
    credits[2] = credits[0]
    credits[2, :2] = 1 - credits[0, :2]
    found = all_pairs(credits, *flat(300))
    assert found.adjusted[0, 1] < 0.01 and found.adjusted[0, 2] > 0.2
    assert found.best.tolist() == [1, 3, 1] and found.worst.tolist() == [2, 3, 2]


def test_no_variation() -> None:
    ones, half = np.ones(40), np.full(40, 0.5)
    same = all_pairs([ones, ones, half * 2], *flat(40), resamples=99)
    assert np.all(same.adjusted == 1) and same.best.tolist() == [1, 1, 1] and same.worst.tolist() == [3, 3, 3]
    apart = all_pairs([ones, ones, 0 * ones], *flat(40), resamples=999)
    assert apart.adjusted[0, 2] == pytest.approx(0.001) and apart.adjusted[0, 1] == 1
    single = all_pairs([ones], *flat(40), resamples=99)
    assert (single.best.tolist(), single.worst.tolist()) == ([1], [1])


def test_missing_credits_leave_the_sample_out_for_all() -> None:
    rng = np.random.default_rng(6)
    weight, stratum, cluster = sections([100, 50])
    credits = similar(rng, [0.9, 0.8, 0.7], 150)
    gaps = credits.copy()
    gaps[1, :10] = np.nan
    gaps[2, 100] = np.nan
    found = all_pairs(gaps, weight, stratum, cluster, resamples=199)
    kept = np.r_[10:100, 101:150]
    expected = all_pairs(credits[:, kept], *(part[kept] for part in sections_of(kept, stratum)), resamples=199)
    assert (found.missing, found.n) == (11, 139)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-12)
    np.testing.assert_allclose(found.p, expected.p, rtol=1e-9)
    gaps[0, 100:] = np.nan
    with pytest.raises(ValueError, match="a stratum has no row"):
        all_pairs(gaps, weight, stratum, cluster)
    gaps[:] = np.nan
    with pytest.raises(ValueError, match="no row with weight"):
        all_pairs(gaps, weight, stratum, cluster)


def sections_of(kept, stratum):
    """Weights by which the kept rows of both strata count one half each."""
    mask = np.zeros(len(stratum), bool)
    mask[kept] = True
    sizes = np.bincount(stratum[mask])
    return 0.5 / sizes[stratum], stratum, np.arange(len(stratum))


def test_impossible_requests() -> None:
    credits = np.ones((3, 20))
    with pytest.raises(ValueError, match="credits"):
        all_pairs(credits, *flat(19))
    with pytest.raises(ValueError, match="credit must lie"):
        all_pairs(credits * 2, *flat(20))
    with pytest.raises(ValueError, match="baseline is 3"):
        against_one(credits, 3, *flat(20))
    with pytest.raises(ValueError, match="resamples is 0"):
        all_pairs(credits, *flat(20), resamples=0)
    with pytest.raises(ValueError, match="level"):
        all_pairs_holm(credits, *flat(20), level=95)


def test_rank_sets_by_hand() -> None:
    """The first beats the last; nothing else is certain."""
    difference = np.subtract.outer([0.9, 0.85, 0.8], [0.9, 0.85, 0.8])
    adjusted = np.array([[1, 0.2, 0.01], [0.2, 1, 0.3], [0.01, 0.3, 1]])
    best, worst = rank_sets(difference, adjusted, 0.95)
    assert (best.tolist(), worst.tolist()) == ([1, 1, 2], [2, 3, 3])


def clustered(rng, models, prompts=40, size=6):
    shared = rng.normal(size=prompts)
    own = shared + 0.8 * rng.normal(size=(models, prompts))
    return (np.repeat(own, size, axis=1) + 0.5 * rng.normal(size=(models, prompts * size)) > -1) * 1.0


@pytest.mark.parametrize(
    ("draw", "design"),
    [
        (lambda rng: similar(rng, [0.8] * 6, 200), flat(200)),
        (lambda rng: similar(rng, [0.97] * 6, 300, own=0.2), flat(300)),
        (lambda rng: similar(rng, [0.85] * 6, 300), sections([200, 70, 30])),
        (lambda rng: clustered(rng, 6), flat(240, 6)),
    ],
    ids=["plain", "near one", "sections", "clusters"],
)
def test_family_wise_error(draw, design) -> None:
    """No model is better: any claim is false. 600 samples have a standard error of 0.009 at 0.05."""
    rng = np.random.default_rng(0)
    found = [all_pairs(draw(rng), *design, resamples=299, seed=k) for k in range(600)]
    assert 0.02 < np.mean([(one.adjusted < 0.05).any() for one in found]) < 0.072
    assert np.mean([(one.p < 0.05).any() for one in found]) > 0.2


def test_rank_sets_hold_the_true_ranks() -> None:
    accuracy = np.array([0.9, 0.87, 0.84, 0.8, 0.7])
    rng, held, width = np.random.default_rng(1), 0, 0.0
    for k in range(300):
        found = all_pairs(similar(rng, accuracy, 500), *flat(500), resamples=299, seed=k)
        true = np.arange(1, 6)
        held += bool(np.all((found.best <= true) & (true <= found.worst)))
        width += float((found.worst - found.best).mean())
    assert held / 300 >= 0.93
    assert width / 300 < 1.5  # of 4 without knowledge


def test_the_fast_paired_bootstrap_agrees_with_the_general_one_and_with_the_formula() -> None:
    rng = np.random.default_rng(8)
    for credits, design in (
        (similar(rng, [0.9, 0.8], 300), sections([200, 100], size=2)),
        (rng.random((2, 300)), sections([200, 100])),
    ):
        a, b = credits
        weight, stratum, cluster = design
        fast = resampled_difference(a, b, *design)
        parts = [Part(x, {0: 0.5, 1: 0.5}) for x in credits]
        slow = resampled(parts, stratum.astype(np.intp), cluster.astype(np.intp))
        slow = slow[:, 0] - slow[:, 1]
        error = np.sqrt(moments(a - b, make_design(*design)).variance)
        assert fast.shape == (9999,)
        assert fast.mean() == pytest.approx(float(weight @ (a - b)), abs=0.03 * error)
        assert fast.std() == pytest.approx(slow.std(), rel=0.03) == pytest.approx(error, rel=0.04)
        assert np.quantile(fast, 0.975) == pytest.approx(np.quantile(slow, 0.975), abs=0.1 * error)
    with pytest.raises(ValueError, match="no row carries weight"):
        resampled_difference([], [], [], [], [])
