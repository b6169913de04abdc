"""The error function on arrays of any library, and its complement without cancellation.

Rational approximations of Cody (1969, Rational Chebyshev approximations for the error function, tables I to III): within a few
units in the last place, but for the rounding of x^2 in exp(-x^2), a relative x^2 * 2^-53.
"""

from __future__ import annotations

from verifier.arrays import Array, namespace, sign

_SMALL = 0.46875
_A = (1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3)
_B = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
_C = (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1, 2.98635138197400131e2,
      8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3)
_D = (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3, 3.29079923573345963e3,
      4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3)
_P = (-1.63153871373020978e-2, -3.05326634961232344e-1, -3.60344899949804439e-1, -1.25781726111229246e-1, -1.60837851487422766e-2,
      -6.58749161529837803e-4)
_Q = (1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1, 6.05183413124413191e-2, 2.33520497626869185e-3)
_ROOT = 5.6418958354775628695e-1
"""1 / sqrt(pi)."""


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    value = coefficients[0] + 0.0 * x
    for c in coefficients[1:]:
        value = value * x + c
    return value


def _near_zero(x: Array) -> Array:
    """erf(x) for |x| <= _SMALL."""
    square = x * x
    return x * _polynomial(_A, square) / _polynomial(_B, square)


def _tail(y: Array) -> Array:
    """erfc(y) for y >= _SMALL."""
    xp = namespace(y)
    middle = xp.clip(y, _SMALL, 4.0)
    far = xp.clip(y, 4.0, 30.0)
    inverse = 1.0 / (far * far)
    ratio = xp.where(
        y <= 4.0,
        _polynomial(_C, middle) / _polynomial(_D, middle),
        (_ROOT + inverse * _polynomial(_P, inverse) / _polynomial(_Q, inverse)) / far,
    )
    return xp.exp(-y * y) * ratio


def erf(x: Array) -> Array:
    xp = namespace(x)
    size = xp.abs(x)
    small = xp.clip(x, -_SMALL, _SMALL)
    return xp.where(size <= _SMALL, _near_zero(small), sign(x) * (1.0 - _tail(xp.maximum(size, 0.0 * size + _SMALL))))


def erfc(x: Array) -> Array:
    """1 - erf(x)."""
    xp = namespace(x)
    size = xp.abs(x)
    small = xp.clip(x, -_SMALL, _SMALL)
    tail = _tail(xp.maximum(size, 0.0 * size + _SMALL))
    return xp.where(size <= _SMALL, 1.0 - _near_zero(small), xp.where(x < 0, 2.0 - tail, tail))
