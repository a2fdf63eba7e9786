"""The learning rate of every optimiser step: linear warm-up, then half a cosine."""

import math

FLOOR = 1e-8  # absolute learning rate at the end of the cosine


def warmup_cosine(step: int, total: float, warmup: float, peak: float) -> float:
    """Learning rate of optimiser step ``step`` (0-based).

    The rate rises linearly from 0 at step 0 to ``peak`` at step ``warmup - 1``, stays there for
    one more step, and falls along half a cosine from step ``warmup`` to ``FLOOR`` at step
    ``total``. All three are counted in steps; a warm-up of one step or less is none. This is the
    closed form of the schedule that ActionFormer's training uses.
    """
    if warmup > 1 and step < warmup:
        return peak * min(step / (warmup - 1), 1.0)
    progress = min(max(step - warmup, 0.0) / (total - warmup), 1.0)
    return FLOOR + 0.5 * (peak - FLOOR) * (1 + math.cos(math.pi * progress))
