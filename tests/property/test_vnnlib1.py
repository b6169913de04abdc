"""Reader of VNN-LIB 1: dialects, an independent evaluation of random queries, errors with their places, mutated texts."""

from __future__ import annotations

import gzip
import hashlib
import random
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from verifier.errors import PropertyError
from verifier.property import dnf, vnnlib1
from verifier.property.disjuncts import NOT_REPRESENTABLE, Property

BENCHMARKS = Path(__file__).parents[3] / "shared" / "benchmarks"


def declarations(inputs: int, outputs: int) -> str:
    return "".join(f"(declare-const {kind}_{i} Real)\n" for kind, n in (("X", inputs), ("Y", outputs)) for i in range(n))


def box(*bounds: tuple[str, str]) -> str:
    return "".join(f"(assert (>= X_{i} {low}))\n(assert (<= X_{i} {high}))\n" for i, (low, high) in enumerate(bounds))


UNIT = declarations(1, 2) + box(("0", "1"))
UNIT_LINES = UNIT.count("\n")


@pytest.fixture
def parse(tmp_path: Path) -> Any:
    def read(text: str | bytes) -> Property:
        path = tmp_path / "query.vnnlib"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return vnnlib1.read(path)

    return read


# Independent evaluation: nested lists, then straight recursion over rationals.


def nested(text: str) -> list[Any]:
    stack: list[list[Any]] = [[]]
    for token in re.findall(r"[()]|[^\s()]+", re.sub(r";[^\n]*", "", text)):
        if token == "(":
            stack.append([])
        elif token == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(token)
    return stack[0]


def value(e: Any, point: dict[str, Fraction]) -> Fraction:
    if isinstance(e, str):
        return point[e] if e in point else Fraction(e)
    values = [value(operand, point) for operand in e[1:]]
    if e[0] == "+":
        return sum(values, Fraction(0))
    if e[0] == "*":
        result = Fraction(1)
        for v in values:
            result *= v
        return result
    return -values[0] if len(values) == 1 else values[0] - sum(values[1:], Fraction(0))


def truth(e: Any, point: dict[str, Fraction]) -> bool:
    if e[0] == "and":
        return all(truth(part, point) for part in e[1:])
    if e[0] == "or":
        return any(truth(part, point) for part in e[1:])
    operands = e[1] if len(e) == 2 else e[1:]
    a, b = (value(operand, point) for operand in operands)
    return {"<=": a <= b, ">=": a >= b, "<": a < b, ">": a > b, "==": a == b, "=": a == b, "!=": a != b}[e[0]]


def satisfied(text: str, x: np.ndarray, y: np.ndarray) -> bool:
    point = {f"{kind}_{i}": Fraction(float(v)) for kind, values in (("X", x), ("Y", y)) for i, v in enumerate(values)}
    return all(truth(statement[1], point) for statement in nested(text) if statement[0] == "assert")


LITERALS = ["0", "1", "-1", "0.5", "+0.25", "-.5", "1.", "1e-1", "-2.5E+0", "0.1", "0.3", "1e-06", "100e-2", "0.30000001192092896", "00.5"]


def random_term(rng: random.Random, variables: list[str], depth: int) -> str:
    choice = rng.random()
    if depth == 0 or choice < 0.5:
        return rng.choice(variables) if rng.random() < 0.6 else rng.choice(LITERALS)
    parts = " ".join(random_term(rng, variables, depth - 1) for _ in range(rng.randint(1, 3)))
    if choice < 0.7:
        return f"(+ {parts})"
    if choice < 0.85:
        return f"(- {parts})"
    constant = rng.choice([rng.choice(LITERALS), f"(- {rng.choice(LITERALS)} 0.5)"])
    factors = [constant, random_term(rng, variables, depth - 1)]
    rng.shuffle(factors)
    return f"(* {' '.join(factors)})"


