"""Ridge regression from sums, against numpy on the rows themselves."""

from math import inf, nan

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tad_blockdrop.compression.least_squares import Evidence, NormalEquations, relative

CPU = torch.device("cpu")


def rows(seed: int, n: int, d: int = 5, m: int = 3) -> tuple[NDArray[np.float64], ...]:
    rng = np.random.default_rng(seed)
    return rng.normal(1.0, 2.0, (n, d)), rng.normal(size=(n, m))


def equations(x: NDArray[np.float64], y: NDArray[np.float64], cuts: int = 1) -> NormalEquations:
    """Of all rows, added in ``cuts`` parts."""
    sums = NormalEquations(x.shape[1], y.shape[1], CPU)
    for part, wanted in zip(np.array_split(x, cuts), np.array_split(y, cuts), strict=True):
        sums.add(torch.from_numpy(part), torch.from_numpy(wanted))
    return sums


@pytest.mark.parametrize("ridge", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize("n", [3, 40])
def test_it_is_the_least_squares_solution_of_the_extended_system(ridge: float, n: int) -> None:
    x, y = rows(0, n)
    ones = np.hstack([x, np.ones((n, 1))])
    weight = np.sqrt(ridge * (x**2).sum(0).mean())
    system = np.vstack([ones, weight * np.eye(6)])
    expected = np.linalg.lstsq(system, np.vstack([y, np.zeros((6, 3))]), rcond=None)[0]
    np.testing.assert_allclose(equations(x, y).solve(ridge), expected, rtol=1e-8, atol=1e-10)


def test_without_intercept_it_is_the_solution_through_the_origin() -> None:
    x, y = rows(0, 40)
    sums = NormalEquations(5, 3, CPU, intercept=False)
    sums.add(torch.from_numpy(x), torch.from_numpy(y))
    solution = sums.solve(1e-14).numpy()
    np.testing.assert_allclose(solution[:-1], np.linalg.lstsq(x, y, rcond=None)[0], rtol=1e-8)
    assert not solution[-1].any()
    residual = x @ solution[:-1] - y
    assert sums.error(torch.from_numpy(solution)) == pytest.approx((residual**2).sum(), rel=1e-9)


def test_the_error_is_that_of_the_rows() -> None:
    x, y = rows(1, 30)
    solution = equations(*rows(2, 20)).solve(0.01)
    residual = np.hstack([x, np.ones((30, 1))]) @ solution.numpy() - y
    assert equations(x, y).error(solution) == pytest.approx((residual**2).sum())


def test_parts_add_up() -> None:
    whole, parts = equations(*rows(3, 50)), equations(*rows(3, 50), cuts=4)
    torch.testing.assert_close(parts.solve(0.1), whole.solve(0.1), rtol=1e-10, atol=1e-12)


def test_without_noise_the_map_is_found() -> None:
    x, _ = rows(4, 200)
    truth = np.random.default_rng(5).normal(size=(6, 3))
    sums = equations(x, np.hstack([x, np.ones((200, 1))]) @ truth)
    np.testing.assert_allclose(sums.solve(1e-12), truth, atol=1e-8)
    assert sums.error(sums.solve(1e-12)) < 1e-8


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan, np.inf])
def test_degenerate_inputs_give_a_finite_solution(value: float) -> None:
    solution = equations(np.full((7, 5), value), np.ones((7, 3))).solve(1e-3)
    assert solution.isfinite().all()


def evidence(x: Tensor, found: Tensor, wanted: Tensor, cuts: int = 1) -> Evidence:
    """Of all rows, every fifth judges; added in ``cuts`` parts."""
    known = Evidence(x.shape[1], found.shape[1], CPU)
    judges = torch.arange(len(x)) % 5 == 0
    for part in torch.arange(len(x)).tensor_split(cuts):
        for some, judge in ((part[judges[part]], True), (part[~judges[part]], False)):
            known.add(x[some], found[some], wanted[some], judge)
    return known


@pytest.mark.parametrize("cuts", [1, 7])
@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_rows_that_are_not_finite_are_left_out(value: float, cuts: int) -> None:
    """Whatever is not finite in them; all else is as without these rows."""
    x, noise = map(torch.from_numpy, rows(0, 60))
    wanted = 2 * x[:, :3] + noise
    found, whole = torch.zeros_like(wanted), [10, 21, 32]
    for tensor, row in zip((x, found, wanted), whole, strict=True):
        tensor[row, 1] = value
    wanted[47], found[47] = value, value  # they differ by nothing, or by no number
    known = evidence(x, found, wanted, cuts)
    assert known.left_out == 4
    some = [row for row in range(60) if row not in (*whole, 47)]
    expected = Evidence(5, 3, CPU)
    for row in some:
        expected.add(x[[row]], found[[row]], wanted[[row]], row % 5 == 0)
    for one, other in zip(known.sums[:-1], expected.sums[:-1], strict=True):
        torch.testing.assert_close(one, other)
    assert expected.left_out == 0
    chosen = known.choose([1e-2])
    assert 0 < chosen.after < chosen.before < inf


@pytest.mark.parametrize("which", [0, 1, 2])
def test_where_nothing_is_finite_no_change_is_chosen_and_the_error_is_not_0(which: int) -> None:
    given = [torch.ones(20, 5), torch.zeros(20, 3), torch.ones(20, 3)]
    given[which][:] = nan
    known = evidence(*given)
    chosen = known.choose([1e-2])
    assert (chosen.before, chosen.after, chosen.change) == (inf, inf, None)


@pytest.mark.parametrize("sums", ["fit", "judge"])
def test_sums_that_are_not_finite_change_nothing(sums: str) -> None:
    """A second wall, should a row get in that is too large for a sum."""
    x, wanted = map(torch.from_numpy, rows(0, 60))
    for place in range(3):  # gram, cross, square
        known = evidence(x, torch.zeros_like(wanted), wanted)
        getattr(known, sums).sums[place].fill_(nan)
        chosen = known.choose([1e-2])
        if (sums, place) != ("fit", 2):  # which no solution depends on
            assert chosen.change is None
        assert chosen.after > 0
        assert known.fit.solve(1e-2).isfinite().all()


def test_the_root_of_what_is_no_number_is_not_0() -> None:
    assert [relative(*pair) for pair in ((4.0, 1.0), (4.0, 0.0))] == [2.0, 0.0]
    for pair in ((nan, 1.0), (1.0, nan), (nan, 0.0), (inf, 1.0), (1.0, inf)):
        assert relative(*pair) == inf
