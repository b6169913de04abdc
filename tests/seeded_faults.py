"""Do the soundness tests notice a fault in a bound rule? One line of a copy of the package is changed at a time.

    python tests/seeded_faults.py              all faults
    python tests/seeded_faults.py NAME ...     those whose name contains a NAME
    python tests/seeded_faults.py --list

Every fault is killed (some test fails or crashes), survives, is stale (its line is no longer there, once exactly), or its run was
aborted by a signal.
The faults marked loose weaken a bound or a heuristic without making it wrong: they are expected to survive.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = (
    "tests/bounds",
    "tests/search/test_clipping.py",
    "tests/search/test_conjunction.py",
    "tests/search/test_narrowing.py",
    "tests/search/test_formulas.py",
    "tests/search/test_splits.py",
    "tests/search/test_frontier.py",
    "tests/search/test_lookahead.py",
    "tests/search/test_input_split.py",
    "tests/search/test_neuron_split.py",
    "tests/search/test_exploration.py",
    "tests/search/test_leaves.py",
    "tests/test_soundness_containment.py",
    "tests/attack",
    "tests/search/test_coverage.py",
    "tests/search/test_exactness.py",
    "tests/search/test_solve.py",
)


@dataclass(frozen=True)
class Fault:
    name: str
    file: str
    old: str
    new: str
    loose: bool = False
    tests: tuple[str, ...] = TESTS


ARRAYS, CONVOLVED, RECORDED = "verifier/arrays.py", ("tests/operators/test_convolution.py",), ("tests/bounds/test_recorded.py",)
FOLDED = ("tests/graph/test_mirrored.py", "tests/graph/test_exact.py")
ROWS, TILES, WINDOW = "verifier/bounds/rows.py", "verifier/bounds/tiles.py", "verifier/graph/parts.py"
WINDOWS = ("tests/graph/test_window.py", "tests/bounds/test_tiles.py", "tests/bounds/test_rows.py")
ORDER = "verifier/graph/order.py"
SQUARED, SQUARES = "verifier/graph/squares.py", ("tests/graph/test_squares.py",)
ORDERED = ("tests/graph/test_order.py", "tests/property/test_disjuncts.py")
MIRRORED = "verifier/graph/mirrored.py"
CONJUNCTION, CLIPPING, NARROWING = (f"verifier/search/{name}.py" for name in ("conjunction", "clipping", "narrowing"))
SLACK = "verifier/bounds/slack.py"
DUAL, RIGOROUS, BATCH, INTERVAL = (f"verifier/bounds/{n}.py" for n in ("dual", "rigorous", "batch", "interval"))
ROOTS, TARGETS, LINEAR, SMOOTH, AFFINE = (
    "verifier/bounds/intermediate.py",
    "verifier/bounds/targets.py",
    "verifier/operators/piecewise_linear.py",
    "verifier/operators/smooth.py",
    "verifier/operators/affine.py",
)
BASE, PRODUCT, SQUARE, CURVED, PERIODIC, STEPS, POWER, EXPONENTIAL = (
    f"verifier/operators/{n}.py" for n in ("base", "product", "square", "curved", "periodic", "steps", "power", "exponential")
)
FORWARD = "verifier/bounds/forward.py"
BOX_SEARCH, BOXES = "verifier/search/box_search.py", ("tests/search/test_box_search.py",)
HALVES, HALVED = "verifier/search/box_halves.py", ("tests/search/test_box_halves.py",)
NEURONS, INPUTS, HALVING, SPLITS, CLIP = (
    f"verifier/search/{n}.py" for n in ("neuron_split", "input_split", "halving", "splits", "clipping")
)
SUBPROBLEMS, TREE, CONSTRAINED, REFINEMENT, EXPLORATION, LEAVES = (
    f"verifier/search/{n}.py" for n in ("subproblems", "tree", "constrained_rows", "refinement", "exploration", "leaves")
)
CONSTRAINT = "verifier/bounds/constraint.py"
LINEAR_OPS, CONVOLUTIONS, ARITHMETIC, CLIPS = (
    f"verifier/graph/lowering/{n}.py" for n in ("linear", "convolution", "arithmetic", "elementwise")
)
TRANSPOSED, NORMALISATION, RESIZING = (f"verifier/graph/lowering/{n}.py" for n in ("transposed", "normalisation", "resizing"))
FUNCTIONS = ("tests/operators/test_contract.py", "tests/bounds/test_rigorous.py")
BALL, BALLS = "verifier/operators/ball.py", ("tests/operators/test_ball.py",)
RANGES = "verifier/questions/ranges.py"
ATTAINABLE, LOGIC = "verifier/graph/attainable.py", "verifier/graph/lowering/logic.py"
LOWERING = ("tests/graph/test_self_check.py",)
"""The self-check has to notice faults of the reader by itself: its tests expect that correct readings pass, and nothing else fails then."""
FAULTS = (
    # the reader
    Fault(
        "square matrix transposed",
        LINEAR_OPS,
        'b = permuted(call, b, (1, 0)) if call.flag("transB", False) else b',
        'b = permuted(call, b, (1, 0)) if call.flag("transB", False) and b.shape[0] != b.shape[1] else b',
        tests=LOWERING,
    ),
    Fault("beta forgotten", LINEAR_OPS, "return added(call, y, _times(call, c, beta))", "return added(call, y, c)", tests=LOWERING),
    Fault(
        "epsilon missing", ARITHMETIC, "factor = scale / np.sqrt(variance + epsilon)", "factor = scale / np.sqrt(variance)", tests=LOWERING
    ),
    Fault("mean missing", ARITHMETIC, "bias - product, magnitude", "bias, magnitude", tests=LOWERING),
    Fault(
        "padding of the wrong side",
        CONVOLUTIONS,
        "padding = (height.before, width.before, height.after + height.extra, width.after + width.extra)",
        "padding = (height.after + height.extra, width.before, height.before, width.after + width.extra)",
        tests=LOWERING,
    ),
    Fault(
        "same padding of the wrong side",
        CONVOLUTIONS,
        'before = total // 2 if auto == "SAME_UPPER" else',
        'before = total // 2 if auto == "SAME_LOWER" else',
        tests=LOWERING,
    ),
    Fault("subtraction adds", ARITHMETIC, "call.input(0), call.input(1), -1)", "call.input(0), call.input(1), 1)", tests=LOWERING),
    Fault("upper bound of a clip lost", CLIPS, "piecewise_linear.Clip(low, high)", "piecewise_linear.Clip(low, np.inf)", tests=LOWERING),
    # balls of the norms l1 and l2
    Fault(
        "norm in place of its dual",
        BALL,
        'if self.norm == "l1":\n            return',
        'if self.norm == "l2":\n            return',
        tests=BALLS,
    ),
    Fault("rounding of a ball forgotten", BALL, "- spread - error", "- spread", tests=BALLS),
    Fault("points near a ball taken for inside", "verifier/property/balls.py", "<= self.radius**2", "<= self.radius**2 * 2", tests=BALLS),
    # ranges of outputs
    Fault(
        "open bound on the wrong side of the threshold",
        RANGES,
        "float(np.nextafter(t - outcome.open_bound, np.inf))",
        "float(np.nextafter(t + outcome.open_bound, np.inf))",
        tests=("tests/questions/test_ranges.py",),
    ),
    Fault(
        "open boxes forgotten",
        INPUTS,
        "open_bound=float(np.minimum(worst, self.stuck_bound))",
        "open_bound=self.stuck_bound",
        tests=("tests/questions/test_ranges.py",),
    ),
    Fault(
        "open bound of the best box",
        "verifier/search/frontier.py",
        "worst = float(block.bound[-1])",
        "worst = float(block.bound[0])",
    ),
    Fault(
        "transposed padding of the wrong side",
        TRANSPOSED,
        "padding = (height.before, width.before, height.after, width.after)",
        "padding = (height.after, width.after, height.before, width.before)",
        tests=LOWERING,
    ),
    Fault("variance of what is not centred", NORMALISATION, "call.emit(Square(), centred,", "call.emit(Square(), x,", tests=LOWERING),
    Fault("differences of the other sign", "verifier/graph/order.py", "matrix[i, i, :] = -1.0", "matrix[i, i, :] = 1.0", tests=LOWERING),
    Fault(
        "softmax without its own value",
        NORMALISATION,
        "Power(-1.0, 1.0), shifted(call, _others(call, rows), np.ones(1))",
        "Power(-1.0, 1.0), _others(call, rows)",
        tests=LOWERING,
    ),
    Fault("mean of the shared part", LINEAR_OPS, "added(call, b, mean, -1)), mean)", "added(call, b, mean)), mean)", tests=LOWERING),
    Fault("shares along another axis", NORMALISATION, "order == sorted(order) and shape[-1] == n", "shape[-1] == n", tests=LOWERING),
    Fault("nearest from the other side", RESIZING, "return math.floor(position)", "return math.ceil(position)", tests=LOWERING),
    # the evaluator
    Fault(
        "rows of one branch only",
        DUAL,
        "for n in range(max((*rows, *problem.multipliers)), -1, -1):",
        "for n in reversed(graph.ancestors(max((*rows, *problem.multipliers)))):",
    ),
    Fault("missing bias", DUAL, "constant = constant + _offset_product(flat, node.operator.offset, node.shape)", "pass"),
    Fault(
        "box sides swapped",
        DUAL,
        "over_box = _dot(positive, problem.lower[:, None]) + _dot(plane - positive, problem.upper[:, None])",
        "over_box = _dot(positive, problem.upper[:, None]) + _dot(plane - positive, problem.lower[:, None])",
    ),
    Fault(
        "box centre only",
        DUAL,
        "over_box = _dot(positive, problem.lower[:, None]) +",
        "over_box = _dot(positive, 0.5 * (problem.lower + problem.upper)[:, None]) +",
    ),
    Fault(
        "lines swapped",
        DUAL,
        "return Relaxation(slope_below, slope_above, below, above)",
        "return Relaxation(slope_above, slope_below, below, above)",
    ),
    Fault(
        "lower intercept of the upper line",
        BASE,
        "return parameter, self.intercept(parameter, lower, upper, side) + self.slack",
        'return parameter, self.intercept(parameter, lower, upper, "lower") + self.slack',
    ),
    Fault(
        "upper intercept of the lower line",
        BASE,
        "return parameter, self.intercept(parameter, lower, upper, side) - self.slack",
        'return parameter, self.intercept(parameter, lower, upper, "upper") - self.slack',
    ),
    Fault("intercept dropped", DUAL, "constant = constant + _dot(negative, planes.intercept_upper)", "pass"),
    Fault(
        "parameters not clipped",
        DUAL,
        "parameters = Lines(*clipped)",
        "parameters = Lines(parameters.lower, initial.upper)",
    ),
    Fault(
        "multiplier sides swapped",
        DUAL,
        "_dot(at_least(m, 0.0), upper[:, None]) - _dot(at_most(m, 0.0), lower[:, None])",
        "_dot(at_least(m, 0.0), lower[:, None]) - _dot(at_most(m, 0.0), upper[:, None])",
    ),
    Fault("multiplier without constant", DUAL, "constant - _dot(at_least(m, 0.0), upper[:, None]) -", "constant -"),
    Fault("last consumer wins", DUAL, "coefficients[p] = coefficients[p] + part if p in coefficients else part", "coefficients[p] = part"),
    Fault("sign of the error", DUAL, "constant = constant - (1.0 + 1e-9) * error", "constant = constant + (1.0 + 1e-9) * error"),
    Fault("no error at all", DUAL, "constant = constant - (1.0 + 1e-9) * error - weights.underflow", "pass"),
    Fault(
        "no error of affine nodes",
        DUAL,
        "error = error + _dot(xp.abs(flat), weights.node[n] if n in weights.node else weights.multiplier[n])",
        "pass",
    ),
    Fault(
        "no error of merged nodes where rows begin",
        DUAL,
        "if weights is not None and (n in weights.node or n in rows):",
        "if weights is not None and n in weights.node:",
    ),
    Fault(
        "overflow counts as a bound",
        DUAL,
        "return xp.where(constant < xp.inf, constant, -xp.inf), xp.where(lowest < xp.inf, lowest, -xp.inf)",
        "return constant, lowest",
    ),
    Fault("no error of nonlinear nodes", DUAL, "error = error + _dot(positive - negative, weight)", "pass"),
    Fault("no error of multipliers", DUAL, "error = error + _dot(xp.abs(m), weights.multiplier[n])", "pass"),
    Fault("no error of the input", DUAL, "error = error + _dot(xp.abs(plane), weights.node[0])", "pass"),
    Fault("no slack of smooth functions", BASE, "- self.slack(parameter, lower, upper, side)", "- 0.0", loose=True),
    # the rounding bound
    Fault("rounding of single precision is not it", RIGOROUS, "U = 2.0**-53", "U = 2.0**-60"),
    Fault(
        "no rounding of products",
        RIGOROUS,
        "error = gamma(op.terms + 2 + sums) * z + gamma(node.size + adds) * offset",
        "error = gamma(node.size + adds) * offset",
    ),
    Fault(
        "weights of values instead of magnitudes",
        RIGOROUS,
        "through, ones = op.absolute(2,",
        "through, ones = op.forward(2,",
    ),
    Fault(
        "no rounding of intervals",
        RIGOROUS,
        "_Magnitude(z, error, gamma(op.terms + 8) * z + underflow)",
        "_Magnitude(z, error, 0.0 * z + underflow)",
    ),
    Fault(
        "no underflow of intervals",
        RIGOROUS,
        "_Magnitude(z, error, gamma(op.terms + 8) * z + underflow)",
        "_Magnitude(z, error, gamma(op.terms + 8) * z)",
    ),
    Fault("no floor", RIGOROUS, "return np.maximum(z, _FLOOR)", "return z"),
    Fault("cancelling sums", RIGOROUS, "self._sums = 2 * max(map(len, graph.consumers)) + 6", "self._sums = 0"),
    Fault("few additions", RIGOROUS, "self._adds = 4 * len(graph.nodes) + 6", "self._adds = 6"),
    Fault("merged weight lost", RIGOROUS, "weights[n] = weights[n] + slopes * weights[p] * (1 + 1e-9)", "pass"),
    Fault(
        "slopes at kinks forgotten",
        BASE,
        "for kink in self.kinks:\n            at = np.clip",
        "for kink in ():\n            at = np.clip",
        tests=FUNCTIONS,
    ),
    Fault("no rounding of planes", RIGOROUS, "gamma(2 * op.function_ulps + 15 + op.terms + sums)", "gamma(0)"),
    # products
    Fault("planes of the other side", PRODUCT, "            c, d = d, c\n        r, s", "            c, d = c, d\n        r, s"),
    Fault("planes of one corner", PRODUCT, "r * (a * c) + s * (b * d)", "r * (a * c) + s * (a * c)"),
    Fault("slopes of planes exchanged", PRODUCT, "[r * c + s * d, r * a + s * b]", "[r * a + s * b, r * c + s * d]"),
    Fault("product of two corners", PRODUCT, "ac, ad, bc, bd = a * c, a * d, b * c, b * d", "ac, ad, bc, bd = a * c, a * c, b * d, b * d"),
    Fault("one product of each factor", PRODUCT, "xp.sum(full, axis=axes) if axes else full", "xp.mean(full, axis=axes) if axes else full"),
    Fault(
        "factors not settled", PRODUCT, "return self.collected(loose, loose) == 0", "return self.collected(loose, loose) >= 0", loose=True
    ),
    Fault("products have no rounding", PRODUCT, "return np.asarray(2.0 * (1 + 1e-6) * x * y)", "return np.asarray(-1.0 * x * y)"),
    Fault(
        "tangent of a square",
        SQUARE,
        "return xp.minimum(xp.maximum(0.5 * slope, lower), upper)",
        "return xp.minimum(xp.maximum(slope, lower), upper)",
    ),
    Fault(
        "chord of a square at one end",
        SQUARE,
        "return xp.where((at_lower > at_upper) | (at_lower != at_lower), lower, upper)",
        "return upper + 0.0 * at_lower",
    ),
    # intervals and batches
    Fault(
        "interval without radius",
        INTERVAL,
        "low, high = centre - radius, centre + radius",
        "low, high = centre - 0.99 * radius, centre + radius",
    ),
    Fault("interval of a function without rounding", INTERVAL, "margin = (2 * op.function_ulps + 2) * U", "margin = 0.0"),
    Fault(
        "known enclosure forced",
        INTERVAL,
        "low, high = xp.maximum(low, known[n].lower), xp.minimum(high, known[n].upper)",
        "low, high = xp.minimum(low, known[n].lower), xp.minimum(high, known[n].upper)",
        loose=True,
    ),
    Fault(
        "head without constant",
        BATCH,
        "return rows, xp.concat([constant, -constant], axis=1), xp.concat([error, error], axis=1)",
        "return rows, 0.0 * xp.concat([constant, -constant], axis=1), xp.concat([error, error], axis=1)",
    ),
    Fault("head with a constant of one sign", BATCH, "xp.concat([constant, -constant], axis=1)", "xp.concat([constant, constant], axis=1)"),
    Fault(
        "head without rounding",
        BATCH,
        "result = result + constant - (xp.abs(result) + xp.abs(constant)) * 2.0**-51 - error",
        "result = result + constant",
    ),
    Fault(
        "upper bound not negated",
        BATCH,
        "upper[at, index] = xp.minimum(upper[at, index], -result[:, count:])",
        "upper[at, index] = xp.minimum(upper[at, index], result[:, count:])",
    ),
    Fault(
        "bounds of one box for all",
        BATCH,
        "at = arrays.indices(np.arange(low.shape[0]))[:, None]",
        "at = arrays.indices(0 * np.arange(low.shape[0]))[:, None]",
    ),
    Fault("root bounds of the other side", ROWS, "return result[:k], -result[k:]", "return result[:k], -result[:k]"),
    Fault(
        "root bounds without rounding",
        ROWS,
        "result = evaluate(graph, {p: unit_rows(arrays, part[None], shape)}, problem, self.weights).lower[0]",
        "result = evaluate(graph, {p: unit_rows(arrays, part[None], shape)}, problem, None).lower[0]",
    ),
    Fault(
        "root bounds of the proposals",
        ROWS,
        "problem = problem_of(graph, self.low, self.high, below, parameters)",
        "problem = problem_of(graph, self.low, self.high, {n: Interval(0.999 * b.lower, 0.999 * b.upper) for n, b in below.items()}, parameters)",  # noqa: E501,
    ),
    # operators
    Fault(
        "chord from the middle",
        LINEAR,
        "return xp.maximum(self.function(lower) - slope * lower, self.function(upper) - slope * upper)",
        "return self.function(upper) - slope * upper",
    ),
    Fault("kink forgotten", LINEAR, "for p in [*inner, upper]:", "for p in [upper]:"),
    Fault(
        "range of slopes of a stable neuron",
        LINEAR,
        "return xp.where(lower >= 0, one, least), xp.where((upper <= 0) & (lower < 0), least, one)",
        "return xp.where(upper >= 0, one, least), xp.where((upper <= 0) & (lower < 0), least, one)",
    ),
    Fault("clip is the identity", LINEAR, "flat = (upper <= self.low) | (lower >= self.high)", "flat = (upper <= self.low)", loose=True),
    Fault("stationary point of the wrong side", SMOOTH, "return -p if piece == 0 else p", "return p if piece == 0 else -p", loose=True),
    Fault("units are convex", EXPONENTIAL, "return self.alpha <= self.width", "return True", loose=True),
    *(
        Fault(*fault, tests=FUNCTIONS)
        for fault in (
            ("only the stationary point", CURVED, "points = [upper, *(xp", "points = [*(xp"),
            ("convex is concave", CURVED, 'sign = namespace(lower), 1 if side == "lower" else -1', "sign = namespace(lower), -1"),
            ("slack of curved functions", CURVED, "xp.maximum((g + rounding) * (p - first), (rounding - g) * (last - p))", "0.0 * p"),
            ("kinks of curved functions", CURVED, "lower, upper) for kink in self.kinks)]", "lower, upper) for kink in ())]"),
            ("undefined is defined", CURVED, "xp.where(defined, value, xp.nan)", "value"),
            ("slope at a bend", CURVED, "return (self.derivative(namespace(like).zeros_like(like) + bend),)", "return ()"),
            ("infinite ends", BASE, "else other > value) | (other != other)", "else other > value)"),
            ("only the first period", PERIODIC, "xp.minimum(xp.maximum(last, lower), upper), upper):", "upper):"),
            ("only the last period", PERIODIC, "for p in (xp.minimum(xp.maximum(first, lower), upper), xp", "for p in (xp"),
            ("maxima for minima", PERIODIC, 'return pi + turn if side == "lower" else -turn', "return -turn"),
            ("no step down", STEPS, '1.0 if side == "lower" else 0.0', "0.0"),
            ("only the first step", STEPS, "for k in numbers)", "for k in numbers[:1])"),
            ("a sign has one step", STEPS, "return ((zero, zero + self.left, (lower < 0) & (upper >= 0)),)", "return ()"),
            ("a step to 1 is closed", STEPS, "at_least(sign(p), 0.0)", "at_least(sign(p), 0.5)"),
            ("concave powers are convex", POWER, "right = -1 if self._concave else 1", "right = 1"),
            ("odd powers are convex", POWER, "return (-1 if self._odd else 1, right)", "return (1, right)"),
        )
    ),
    Fault(
        "only the first patches of an image",
        ARRAYS,
        "out[:, :, : oh * kh, : ow * kw] = xp.reshape(tiles, (n, channels, oh * kh, ow * kw))",
        "out[:, :, :kh, :kw] = columns[:, :, :, :, 0, 0]",
        tests=CONVOLVED,
    ),
    Fault(
        "elements of a kernel in another order",
        ARRAYS,
        "(groups, outputs // groups, per_group, kh * kw)), (3, 0, 1, 2))",
        "(groups, outputs // groups, per_group, kh * kw)), (3, 0, 1, 2))[::-1]",
        tests=CONVOLVED,
    ),
    Fault(
        "numbers below a limit kept",
        ARRAYS,
        "return x.clamp(min=least) if is_torch(x) else np.maximum(x, least)",
        "return x.clamp(min=least) if is_torch(x) else x",
    ),
    Fault("sums do not mix", "verifier/graph/ir.py", "below + own)", "below)", loose=True),
    Fault(
        "results of a batch before",
        "verifier/bounds/recorded.py",
        "        recording.replay()\n",
        "",
        tests=RECORDED,
    ),
    Fault(
        "batches of another size are of one shape",
        "verifier/bounds/recorded.py",
        "((size if a.shape[0] == batch else a.shape[0], *a.shape[1:]) for a in _leaves(ascent))",
        "(a.shape[1:] for a in _leaves(ascent))",
        tests=RECORDED,
    ),
    Fault(
        "transposed convolution absolute without sign",
        AFFINE,
        "return self._apply(x, namespace(x).abs(self.weight))",
        "return self._apply(x, self.weight)",
        tests=FUNCTIONS,
    ),
    Fault(
        "convolution absolute without sign",
        AFFINE,
        "return self._apply(x, namespace(self.weight).abs(self.weight))",
        "return self._apply(x, self.weight)",
    ),
    Fault(
        "linear absolute without sign",
        AFFINE,
        "return _right_product(x, namespace(self.weight).abs(self.weight))",
        "return _right_product(x, self.weight)",
    ),
    Fault("sum counted once", AFFINE, "part = y if self.divisor == 1 else y / self.divisor", "part = y"),
    Fault(
        "padding crops the other end",
        AFFINE,
        "target.append(slice(first + b, last + b))",
        "target.append(slice(max(0, b), max(0, b) + last - first))",
        loose=True,
    ),
    *(
        Fault(*fault, tests=("tests/graph/test_attainable.py",))
        for fault in (
            ("sums of mixed signs", ATTAINABLE, "if all(np.all(p.lower >= 0) for p in parts) or", "if True or"),
            ("a factor without a sign", ATTAINABLE, "np.minimum(ends[0].lower, ends[1].lower)", "ends[0].lower"),
            ("sums that are not rounded", ATTAINABLE, "((a - (total - part)) + (b - part) == 0) | np.isinf(a)", "total == total"),
            ("differences are sums", ATTAINABLE, "p if sign > 0 else Span(-p.upper, -p.lower)", "p"),
            ("values of a sigmoid", SMOOTH, "image = (0.0, 1.0)", "image = (0.5, 1.0)"),
        )
    ),
    *(
        Fault(*fault, tests=("tests/graph/test_logic.py",))
        for fault in (
            ("a tie goes to the last", LOGIC, "    if last:", "    if not last:"),
            ("no opposite", LOGIC, "_not(call, found) if opposite else found", "found"),
            ("rounding for truncation", LOGIC, "steps.Floor(_LARGEST_WHOLE)", "steps.Round()"),
            ("negative indices", LOGIC, "for offset in (-places, n - places))", "for offset in (-places, 2 * n - places))"),
        )
    ),
    Fault("changes of signs keep the ends", INTERVAL, "xp.minimum(first, second), xp.maximum(first, second)", "first, second"),
    # searches
    Fault(
        "a split of the wrong side",
        SPLITS,
        "np.where(side > 0, point, -np.inf)",
        "np.where(side < 0, point, -np.inf)",
        loose=True,
    ),
    Fault("both children of one side", SPLITS, "for sign in (1, -1):", "for sign in (1, 1):"),
    Fault(
        "split slots of another depth",
        SPLITS,
        "neuron[at, self.depth], point[at, self.depth] = self.choice, self.choice_point",
        "neuron[at, self.depth], point[at, self.depth] = self.choice, 0.9 * self.choice_point + 0.01",
    ),
    Fault(
        "a gap between the halves",
        HALVING,
        'first["upper"][by_input, dimension] = second["lower"][by_input, dimension] = middle',
        'first["upper"][by_input, dimension], second["lower"][by_input, dimension] = middle, middle + 0.05 * (boxes.upper[by_input, dimension] - middle)',  # noqa: E501
    ),
    Fault(
        "a gap between the phases",
        HALVING,
        'first["below"][by_neuron, neuron] = second["above"][by_neuron, neuron] = point',
        'first["below"][by_neuron, neuron] = point; second["above"][by_neuron, neuron] = point - 0.1 * (point - some.below[np.arange(len(some)), neuron])',  # noqa: E501
    ),
    Fault(
        "cuts of the other phase",
        HALVING,
        'second["cuts"][by_neuron, 0] = np.concatenate([a[:, 0]',
        'second["cuts"][by_neuron, 0] = np.concatenate([a[:, 1]',
    ),
    Fault("cut without its point", HALVING, "np.nextafter(c[:, 0] - point, -np.inf)", "np.nextafter(c[:, 0] + 0.5, -np.inf)"),
    Fault(
        "plane of a neuron without constant",
        BATCH,
        "offsets[mine] = to_numpy(dual.offset + constant -",
        "offsets[mine] = to_numpy(dual.offset -",
    ),
    Fault("plane of a neuron without rounding", BATCH, "- (xp.abs(dual.offset) + xp.abs(constant)) * 2.0**-51 - error)", ")"),
    Fault("mixture without rounding", CONJUNCTION, "w, c) - lost", "w, c)"),
    Fault("mixture with negative weights", CONJUNCTION, "return best * scale", "return (best - 0.02) * scale"),
    Fault(
        "mixture at the centre",
        CONJUNCTION,
        "least = np.maximum(plane, 0.0) * lower + np.minimum(plane, 0.0) * upper",
        "least = plane * (0.5 * lower + 0.5 * upper)",
    ),
    Fault("clip without rounding of bounds", CLIPPING, "return np.asarray(gamma(2 * n + 12) * 2 * sizes + 1e-300)", "return 0.0 * sizes"),
    Fault("complete clip without the plane's constant", CLIPPING, "+ constants + b * c\n", "+ constants\n"),
    Fault("complete clip with a negative multiplier", CLIPPING, "b = np.where((slope > 0) & ", "b = np.sign(slope) * np.where("),
    Fault("shared rows with less room", CLIPPING, "step = room[box, f[some]]", "step = 0.9 * room[box, f[some]]"),
    Fault(
        "first neurons known too well",
        NARROWING,
        "clip_affine(*found, down, roof, -below[:, neurons])",
        "clip_affine(*found, down, roof, -below[:, neurons] - 0.2)",
    ),
    Fault("a neuron lacks less than its row", SLACK, "lacking / q * _UP", "lacking / (2 * q) * _UP"),
    Fault("a multiplier lacks less than its row", SLACK, "upper - gap -", "upper - 0.5 * gap -"),
    Fault("near a line of slope zero", LINEAR, "up / (1.0 - slope)", "up / (1.0 - 0.0 * slope)"),
    Fault("splits of the other side", NARROWING, "place[splits.neuron], (splits.side > 0)", "place[splits.neuron], (splits.side < 0)"),
    Fault("splits without their points", NARROWING, "constants[below, at] + splits.side * splits.point", "constants[below, at]"),
    Fault("first neurons where the plane is positive", NARROWING, "return a[at, best], c[at, best]", "return -a[at, best], -c[at, best]"),
    Fault(
        "missing candidate taken",
        "verifier/search/branching/lookahead.py",
        "np.where(there, np.where(np.isfinite(gain), gain, -1e300), -np.inf)",
        "np.where(np.isfinite(gain), gain, -1e300)",
    ),
    Fault(
        "candidates behind others that are none",
        "verifier/search/branching/inputs.py",
        "np.nan_to_num(score, nan=0.0, posinf=1e300, neginf=0.0)",
        "score",
        tests=("tests/search/test_inputs.py",),
    ),
    Fault("only one half", HALVING, "return batch.select(np.concatenate([chosen, chosen + len(owner)]))", "return batch.select(chosen)"),
    Fault("stuck boxes are proved", INPUTS, "self.stuck += step.stuck[1]", "pass"),
    Fault(
        "closed by the proposal",
        SUBPROBLEMS,
        "closed[pick] = tree.excluded(rows, splits.disjunct[pick])",
        "closed[pick] = tree.targets.refuted(found.bounds[pick] + 1e-3, splits.disjunct[pick])",
    ),
    Fault(
        "closed with a tolerance",
        TREE,
        "return self.targets.refuted(rows.bounds, disjunct) | together",
        "return self.targets.refuted(rows.bounds + 1e-5, disjunct) | together",
    ),
    Fault(
        "planes without constants",
        TREE,
        "return ExactRows(bounds, to_numpy(dual.coefficients), offsets,",
        "return ExactRows(bounds, to_numpy(dual.coefficients), 0 * offsets + 1,",
    ),
    Fault("promising is proved", SUBPROBLEMS, "else ((bounds > 0) |", "else ((bounds > -0.01) |", loose=True),
    Fault("undecidable is proved", EXPLORATION, "stuck.append(parents.disjunct[~divisible])", "pass"),
    Fault("undecidable is forgotten", NEURONS, "np.array(sorted(self.stuck), np.int64)", "np.zeros(0, np.int64)", tests=BOXES),
    Fault("no sweep for a disjunct", BOX_SEARCH, "disjunct, search.open_disjuncts))", "disjunct, search.open_disjuncts[1:]))", tests=BOXES),
    Fault("an open disjunct is left", BOX_SEARCH, "outcome, search.open_disjuncts", "outcome, search.open_disjuncts[1:]", tests=BOXES),
    Fault("due subproblems lost", EXPLORATION, "due.append(parents.select(narrowed))", "pass"),
    Fault("due subproblems not taken back", NEURONS, "self.frontier.push(part.due)", "pass"),
    Fault("open subproblems of a core lost", NEURONS, "for block in part.open:", "for block in part.open[:1]:"),
    Fault("a core forgets its share", NEURONS, "for share in shares:\n                self.frontier.push(share)", "pass"),
    Fault("leaves closed by the program alone", LEAVES, "if not closed[b]:", "closed[b] = found.lower > -0.5\n        if not closed[b]:"),
    Fault(
        "constraint of all disjuncts",
        CONSTRAINT,
        "own = np.arange(targets.constant.shape[0]) == disjuncts[:, None]",
        "own = np.arange(targets.constant.shape[0]) >= 0 * disjuncts[:, None]",
    ),
    Fault(
        "constraint met too well",
        CONSTRAINT,
        "least = arrays.xp.minimum(values.upper, 0.0 * values.upper)",
        "least = arrays.xp.minimum(values.upper, 0.0 * values.upper - 0.1)",
    ),
    Fault("constraint without constants", CONSTRAINT, "targets.constant.reshape(-1).copy())", "0 * targets.constant.reshape(-1))"),
    Fault(
        "sides of a constrained neuron",
        CONSTRAINED,
        "return bounds[:, :k], -bounds[:, k:]",
        "return -bounds[:, k:], bounds[:, :k]",
    ),
    Fault(
        "constrained rows of other neurons",
        CONSTRAINED,
        "tree.places(rows.node, p)[rows.neurons]",
        "tree.places(rows.node, p)[(rows.neurons + 1) % tree.graph.nodes[rows.node].size]",
    ),
    Fault(
        "multipliers that pull at the wrong side",
        "verifier/bounds/ascent.py",
        "xp.where(m > 0, fixed.high, xp.where(m < 0, fixed.low, inside))",
        "xp.where(m > 0, fixed.low, xp.where(m < 0, fixed.high, inside))",
        loose=True,
    ),
    Fault("trees that forget a leaf", REFINEMENT, "leaves = Splits.concatenate([leaves.select(~chosen), step.open])", "leaves = step.open"),
    Fault("closed leaves count for nothing", REFINEMENT, "found = self.enough[rows]", "found = np.full(count, np.inf)"),
    Fault("leaves of other trees", REFINEMENT, "np.minimum.at(found, leaves.disjunct, bounds)", "found[leaves.disjunct] = bounds"),
    Fault("both trees of one side", REFINEMENT, "np.where(rows < m, 1.0, -1.0)", "np.where(rows < m, 1.0, 1.0)"),
    Fault("leaves not accepted", REFINEMENT, "np.arange(len(leaves))).bounds[:, 0]", "np.arange(len(leaves))).bounds[:, 0] + 0.01"),
    Fault(
        "enclosures of another subproblem",
        SPLITS,
        "index = self._arrays.xp, self._arrays.indices(domain)",
        "index = self._arrays.xp, self._arrays.indices(domain[::-1])",
    ),
    Fault(
        "strict rows and others alike",
        TARGETS,
        "return ((bounds > 0) | (self.strict[which] & (bounds >= 0))).any(axis=1)",
        "return (bounds >= 0).any(axis=1)",
    ),
    Fault(
        "all rows of a disjunct needed",
        TARGETS,
        "return ((bounds > 0) | (self.strict[which] & (bounds >= 0))).any(axis=1)",
        "return ((bounds > 0) | (self.strict[which] & (bounds >= 0))).all(axis=1)",
        loose=True,
    ),
    Fault("constant rounded up", TARGETS, "return lower + d - 4 * U * (np.abs(lower) + np.abs(d))", "return lower + d"),
    Fault("popped boxes forgotten", INPUTS, "                frontier.push(popped)", "                pass"),
    Fault("shares forgotten when time is over", INPUTS, "                    frontier.push(share)", "                    pass"),
    Fault("open boxes of a core forgotten", INPUTS, "return Explored(steps, list(frontier),", "return Explored(steps, list(frontier)[:1],"),
    Fault("open boxes of one core alone", INPUTS, "            for part in found:\n", "            for part in found[:1]:\n"),
    Fault(
        "offsets of other planes",
        HALVING,
        "planes = np.where(higher[:, :, None], to_numpy(dual.coefficients), batch.planes)",
        "planes = batch.planes",
        tests=("tests/search/test_halving.py",),
    ),
    # forward affine forms
    Fault("form of a narrower input", FORWARD, "radius * (1.0 + 2.0**-50) + _FLOOR, radius)", "radius * 0.999, radius)"),
    Fault("form of a rounded input", FORWARD, "radius * (1.0 + 2.0**-50) + _FLOOR, radius)", "radius, radius)"),
    Fault("inputs between two floats taken as exact", FORWARD, "xp.where(vary, 0.0, radius) + _FLOOR", "0.0 * radius + _FLOOR"),
    Fault("rounding of columns and centre", FORWARD, "g * (self.spread() + xp.abs(self.points[:, -1]))", "0.0 * self.points[:, -1]"),
    Fault("rounding of columns", FORWARD, "g * (self.spread() + xp.abs(self.points[:, -1]))", "g * xp.abs(self.points[:, -1])"),
    Fault("rounding of a shift", FORWARD, "remainder = remainder + g * magnitude", "pass"),
    Fault("rounding of intercepts", FORWARD, "+ g * (xp.abs(low) + xp.abs(high)) + error", "+ error", loose=True),  # the planes' has room
    Fault("planes taken as exact", FORWARD, "+ g * (xp.abs(low) + xp.abs(high)) + error", "+ g * (xp.abs(low) + xp.abs(high))"),
    Fault("function without its remainder", FORWARD, "(0.5 * high - 0.5 * low)", "(0.49 * high - 0.49 * low)"),
    Fault("remainder through the sum of weights", FORWARD, "operator.absolute(count, ", "operator.homogeneous.forward(count, "),
    Fault("shift in the columns", FORWARD, "operator.homogeneous.forward(", "operator.forward("),
    Fault("enclosure without the remainder", FORWARD, "self.spread() + self.remainder\n", "self.spread() + 0.9 * self.remainder\n"),
    Fault("enclosure as it is computed", FORWARD, "radius = radius + g * (radius + xp.abs(centre))", "pass", loose=True),
    Fault("centre kept beside the interval", FORWARD, "xp.where(narrower, centre, ", "xp.where(narrower, moved[:, -1], "),
    Fault("columns kept beside the interval", FORWARD, "xp.where(narrower[:, None], 0.0, image) if some else image", "image"),
    Fault("last part of the columns left out", FORWARD, "for i in range(0, count, some)]", "for i in range(0, count - some, some)]"),
    Fault("columns of all but one input", FORWARD, "stable=True)[:, :most]", "stable=True)[:, : max(most - 1, 0)]"),
    Fault("still where not all moves", FORWARD, "bool(xp.any(self._moving[n] > 0))", "bool(xp.all(self._moving[n] > 0))"),
    Fault("still where a part of the argument is", FORWARD, "xp.max(parents[0], axis=1", "xp.min(parents[0], axis=1"),
    Fault(
        "boxes in the order of their columns",
        HALVING,
        "return found.select(np.argsort(order))",
        "return found",
        tests=("tests/search/test_halving.py",),
    ),
    # halves of dear boxes
    Fault("only one half of a half", HALVES, "left += _halved(part, half.depth)", "left += _halved(part, half.depth)[:1]", tests=HALVED),
    Fault("a gap between halves", HALVES, "below[place] = above", "above[place] = middle[place]; below[place] = lower", tests=HALVED),
    Fault("open only where it was last", HALVES, "for half in left])))", "for half in left[-1:]])))", tests=HALVED),
    Fault("open as in the whole", HALVES, "half.parent.root, half.parent.open)", "half.parent.root, whole.open)", loose=True, tests=HALVED),
    Fault("open in no half", HALVES, "if len(part.open):", "if len(part.open) > 1:", tests=HALVED),
    Fault("a band without its slack", CURVED, "return slope, low - below, high + above", "return slope, low, high"),
    Fault("a band of one plane", PRODUCT, "return slopes, low, high", "return slopes, low, low"),
    Fault("clip without rounding", CLIP, "offset = c - gamma(n + 8) * 4 * (sizes[:, :, 0] + np.abs(c))", "offset = c"),
    Fault("clip of the wrong side", CLIP, "rest = terms.sum(axis=2, keepdims=True) - terms", "rest = terms.sum(axis=2, keepdims=True)"),
    Fault(
        "clip with the other corner",
        CLIP,
        "terms = positive * lower[:, None] + negative * upper[:, None]",
        "terms = positive * upper[:, None] + negative * lower[:, None]",
    ),
    Fault("mirrored neurons taken as repeated", MIRRORED, "((np.abs(factor),", "((factor,", tests=FOLDED),
    Fault("repeated neurons passed on", MIRRORED, "np.flatnonzero(factor < 0)", "np.flatnonzero(factor != 0)", tests=FOLDED),
    Fault("multiples but for the bias", MIRRORED, ", float(scaled_bias[j]))", ", 0.0)", tests=FOLDED),
    Fault("multiples in other places", MIRRORED, "(weight.indices[part].tobytes(), ", "(b'', ", tests=FOLDED),
    Fault("multiples that underflow", MIRRORED, "[rounded]] = False", "[rounded]] &= True", tests=FOLDED),
    Fault("a Relu that others read, too", MIRRORED, "graph.consumers[n] != (i,)", "False", tests=FOLDED),
    Fault("squares taken for exact", SQUARED, "roundings=max(f.roundings for f in forms)", "roundings=0", tests=SQUARES),
    Fault("less off than a form may be", SQUARED, "through.T @ off @ through", "0.0 * through", tests=SQUARES),
    Fault("the mean of products as their sum", SQUARED, " and following.divisor == 1", "", tests=SQUARES),
    Fault("softmax of any sums", "verifier/graph/order.py", "np.array_equal(matrices.entries", "len(matrices.entries", tests=ORDERED),
    Fault("softmax along another axis", ORDER, "operator.axes == (len(shape) - 1,) and shape[-1] == n - 1", "True", tests=ORDERED),
    Fault("an end that falls", "verifier/graph/order.py", "operator.exponent == -1.0", "True", tests=ORDERED),
    Fault("comparisons with a constant", "verifier/property/disjuncts.py", "and self.constant == 0 and len", "and len", tests=ORDERED),
    Fault("weighted comparisons", "verifier/property/disjuncts.py", "and sum(self.outputs.values()) == 0", "", tests=ORDERED),
    Fault("window without its edge", WINDOW, "max(first, 0), min(last, size)", "max(first, 0), min(last, size - 1)", tests=WINDOWS),
    Fault("window of an undilated kernel", WINDOW, "+ op.dilation[i] * (op", "+ (op", tests=WINDOWS),
    Fault(
        "padding of the whole image",
        WINDOW,
        "last - inside[1]))\n    padding = ends[0][0], ends[1][0], ends[0][1], ends[1][1]",
        "last - inside[1]))\n    padding = op.padding",
        tests=WINDOWS,
    ),
    Fault("padding that is transposed", WINDOW, "op.padding[i] + start - first * stride", "op.padding[i]", tests=WINDOWS),
    Fault(
        "constants of another place",
        WINDOW,
        "np.int64) if n == 1 else indices",
        "np.int64) if n == 1 else np.arange(len(indices))",
        tests=WINDOWS,
    ),
    Fault("enclosures of another window", TILES, "known[p].upper[:, index])", "known[p].upper[:, : len(index)])", tests=WINDOWS),
    Fault("elements that are not where they were", WINDOW, "np.searchsorted(there, elements)", "np.arange(len(elements))", tests=WINDOWS),
    Fault("a product that rounds", "verifier/graph/exact.py", "of_columns[sums.col] + 52", "of_columns[sums.col] + 54", tests=FOLDED),
)


def run(fault: Fault) -> tuple[str, float, str]:
    """(killed, survived or stale; seconds; the first test that failed)."""
    source = (ROOT / fault.file).read_text()
    if source.count(fault.old) != 1:
        return "stale", 0.0, ""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in ("verifier", "tests"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        (copy / fault.file).write_text(source.replace(fault.old, fault.new))
        environment = {**os.environ, "SOUNDNESS_SEEDS": os.environ.get("SOUNDNESS_SEEDS", "60"), "PYTHONDONTWRITEBYTECODE": "1"}
        start = time.monotonic()
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", *fault.tests]
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=900)
        first = next((line.split(" ")[1] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))), "")
        result = "survived" if done.returncode == 0 else "killed" if done.returncode > 0 else "aborted"  # by a signal, from outside
        return result, time.monotonic() - start, first


def main(arguments: list[str]) -> int:
    chosen = [f for f in FAULTS if not arguments or any(a in f.name for a in arguments)]
    if arguments == ["--list"]:
        chosen, arguments = [], []
        print("\n".join(f"{f.name}{' (loose)' if f.loose else ''}" for f in FAULTS))
    counts: dict[tuple[str, bool], int] = {}
    for fault in chosen:
        result, seconds, first = run(fault)
        counts[result, fault.loose] = counts.get((result, fault.loose), 0) + 1
        print(f"{result:9}{' loose ' if fault.loose else '       '}{fault.name:45}{seconds:6.1f} s  {first}", flush=True)
    killed, survived = counts.get(("killed", False), 0), counts.get(("survived", False), 0)
    stale = sum(n for (result, _), n in counts.items() if result == "stale")
    if chosen:
        print(f"{killed} of {killed + survived} faults killed, {stale} stale")
    return 1 if survived or stale or any(result == "aborted" for result, _ in counts) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