def random_formula(rng: random.Random, inputs: list[str], outputs: list[str], depth: int) -> str:
    if depth and rng.random() < 0.55:
        parts = " ".join(random_formula(rng, inputs, outputs, depth - 1) for _ in range(rng.randint(1, 3)))
        return f"({rng.choice(['and', 'or'])} {parts})"
    relation = rng.choice(["<=", ">=", "<=", ">=", "<", ">", "==", "=", "!="])
    kind = rng.random()
    if kind < 0.25:
        return f"({relation} {rng.choice(inputs)} {rng.choice(LITERALS)})"
    if kind < 0.45:
        return f"({relation} {rng.choice(outputs)} {rng.choice(outputs + LITERALS)})"
    variables = inputs if kind < 0.6 else outputs if kind < 0.75 else inputs + outputs
    a, b = (random_term(rng, variables, rng.randint(0, 2)) for _ in range(2))
    return f"({relation} ({a} {b}))" if re.match(r"[-+.0-9XY]|\((?=[(])", a) and rng.random() < 0.1 else f"({relation} {a} {b})"


def random_query(rng: random.Random) -> tuple[str, int, int]:
    n, m = rng.randint(1, 3), rng.randint(1, 3)
    inputs, outputs = [f"X_{i}" for i in range(n)], [f"Y_{i}" for i in range(m)]
    statements = [f"(assert {random_formula(rng, inputs, outputs, rng.randint(0, 3))})" for _ in range(rng.randint(0, 3))]
    for i in range(n):
        statements += [f"(assert ({side}{rng.choice(['1', '0.5', '10e-1', '0.3'])}))" for side in (f"<= X_{i} ", f">= X_{i} -")]
    rng.shuffle(statements)
    return declarations(n, m) + rng.choice(["\n", "", " ", "\n; or\n"]).join(statements), n, m


@pytest.mark.parametrize("seed", range(6))
def test_random_queries_mean_what_they_say(seed: int, parse: Any) -> None:
    rng = random.Random(seed)
    values = [float(Fraction(literal)) for literal in LITERALS] + [float(np.float32(0.1)), float(np.nextafter(0.3, 1)), -0.3]
    met = 0
    for _ in range(100):
        text, n, m = random_query(rng)
        try:
            prop = parse(text)
        except PropertyError as error:
            assert error.message == NOT_REPRESENTABLE, (seed, text)
            continue
        assert (prop.inputs, prop.outputs) == (n, m)
        for _ in range(12):
            dtype = rng.choice([np.float32, np.float64])
            x, y = (np.array([rng.choice(values) for _ in range(k)], dtype=dtype) for k in (n, m))
            found = prop.holds(x, y)
            assert (found is not None) == satisfied(text, x, y), (seed, text, x, y)
            if found is not None:
                met += 1
                disjunct = prop.disjuncts[found]
                assert not disjunct.empty and disjunct.holds(x, y)
                assert (disjunct.lower <= x).all() and (x <= disjunct.upper).all()
                C, D, d, strict = disjunct.coefficients()
                r = len(disjunct.rows)
                assert C.shape == (r, m) and D.shape == (r, n) and d.shape == strict.shape == (r,)
    assert met > 20


