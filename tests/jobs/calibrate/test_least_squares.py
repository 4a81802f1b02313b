"""The search of a calibration and its uncertainties against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from nanomg.jobs.calibrate import least_squares


def linear(A, b):
    """Residuals A z - b with their Jacobian, for many points and for one."""
    return lambda z: z @ A.T - b, lambda z: (A @ z - b, A)


def test_a_linear_problem_has_the_closed_form():
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(12, 3)), rng.normal(size=12)
    found = least_squares.fit(*linear(A, b), np.zeros(3), np.full(3, -9.0), np.full(3, 9.0))
    exact, rss, *_ = np.linalg.lstsq(A, b)
    np.testing.assert_allclose(found.z, exact, atol=1e-5)
    known = least_squares.uncertainty(found.residual, found.jacobian, np.zeros(3, bool))
    covariance = rss[0] / (12 - 3) * np.linalg.inv(A.T @ A)
    np.testing.assert_allclose(known.se, np.sqrt(np.diag(covariance)), rtol=1e-4)
    np.testing.assert_allclose(known.correlation[0, 1], covariance[0, 1] / (known.se[0] * known.se[1]), rtol=1e-4)
    assert known.rank == 3 and known.freedom == pytest.approx(9) and not known.open and found.converged.all()


def test_a_parameter_that_is_pushed_out_is_held_at_its_bound_while_others_move():
    rng = np.random.default_rng(1)
    A, b = rng.normal(size=(8, 2)), rng.normal(size=8)
    free = np.linalg.lstsq(A, b)[0]
    high = np.array([free[0] - 0.3, 9.0])
    found = least_squares.fit(*linear(A, b), np.array([-5.0, 0.0]), np.full(2, -9.0), high)
    assert found.z[0] == high[0]
    np.testing.assert_allclose(found.z[1], np.linalg.lstsq(A[:, 1:], b - A[:, 0] * high[0])[0], atol=1e-4)
    known = least_squares.uncertainty(found.residual, found.jacobian, np.array([True, False]))
    assert np.isnan(known.se[0]) and np.isfinite(known.se[1]) and known.rank == 1


def test_a_prior_pulls_as_much_as_it_knows():
    """n data with sd s and mean m, and a prior with mean p and sd q: the mean of both, weighted by 1 / variance."""
    data, s, p, q = np.array([1.0, 1.4, 0.9, 1.1]), 0.5, 3.0, 0.4
    A, b = np.append(np.full(4, 1 / s), 1 / q)[:, None], np.append(data / s, p / q)
    found = least_squares.fit(*linear(A, b), np.zeros(1), np.array([-9.0]), np.array([9.0]))
    weights = np.array([4 / s**2, 1 / q**2])
    assert found.z[0] == pytest.approx(weights @ [data.mean(), p] / weights.sum(), abs=1e-5)
    known = least_squares.uncertainty(found.residual, found.jacobian, np.zeros(1, bool), priors=1)
    assert known.freedom == pytest.approx(4 - weights[0] / weights.sum())
    assert known.se[0] == pytest.approx((weights[0] / known.residual_sd**2 + weights[1]) ** -0.5, rel=1e-6)


def test_what_the_data_leave_open_is_found():
    """Parameters 0 and 1 act as their ratio, 2 as itself, 3 hardly at all."""
    rng = np.random.default_rng(2)
    ratio, own = rng.normal(size=(2, 9))
    J = np.stack([ratio, -ratio, own, 1e-6 * own], 1)
    known = least_squares.uncertainty(rng.normal(size=9), J, np.zeros(4, bool))
    assert known.rank == 2 and known.no_influence == (3,)
    (direction,) = known.open
    assert [i for i, _ in direction] == [0, 1] and direction[0][1] == pytest.approx(direction[1][1])
    assert np.isinf(known.se[[0, 1, 3]]).all() and np.isfinite(known.se[2])
    held = least_squares.uncertainty(
        np.append(rng.normal(size=9), 0.0), np.vstack([J, [2.0, 0, 0, 0]]), np.zeros(4, bool), 1
    )
    assert held.rank == 2 and np.isfinite(held.se[0])  # its prior knows what the data do not


@pytest.mark.filterwarnings("error")
def test_a_prior_and_a_ratio_that_strong_data_know_give_both_parameters():
    """Data that are 500 times as strong know 0 / 1; the prior of 0 alone knows 0, and so 1."""
    rng = np.random.default_rng(0)
    ratio, own, off = rng.normal(size=(3, 9))
    J = np.vstack([500 * np.stack([ratio, -ratio, own], 1), [1.2, 0, 0]])
    known = least_squares.uncertainty(np.append(off, 0.0), J, np.zeros(3, bool), 1)
    exact = np.linalg.inv(known.fisher)
    np.testing.assert_allclose(known.se, np.sqrt(np.diag(exact)), rtol=1e-6)
    assert known.se[0] == pytest.approx(1 / 1.2) and known.correlation[0, 1] == pytest.approx(1.0) and known.rank == 2


@pytest.mark.filterwarnings("error")
def test_rows_that_say_nothing_do_not_count_and_perfect_data_are_finite():
    rng = np.random.default_rng(5)
    residual, J = rng.normal(size=5), rng.normal(size=(5, 1))
    alone = least_squares.uncertainty(residual, J, np.zeros(1, bool))
    kept = least_squares.uncertainty(np.append(residual, np.zeros(45)), np.pad(J, ((0, 45), (0, 0))), np.zeros(1, bool))
    assert kept.freedom == alone.freedom == pytest.approx(4) and kept.residual_sd == pytest.approx(alone.residual_sd)
    perfect = least_squares.uncertainty(np.zeros(5), J, np.zeros(1, bool))
    assert perfect.residual_sd == 0 and 0 < perfect.se[0] < 1e-5
    nothing = least_squares.uncertainty(np.zeros(5), 0 * J, np.zeros(1, bool))
    assert np.isinf(nothing.se[0]) and nothing.no_influence == (0,)


def valleys(z):
    """Two optima, near 1.1 and -0.9; the second is the better."""
    return np.concatenate([z**2 - 1.0, 0.3 * (z + 1.5)], -1)


def valleys_at(z):
    return valleys(z), np.array([2.0 * z, [0.3]])


def test_several_starts_find_the_better_of_two_optima():
    low, high = np.array([-3.0]), np.array([3.0])
    alone = least_squares.fit(valleys, valleys_at, np.array([1.5]), low, high)
    assert alone.z[0] > 0.5
    found = least_squares.fit(valleys, valleys_at, np.array([1.5]), low, high, starts=4, seed=1)
    assert found.z[0] < -0.5 and found.cost.min() < 0.2 * alone.cost[0]
    assert not found.same[0] and 1 <= found.same.sum() < 4 and found.begin[0, 0] == 1.5


def test_points_without_a_prediction_are_counted_and_left():
    A, b = np.array([[2.0], [1.0]]), np.array([6.0, 3.0])
    wall = lambda z, r: np.where(z[..., :1] > 3.5, np.nan, r)
    values, slopes = linear(A, b)
    found = least_squares.fit(
        lambda z: wall(z, values(z)),
        lambda z: (wall(z, slopes(z)[0]), A),
        np.array([0.0]),
        np.array([-9.0]),
        np.array([9.0]),
        starts=3,
    )
    assert found.failed > 0 and found.z[0] == pytest.approx(3.0, abs=1e-4)


def test_errors_of_pooled_subjects_are_those_of_the_sandwich():
    """By the formula of the clustered estimator: bread, meat of sums within subjects, and the correction for few clusters."""
    rng = np.random.default_rng(5)
    A = rng.normal(size=(24, 2))
    clusters = [f"subject {i // 4}" for i in range(24)]
    r = np.repeat(rng.normal(size=6), 4) + 0.3 * rng.normal(size=24)
    z = np.linalg.lstsq(A, r)[0]
    r = r - A @ z  # at the optimum
    known = least_squares.uncertainty(r, A, np.zeros(2, bool), clusters=clusters)
    bread = np.linalg.inv(A.T @ A)
    sums = np.stack([A[4 * i : 4 * i + 4].T @ r[4 * i : 4 * i + 4] for i in range(6)])
    covariance = 6 / 5 * 23 / 22 * bread @ (sums.T @ sums) @ bread
    np.testing.assert_allclose(known.se, np.sqrt(np.diag(covariance)), rtol=1e-10)
    np.testing.assert_allclose(known.correlation[0, 1], covariance[0, 1] / np.prod(known.se), rtol=1e-10)
    assert known.clusters == 6


def test_the_mean_of_pooled_subjects_is_as_uncertain_as_the_means_of_subjects():
    """The same number of values in each: the error is that of the subjects' means, however many values each has."""
    rng = np.random.default_rng(6)
    means, repeats = rng.normal(size=8), 10
    values = np.repeat(means, repeats)
    A = np.ones((len(values), 1))
    plain = least_squares.uncertainty(values - values.mean(), A, np.zeros(1, bool))
    known = least_squares.uncertainty(
        values - values.mean(), A, np.zeros(1, bool), clusters=np.repeat([*"abcdefgh"], repeats).tolist()
    )
    assert known.se[0] == pytest.approx(means.std(ddof=1) / np.sqrt(8), rel=1e-12)
    assert plain.se[0] < 0.4 * known.se[0]
    alone = least_squares.uncertainty(values - values.mean(), A, np.zeros(1, bool), clusters=["a"] * len(values))
    assert alone.se[0] == plain.se[0] and alone.clusters == 0
