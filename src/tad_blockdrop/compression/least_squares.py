"""Ridge regression from sums: its normal equations are added up batch by batch.

``y ≈ [x 1] Δ`` for rows x (d,) and y (m,) needs no more of them than the Gram matrices
``[x 1]ᵀ[x 1]``, ``[x 1]ᵀ y`` and ``Σ y²``. They are sums, in float64: neither the order of batches
nor their size matters (but for rounding), and any solution can be rated on rows that are gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from math import inf, isfinite, nan, sqrt

import torch
from torch import Tensor


class NormalEquations:
    """What least squares must know of the rows seen so far.

    ``inputs`` and ``outputs`` are d and m; ``device`` is where the products are made (a device
    without float64 leaves them to the CPU). Without ``intercept`` that of solutions is 0.
    """

    def __init__(
        self, inputs: int, outputs: int, device: torch.device, intercept: bool = True
    ) -> None:
        self._one = float(intercept)
        where = torch.device("cpu") if device.type == "mps" else device
        zeros = partial(torch.zeros, dtype=torch.float64, device=where)
        self.gram: Tensor = zeros(inputs + 1, inputs + 1)
        self.cross: Tensor = zeros(inputs + 1, outputs)
        self.square: Tensor = zeros(())
        self.rows: Tensor = zeros(())

    @property
    def sums(self) -> list[Tensor]:
        """All that is known of the rows, to be added to in place."""
        return [self.gram, self.cross, self.square, self.rows]

    def add(self, x: Tensor, y: Tensor) -> None:
        """Take rows x (n, d) and y (n, m) of any float type."""
        x, y = x.to(self.gram), y.to(self.gram)
        x = torch.cat([x, x.new_full((len(x), 1), self._one)], dim=1)
        self.gram += x.T @ x
        self.cross += x.T @ y
        self.square += y.square().sum()
        self.rows += len(y)

    def of_first(self, inputs: int) -> NormalEquations:
        """Those of the first inputs alone, and the intercept."""
        rows, fewer = [*range(inputs), -1], copy(self)
        fewer.gram, fewer.cross = self.gram[rows][:, rows], self.cross[rows]
        return fewer

    def solve(self, ridge: float) -> Tensor:
        """``argmin ‖[x 1] Δ - y‖² + ridge · mean(diag xᵀx) · ‖Δ‖²`` (d + 1, m), the intercept too.

        ``ridge`` must be positive: then inputs that are constant, or fewer rows than d, do no harm.
        Sums with which nothing can be solved (inputs that are all zero, or anything that is not
        finite) give zeros.
        """
        diagonal = self.gram.diagonal()
        penalty = ridge * diagonal[:-1].mean()
        factor, failed = torch.linalg.cholesky_ex(
            self.gram + penalty * torch.eye(len(diagonal)).to(self.gram)
        )
        solution = torch.cholesky_solve(self.cross, factor)
        solved = not failed and penalty.isfinite() and solution.isfinite().all()
        return solution if solved else torch.zeros_like(solution)

    def error(self, solution: Tensor) -> float:
        """``Σ ‖[x 1] Δ - y‖²`` over the rows seen, never negative.

        Infinite where there is no row, or the sums are not finite: then nothing is known.
        """
        explained = (solution * (self.gram @ solution - 2 * self.cross)).sum()
        found = float(self.square + explained)
        return max(0.0, found) if self.rows and isfinite(found) else inf


@dataclass(frozen=True, eq=False)
class Choice:
    """The best of some ridges, NaN for none, and how a layer should change with it.

    ``before`` and ``after``: errors on the rows that judge, relative to the size of what is wanted.
    """

    before: float
    after: float
    ridge: float
    change: Tensor | None


class Evidence:
    """Sums over some inputs: to fit on, to judge by, and how large the outputs are that judge.

    ``left_out`` counts the rows that are in none of them, since a number in them is not finite: in
    half precision a single token may overflow, and must not spoil the sums of all others.
    """

    def __init__(
        self, inputs: int, outputs: int, device: torch.device, intercept: bool = True
    ) -> None:
        self.fit = NormalEquations(inputs, outputs, device, intercept)
        self.judge = NormalEquations(inputs, outputs, device, intercept)
        self.size, self.left_out = (torch.zeros_like(self.judge.square) for _ in range(2))

    @property
    def sums(self) -> list[Tensor]:
        """All of them, to be added to in place."""
        return [*self.fit.sums, *self.judge.sums, self.size, self.left_out]

    def add(self, x: Tensor, found: Tensor, wanted: Tensor, judges: bool) -> None:
        """Take rows: a layer's inputs (n, d), and its outputs or what it leads to (n, m)."""
        lacking = wanted - found
        finite = x.isfinite().all(1) & lacking.isfinite().all(1)
        if not finite.all():
            x, lacking, wanted = x[finite], lacking[finite], wanted[finite]
            self.left_out += int((~finite).sum())
        (self.judge if judges else self.fit).add(x, lacking)
        if judges:
            self.size += wanted.to(self.size).square().sum()

    def of_first(self, inputs: int) -> Evidence:
        """What is known if the layer has the first inputs alone."""
        fewer = copy(self)
        fewer.fit, fewer.judge = self.fit.of_first(inputs), self.judge.of_first(inputs)
        return fewer

    def choose(self, ridges: Sequence[float]) -> Choice:
        """The change that makes what judges best: none if each makes it worse."""
        before = self.judge.error(torch.zeros_like(self.judge.cross))
        after, ridge, best = before, nan, None
        for candidate in ridges:
            change = self.fit.solve(candidate)
            if (error := self.judge.error(change)) < after:
                after, ridge, best = error, candidate, change
        size = float(self.size)
        return Choice(relative(before, size), relative(after, size), ridge, best)


def relative(square: float, size: float) -> float:
    """The root of one sum of squares over another.

    0 where that is 0, infinite where one of them is not finite.
    """
    if not (isfinite(square) and isfinite(size)):
        return inf
    return sqrt(square / size) if size > 0 else 0.0