DIALECTS = {  # text after UNIT, then points (x, y0, y1) that violate, points that do not
    "conjuncts": ("(assert (<= Y_0 Y_1))(assert (>= Y_1 2))", [(0, 1, 2)], [(0, 1, 1.5), (0, 3, 2), (2, 1, 2)]),
    "output or": ("(assert (or\n    (and (>= Y_0 Y_1))\n    (and (>= Y_0 5))\n))", [(0, 1, 0), (0, 5, 9)], [(0, 1, 2)]),
    "or of bare comparisons": ("(assert (or (>= Y_0 5) (<= Y_1 0)))", [(0, 5, 1), (0, 0, 0)], [(0, 0, 1)]),
    "or then conjunct": ("(assert (or (and (>= Y_0 5)) (and (<= Y_0 -5))))\n(assert (<= Y_1 0.045))", [(0, 6, 0)], [(0, 6, 1), (0, 0, 0)]),
    "input or": ("(assert (or (and (<= X_0 0.1)) (and (>= X_0 0.9) (<= X_0 0.95))))(assert (<= Y_0 0))",
                 [(0, 0, 0), (0.9375, 0, 0)], [(0.5, 0, 0), (1, 0, 0)]),
    "two ors": ("(assert (or (<= X_0 0.1) (>= X_0 0.9)))(assert (or (<= Y_0 0) (<= Y_1 0)))",
                [(0, 0, 1), (1, 1, 0)], [(0.5, 0, 0), (0, 1, 1)]),
    "exponents": ("(assert (<= Y_0 -1e-06))(assert (>= Y_1 1E+2))", [(0, -1, 100)], [(0, -1e-7, 100), (0, -1, 99)]),
    "integers": ("(assert (<= Y_0 -1))", [(0, -1, 0)], [(0, 0, 0)]),
    "fixed input": ("(assert (<= X_0 0.5))(assert (>= X_0 0.5))(assert (<= Y_0 0))", [(0.5, 0, 0)], [(0.25, 0, 0)]),
    "X and Y": ("(assert (<= Y_0 (+ (* -2.5 X_0) 0.5)))", [(0, 0.5, 0), (0.5, -0.75, 0)], [(0.5, -0.5, 0)]),
    "strict": ("(assert (< Y_0 Y_1))(assert (> Y_0 0))", [(0, 1, 2)], [(0, 1, 1), (0, 0, 1)]),
    "strict input": ("(assert (< X_0 0.5))(assert (<= Y_0 0))", [(0.25, 0, 0)], [(0.5, 0, 0)]),
    "constant first": ("(assert (>= 0.5 X_0))(assert (<= 1 Y_0))", [(0.5, 1, 0)], [(0.75, 1, 0), (0.5, 0, 0)]),
    "scaled input": ("(assert (<= (* 3 X_0) 1))(assert (>= (- X_0) -0.25))(assert (<= Y_0 0))", [(0.25, 0, 0)], [(0.3, 0, 0)]),
    "tabs and no blanks": ("(assert(or(and(<= Y_0 0)(<= Y_1 0))(and\t(>= Y_0 9)\f(>= Y_1 9))))",
                           [(0, 0, 0), (0, 9, 9)], [(0, 0, 1)]),
    "CRLF": ("(assert (or\r\n(and (<= Y_0 0))\r\n(and (<= Y_1 0))))\r\n", [(0, 0, 1)], [(0, 1, 1)]),
    "CR": ("; a comment\r(assert (<= Y_0 0))\r", [(0, 0, 1)], [(0, 1, 1)]),
    "comments": (";;;; or ;;;;\n(assert ; (<= Y_0 9)\n(<= ;)\n Y_0 0))\n;\u00e9\u4e2d (assert (>= Y_0 5)) at the end",
                           [(0, 0, 1)], [(0, 1, 1)]),
    "leading +": ("(assert (<= Y_0 +1))", [(0, 1, 1)], [(0, 2, 1)]),
    "equal": ("(assert (== Y_0 Y_1))(assert (= X_0 0.5))", [(0.5, 3, 3)], [(0.5, 3, 2), (0, 3, 3)]),
    "unequal": ("(assert (!= Y_0 Y_1))(assert (or (!= X_0 0.5) (<= Y_0 0)))",
                [(0, 3, 2), (0, 2, 3)], [(0.5, 3, 2), (0, 3, 3)]),
    "one operand": ("(assert (or (and (<= (1.5 (- Y_0 (+ (* -2.5 X_0) 2.9)))))))", [(0, 4.5, 0)], [(0, 4.25, 0)]),
    "nested": ("(assert (and (or (or (<= Y_0 0) (and (and (<= Y_0 1) (>= Y_1 1)))) (>= Y_0 9)) (<= X_0 0.5)))",
               [(0, 0, 0), (0, 1, 1), (0, 9, 0)], [(0, 1, 0), (1, 0, 0)]),
    "products of constants": ("(assert (<= (* 2 3 Y_0 (- 1)) (- 3 (* 0 Y_1))))", [(0, 0, 0), (0, -0.5, 0)], [(0, -1, 0)]),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_dialects(name: str, parse: Any) -> None:
    text, violating, other = DIALECTS[name]
    prop = parse(UNIT + text)
    for points, expected in ((violating, True), (other, False)):
        for x, *y in points:
            assert (prop.holds(np.array([x], dtype=np.float64), np.array(y, dtype=np.float64)) is not None) is expected
    assert bool(prop.warnings) is (name == "one operand")


def test_shape_of_the_result(parse: Any, tmp_path: Path) -> None:
    prop = parse(b"\xef\xbb\xbf" + (UNIT + "(assert (or\n(and (<= X_0 0.1) (>= Y_0 Y_1))\n(and (>= Y_1 3))))\n").encode())
    assert (prop.version, prop.source, prop.warnings) == ("1.0", str(tmp_path / "query.vnnlib"), ())
    assert [d.line for d in prop.disjuncts] == [UNIT_LINES + 2, UNIT_LINES + 3]
    first, second = prop.disjuncts
    (row,) = first.rows
    assert (row.inputs, row.outputs, row.constant, row.strict, row.line) == ({}, {0: -1, 1: 1}, 0, False, UNIT_LINES + 2)
    assert Fraction(float(first.upper[0])) >= Fraction("0.1") > Fraction(float(np.nextafter(first.upper[0], 0)))
    assert second.upper == [1] and second.box.base is first.box.base
    assert prop.sha256 == hashlib.sha256((tmp_path / "query.vnnlib").read_bytes()).hexdigest()


def test_arms_without_bounds_share_one_box(parse: Any) -> None:
    prop = parse(UNIT + "(assert (or (<= Y_0 0) (<= Y_1 0)))")
    assert prop.disjuncts[0].box is prop.disjuncts[1].box and prop.disjuncts[0].lower is prop.disjuncts[1].lower


def test_bounds_are_intersected_in_any_order(parse: Any) -> None:
    comparisons = ["<= X_0 3", "<= X_0 2", "<= X_0 2.0000000000000000000001", "<= X_0 1.9999999999999999999999", "<= 0 X_0",
                   ">= X_0 1", ">= X_0 1.0000000000000000000001"]
    bounds = [f"(assert ({comparison}))" for comparison in comparisons]
    for seed in range(10):
        random.Random(seed).shuffle(bounds)
        prop = parse(declarations(1, 1) + "".join(bounds) + "(assert (<= Y_0 0))")
        low, high = prop.disjuncts[0].box.exact(0)
        assert (low, high) == (Fraction("1.0000000000000000000001"), Fraction("1.9999999999999999999999"))


def test_strict_bounds_stay_exact(parse: Any) -> None:
    prop = parse(UNIT + "(assert (< X_0 0.5))(assert (<= Y_0 0))")
    (disjunct,) = prop.disjuncts
    assert disjunct.upper == [0.5] and any(row.strict and row.inputs == {0: 1} for row in disjunct.rows)
    assert parse(UNIT + "(assert (< X_0 0.5))(assert (>= X_0 0.5))").disjuncts[0].empty


def test_vacuous_queries_are_represented_and_flagged(parse: Any) -> None:
    empty = parse(UNIT + "(assert (>= X_0 2))(assert (<= Y_0 0))")
    assert empty.disjuncts[0].empty and "exceeds" in empty.warnings[0]
    nothing = parse(UNIT)
    assert nothing.disjuncts[0].rows == () and "nothing of the outputs" in nothing.warnings[0]
    false = parse(UNIT + "(assert (or))")
    assert false.disjuncts == () and len(false.warnings) == 2
    true = parse(UNIT + "(assert (or (and) (<= Y_0 0)))")
    assert len(true.disjuncts) == 2 and true.disjuncts[0].rows == () and "true" in true.warnings[0]
    constant = parse(UNIT + "(assert (or (<= 1 0) (<= 0.0 1.0)))")
    assert [d.empty for d in constant.disjuncts] == [True, False] and "false" in constant.warnings[0]


def test_reads_gzip_and_the_name_without_gz(tmp_path: Path) -> None:
    (tmp_path / "q.vnnlib.gz").write_bytes(gzip.compress((UNIT + "(assert (<= Y_0 0))").encode()))
    assert vnnlib1.read(tmp_path / "q.vnnlib").disjuncts[0].rows == vnnlib1.read(str(tmp_path / "q.vnnlib.gz")).disjuncts[0].rows


END = UNIT_LINES + 1
ERRORS = {  # text, code, line, column, words of the message
    "unclosed": (UNIT + "(assert (<= Y_0 0)", "V203", END, 19, "ends inside"),
    "one too many": (UNIT + "(assert (<= Y_0 0)))", "V203", END, 20, "found )"),
    "bare word": (UNIT + "assert", "V203", END, 1, "found assert"),
    "two formulas": (UNIT + "(assert (<= Y_0 0) (<= Y_1 0))", "V203", END, 20, "found ("),
    "no formula": (UNIT + "(assert)", "V203", END, 8, "without a formula"),
    "atom as formula": (UNIT + "(assert true)", "V203", END, 9, "found true"),
    "one operand": (UNIT + "(assert (<= Y_0))", "V203", END, 9, "two operands, found 1"),
    "three operands": (UNIT + "(assert (<= Y_0 0 1))", "V203", END, 9, "found 3"),
    "empty pair": (UNIT + "(assert (<= ((+ Y_0 1))))", "V203", END, 13, "two operands"),
    "operator without operands": (UNIT + "(assert (<= Y_0 (+)))", "V203", END, 18, "without operands"),
    "odd token": (UNIT + "(assert\n  (<= Y_0 0,5))", "V203", END + 1, 11, "0,5"),
    "unknown statement": (UNIT + "(check-sat)", "V211", END, 2, "check-sat"),
    "not": (UNIT + "(assert (not (<= Y_0 0)))", "V211", END, 10, "not"),
    "implication": (UNIT + "(assert (=> (<= Y_0 0) (<= Y_1 0)))", "V211", END, 10, "=>"),
    "division": (UNIT + "(assert (<= (/ Y_0 2) 0))", "V211", END, 14, "/"),
    "product": (UNIT + "(assert (<= 0 (* (+ X_0 1) Y_1)))", "V211", END, 16, "X_0 and Y_1"),
    "undeclared output": (UNIT + "(assert (<= Y_2 0))", "V207", END, 13, "Y_2"),
    "undeclared input in a run": (UNIT + "(assert (<= X_0 0))\n(assert (<= X_1 0))", "V207", END + 1, 13, "X_1"),
    "undeclared input in an arm": (UNIT + "(assert (or (and (<= X_0 0)\n (<= X_9 0))))", "V207", END + 1, 6, "X_9"),
    "unknown name": (UNIT + "(assert (<= input 0))", "V207", END, 13, "input"),
    "index of version 2": (UNIT + "(assert (<= Y[0] 0))", "V207", END, 13, "Y[0]"),
    "twice": (UNIT + "(declare-const X_0 Real)", "V206", END, 16, "X_0"),
    "twice in a run": ("(declare-const X_0 Real)\n(declare-const X_0 Real)\n", "V206", 2, 16, "X_0"),
    "type": ("(declare-const X_0 Int)", "V206", 1, 20, "Int"),
    "name": ("(declare-const Z_0 Real)", "V206", 1, 16, "Z_0"),
    "leading zero": ("(declare-const X_00 Real)", "V206", 1, 16, "X_00"),
    "declaration too long": ("(declare-const X_0 Real 3)", "V203", 1, 25, "found 3"),
    "gap": ("(declare-const X_0 Real)(declare-const X_2 Real)(declare-const Y_0 Real)", "V208", None, None, "2 inputs are declared"),
    "no outputs": ("(declare-const X_0 Real)", "V208", None, None, "no outputs"),
    "no inputs": ("(declare-const Y_0 Real)", "V208", None, None, "no inputs"),
    "no upper bound": (declarations(2, 1) + box(("0", "1")) + "(assert (>= X_1 0))", "V212", None, None, "X_1 has no upper bound"),
    "no lower bound in an arm": (declarations(1, 1) + "(assert (<= X_0 1))(assert (or (>= X_0 0)\n(<= Y_0 1)))",
                                 "V212", 4, None, "X_0 has no lower bound"),
    "nan": (UNIT + "(assert (<= Y_0 nan))", "V209", END, 17, "nan"),
    "inf": (UNIT + "(assert (<= X_0 -Infinity))", "V209", END, 17, "-Infinity"),
    "too large": (UNIT + "(assert (<= X_0 1))\n(assert (<= X_0 1e400))", "V209", END + 1, 17, "1e400"),
    "too large output": (UNIT + "(assert (<= Y_0 1e400))", "V209", END, 17, "1e400"),
    "just too large": (UNIT + "(assert (<= X_0 1.79769313486231571e308))", "V209", END, 17, "float64"),
    "hex": (UNIT + "(assert (<= Y_0 0x1p-3))", "V209", END, 17, "0x1p-3"),
    "huge exponent": (UNIT + "(assert (<= Y_0 1e-99999999999))", "V209", END, 17, "exponent"),
    "too long": (UNIT + f"(assert (<= Y_0 0.{'1' * 3000}))", "V209", END, 17, "characters"),
    "overflow of arithmetic": (UNIT + "(assert (<= (* 1e300 Y_0 1e300) 0))", "V209", END, 14, "float64"),
    "overflow of a bound": (UNIT + "(assert (<= (* 1e-300 X_0) 1e300))", "V209", END, 9, "float64"),
    "inexact": (UNIT + "(assert (<= (* 0.12345678901234567 Y_0) (* 0.76543210987654321 Y_1)))", "V211", END, 9, "exact float64"),
    "version 2": ("; 2\n(vnnlib-version <2.0>)", "V205", 2, 2, "VNN-LIB 2"),
    "network": ("(declare-network N (declare-input X float32 [1]))", "V205", 1, 2, "declare-network"),
    "empty": ("", "V202", None, None, "empty"),
    "only comments": ("; nothing\n\n  ; here", "V202", None, None, "empty"),
    "binary": (b"\x00\x01\xff(assert", "V203", 1, 1, "expected a statement"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str, parse: Any, tmp_path: Path) -> None:
    text, code, line, column, words = ERRORS[name]
    with pytest.raises(PropertyError) as caught:
        parse(text)
    error = caught.value
    assert error.code == code and words in error.message, error.render()
    assert error.location is not None and error.location.file == str(tmp_path / "query.vnnlib")
    assert (error.location.line, error.location.column) == (line, column), error.render()
    assert "\n" not in error.message and len(error.message) < 400


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.vnnlib", tmp_path, tmp_path / "none" / "q.vnnlib", "a\0b", ""):
        with pytest.raises(PropertyError) as caught:
            vnnlib1.read(path)
        assert caught.value.code == "V201"


def test_normal_form_has_a_cap(parse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dnf.MOST_DISJUNCTS == 100_000
    monkeypatch.setattr(dnf, "MOST_DISJUNCTS", 1000)
    pair = "(or (<= Y_0 0) (<= Y_1 0))"
    for text in (f"(assert (or (<= Y_0 9) (and {pair * 40})))", f"(assert {pair})\n" * 40):
        with pytest.raises(PropertyError) as caught:
            parse(UNIT + text)
        assert caught.value.code == "V213" and "1000 disjuncts" in caught.value.message


def test_depth_is_not_limited(parse: Any) -> None:
    depth = 3_000
    prop = parse(UNIT + "(assert " + "(and (<= Y_1 5) " * depth + "(<= Y_0 0)" + ")" * depth + ")")
    assert len(prop.disjuncts[0].rows) == depth + 1
    assert len(parse(UNIT + "(assert " + "(or (<= Y_1 5) " * depth + "(<= Y_0 0)" + ")" * depth + ")").disjuncts) == depth + 1
    prop = parse(UNIT + "(assert (<= " + "(+ 1 " * depth + "Y_0" + ")" * depth + " 0))")
    assert prop.disjuncts[0].rows[0].constant == depth


@pytest.mark.parametrize("size", [2, 3, 7, 64])
def test_pieces_of_any_size_read_the_same(size: int, monkeypatch: pytest.MonkeyPatch, parse: Any) -> None:
    statements = "".join(DIALECTS[name][0] + "\n" for name in ("one operand", "CRLF", "comments", "two ors"))
    text = (";\u00e9 first\r\n" + UNIT + "\r\n" + statements).encode()
    whole = parse(text)
    monkeypatch.setattr("verifier.property.tokens.CHUNK", size)
    for data in (text, gzip.compress(text), gzip.compress(text[:99]) + gzip.compress(text[99:]) + b"\0\0"):
        pieces = parse(data)
        assert [(d.line, d.rows, d.box.exact(0)) for d in pieces.disjuncts] == [(d.line, d.rows, d.box.exact(0)) for d in whole.disjuncts]
        assert pieces.warnings == whole.warnings


SEEDS = [UNIT + DIALECTS[name][0] for name in ("one operand", "two ors", "X and Y", "comments", "unequal", "output or", "exponents")]
SCRAPS = ["(", ")", ";", "\n", " ", "and", "or", "assert", "X_0", "Y_1", "X_", "1e", "-", "<=", "=", "1e400", "0x1", "\0", "\r", "\u00e9",
          "*", "(* X_0 X_0)", "nan", "(or)", "(and)", "9" * 50, "declare-const", "Real"]


@pytest.mark.parametrize("seed", range(4))
def test_mutated_texts_give_typed_errors_only(seed: int, parse: Any) -> None:
    rng = random.Random(seed)
    accepted = 0
    for _ in range(800):
        text = rng.choice(SEEDS)
        for _ in range(rng.randint(1, 4)):
            i, j = sorted(rng.randrange(len(text) + 1) for _ in range(2))
            j = min(j, i + rng.choice([0, 1, 3, 20]))
            text = text[:i] + rng.choice(["", rng.choice(SCRAPS), text[i:j] * 2]) + text[j:]
        data = text.encode()
        if rng.random() < 0.2:
            data = gzip.compress(data)
            k = rng.randrange(len(data))
            data = data[:k] + bytes([rng.randrange(256)]) + data[k + rng.choice([0, 1, 9]):]
        try:
            prop = parse(data)
        except PropertyError as error:
            assert re.fullmatch("V2[0-9][0-9]", error.code) and error.location is not None
            continue
        accepted += 1
        prop.holds(np.zeros(prop.inputs), np.zeros(prop.outputs))
        if not data.startswith(b"\x1f\x8b") and b"\r" not in data and b"((" not in data:
            x, y = (np.array([rng.choice([0, 0.5, 1, 9]) for _ in range(k)], dtype=float) for k in (prop.inputs, prop.outputs))
            assert (prop.holds(x, y) is not None) == satisfied(data.decode(), x, y), (seed, text)
    assert accepted > 30


def generated(inputs: int, outputs: int, seed: int) -> str:
    """A classification query over `inputs` pixels, as the largest image benchmarks have it."""
    rng = random.Random(seed)
    lows = [rng.random() for _ in range(inputs)]
    arms = "\n".join(f"  (and (>= Y_{j} Y_0))" for j in range(1, outputs))
    return declarations(inputs, outputs) + box(*((repr(low), repr(low + 0.01)) for low in lows)) + f"(assert (or\n{arms}\n))\n"


def test_large_query(parse: Any) -> None:
    text = generated(5000, 50, seed=3)
    prop = parse(text)
    assert (prop.inputs, prop.outputs, len(prop.disjuncts)) == (5000, 50, 49)
    lower = re.findall(r">= X_\d+ ([^)]+)\)", text)
    assert len(lower) == 5000
    for bound, text in zip(prop.disjuncts[0].lower[::50], lower[::50]):
        assert Fraction(float(bound)) <= Fraction(text) < Fraction(float(np.nextafter(bound, 2)))


def test_import_is_cheap() -> None:
    heavy = "torch", "onnx", "onnxruntime", "scipy", "array_api_compat", "click"
    code = f"import sys, verifier.property.vnnlib1; print(*(m for m in {heavy} if m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_reads_the_benchmarks() -> None:
    if not BENCHMARKS.is_dir():
        pytest.skip("needs ../shared/benchmarks")
    read = 0
    for folder in sorted(BENCHMARKS.iterdir()):
        files = sorted((folder / "vnnlib").rglob("*.vnnlib*"), key=lambda path: path.stat().st_size)
        for path in files[:: max(1, len(files) // 3)]:
            if path.stat().st_size > 60_000:
                continue
            if folder.name.startswith("vnnlib2"):
                with pytest.raises(PropertyError) as caught:
                    vnnlib1.read(path)
                assert caught.value.code == "V205"
                continue
            prop = vnnlib1.read(path)
            assert prop.disjuncts and not prop.warnings and all(d.rows for d in prop.disjuncts), path
            read += 1
    assert read > 40
