"""How much agreement is to be expected of gradients that have nothing in common.

Two gradients of pure noise agree in sign in half of all coordinates.  Of four, all agree in 2 of the 16 ways in which
four signs can fall, so a rule that asks for all of them lets 0.125 through::

    sign_agreement(4, 1.0)       0.125       4 of 4, or 0 of 4
    sign_agreement(4, 0.5)       0.625       and 3 to 1: the mean of +++- is 0.5
    cosine_deviation(10_000)     0.01        the cosine of two such vectors is 0 on average, about as far off as this

What a rule does is worth something where it is more than this.
"""

from __future__ import annotations

import math


def least_sum(parts: int, tau: float) -> int:
    """The least size of a sum of ``parts`` signs whose mean is at least ``tau`` in size."""
    return math.ceil(tau * parts - 1e-9)  # 0.55 * 20 is 11.000000000000002


def sign_agreement(parts: int, tau: float) -> float:
    """The probability that the mean of so many signs, each + or - with equal probability, is at least ``tau`` in size.

    Exact: the binomial coefficients of the sums that are large enough, over 2 ** parts.
    """
    enough = least_sum(parts, tau)
    ways = sum(math.comb(parts, plus) for plus in range(parts + 1) if abs(2 * plus - parts) >= enough)
    return float(ways / 2**parts)


def cosine_deviation(size: int) -> float:
    """Standard deviation of the cosine of two vectors of independent, equally large noise in ``size`` coordinates.

    1 / sqrt(size) exactly for directions that are uniform on the sphere.  Real gradients are larger in some coordinates
    than in others, as if there were fewer of them, and so vary more.
    """
    return 1 / math.sqrt(size)
