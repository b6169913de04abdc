"""Reader of VNN-LIB 2: dialects, an independent evaluation of random queries, another parser, errors with their places."""

from __future__ import annotations

import gzip
import random
import re
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from verifier.errors import PropertyError
from verifier.property import vnnlib2
from verifier.property.disjuncts import Property

HEAD = "(vnnlib-version <2.0>)\n"
ONE = HEAD + "(declare-network f (declare-input X float32 [2]) (declare-output Y float32 [2]))\n"
BOX = "(assert (and (>= X[0] 0.0) (<= X[0] 1.0)))\n(assert (and (>= X[1] 0.0) (<= X[1] 1.0)))\n"
TWO = (HEAD + "(declare-network f (declare-input X float32 [2]) (declare-output Y float32 [1,2]))\n"
       "(declare-network g (equal-to f) (declare-input U float32 [2]) (declare-output V float32 [1,2]))\n")


@pytest.fixture
def parse(tmp_path: Path) -> Any:
    def read(text: str | bytes) -> Property:
        path = tmp_path / "query.vnnlib"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return vnnlib2.read(path)

    return read


# Independent evaluation: nested lists, then straight recursion over rationals.


def nested(text: str) -> list[Any]:
    stack: list[list[Any]] = [[]]
    text = re.sub(r"\s*,\s*", ",", re.sub(r";[^\n]*", "", text))
    for token in re.findall(r"[()]|[^\s()]+", text):
        if token == "(":
            stack.append([])
        elif token == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(token)
    return stack[0]


def value(term: Any, values: dict[str, np.ndarray]) -> Fraction:
    if isinstance(term, str):
        name, _, index = term.partition("[")
        if name not in values:
            return Fraction(term)
        place = tuple(int(i) for i in index[:-1].split(",")) if index else ()
        return Fraction(float(values[name][place]))
    head, *parts = term
    numbers = [value(p, values) for p in parts]
    if head == "+":
        return sum(numbers, Fraction(0))
    if head == "-":
        return -numbers[0] if len(numbers) == 1 else numbers[0] - sum(numbers[1:])
    result = Fraction(1)
    for n in numbers:
        result *= n
    return result


def truth(formula: Any, values: dict[str, np.ndarray]) -> bool:
    head, *parts = formula
    if head in ("and", "or"):
        return (all if head == "and" else any)(truth(p, values) for p in parts)
    a, b = (value(p, values) for p in parts)
    return {"<=": a <= b, ">=": a >= b, "<": a < b, ">": a > b, "==": a == b, "!=": a != b}[head]


def expected(text: str, values: dict[str, np.ndarray]) -> bool:
    return all(truth(s[1], values) for s in nested(text) if s[0] == "assert")


def declared(prop: Property, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    assert prop.declarations is not None
    return {v.name: prop.declarations.values(v, x, y).reshape(v.shape) for v in prop.declarations.variables}


# Dialects


def test_declarations(parse: Any) -> None:
    text = HEAD + """
    (declare-network f
        (declare-input  A float32 [2, 3])  ; a matrix
        (declare-input  B float32 [])
        (declare-hidden H float32 [4] "/layer (1)/Relu; output")
        (declare-output Y float32 [1,2]))
    (declare-network g (isomorphic-to f)
        (declare-input C float64 [2,3]) (declare-input D float64 []) (declare-output Z float64 [1,2]))
    """
    inputs = ["B", "D", *(f"{m}[{i},{j}]" for m in "AC" for i in (0, 1) for j in (0, 1, 2))]
    prop = parse(text + "".join(f"(assert (and (>= {n} -1) (<= {n} 1)))" for n in inputs))
    f, g = prop.declarations.networks
    assert (prop.inputs, prop.outputs, prop.version) == (14, 8, "2.0")
    assert [(v.name, v.kind, v.shape, v.offset) for v in prop.declarations.variables] == [
        ("A", "input", (2, 3), 0), ("B", "input", (), 6), ("H", "hidden", (4,), 0), ("Y", "output", (1, 2), 4),
        ("C", "input", (2, 3), 7), ("D", "input", (), 13), ("Z", "output", (1, 2), 6)]
    assert f.of("hidden")[0].tensor == "/layer (1)/Relu; output"
    assert g.isomorphic_to == "f" and not f.isomorphic_to and prop.declarations.needed == ("f", "g")
    assert prop.declarations.inputs(g).tolist() == list(range(7, 14))


@pytest.mark.parametrize("version", ["<2.0>", "2.0", " <2.1> ", "< 2.7 >"])
def test_versions(parse: Any, version: str) -> None:
    prop = parse(ONE.replace("<2.0>", version) + BOX)
    assert prop.version == re.sub("[^0-9.]", "", version)
    assert any("angle brackets" in w for w in prop.warnings) == ("<" not in version)


@pytest.mark.parametrize("change", [
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text.replace(" ", "\n\n  ; a comment (assert (<= X[0] -5.0))\n "),
    lambda text: "\ufeff; UTF-8 \u00e9\n" + text,
    lambda text: text.replace(") (", ")("),
    lambda text: text.replace("[0]", " [ 0 ]"),
    lambda text: gzip.compress(text.encode()),
])
def test_the_same_in_other_forms(parse: Any, change: Any) -> None:
    text = ONE + BOX + "(assert (or (and (< Y[0] Y[1]) (!= Y[1] 2.5)) (>= (- Y[1] (* 2.0 X[0])) 7)))"
    first, second = parse(text), parse(change(text))
    for x, y in product(((0.0, 0.5), (1.0, 1.0)), ((0.0, 1.0), (3.0, 2.5), (0.0, 9.5))):
        assert first.holds(np.array(x), np.array(y)) == second.holds(np.array(x), np.array(y))


def test_real_everywhere(parse: Any) -> None:
    prop = parse((ONE + BOX).replace("float32", "real"))
    assert {v.dtype for v in prop.declarations.variables} == {"real"}
    assert any("Real is read as real" in w for w in parse((ONE + BOX).replace("float32", "Real")).warnings)


def test_a_comparison_in_infix_form_is_read_with_a_warning(parse: Any) -> None:
    prop = parse(ONE + BOX + "(assert (Y[0] < Y[1]))")
    assert prop.holds(np.zeros(2), np.array([0.0, 1.0])) == 0 and prop.holds(np.zeros(2), np.array([1.0, 1.0])) is None
    assert any("malformed comparison" in w for w in prop.warnings)


def bounds(prop: Property, disjunct: int = 0) -> list[tuple[Fraction, Fraction]]:
    return [prop.disjuncts[disjunct].box.exact(i) for i in range(prop.inputs)]


@pytest.mark.parametrize("index", [",", ", "])
@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("shape", [(7,), (2, 3), (1, 3, 2, 2)])
def test_runs_of_bounds_are_what_single_tokens_are(
    parse: Any, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], pairs: bool, index: str
) -> None:
    rng = random.Random(0)
    declarations = f"(declare-input W float32 [2]) (declare-input X float32 {list(shape)}) (declare-output Y float32 [1])"
    text = HEAD + f"(declare-network f {declarations})\n"
    text += "(assert (and (<= W[0] 1.0) (>= W[0] 0.0)))(assert (and (<= W[1] 1.0) (>= W[1] 0.0)))"
    places = [index.join(map(str, p)) for p in product(*map(range, shape))] * 2
    rng.shuffle(places)
    for place in places:
        low, high = f"(>= X[{place}] -{rng.random():.6f})", f"(<= X[{place}] {rng.random():.6f})"
        text += f"(assert (and {low} {high}))\n" if pairs else f"(assert {low}) ; a comment\n(assert {high})\n"
    fast = parse(text)
    monkeypatch.setattr(vnnlib2._Reader, "_runs_ahead", lambda self: None)
    assert bounds(fast) == bounds(parse(text))


def test_runs_cross_the_ends_of_chunks(parse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = ONE + BOX * 40 + "(assert (or " + " ".join(f"(and (<= X[0] 0.{i + 1}) (>= Y[0] Y[1]))" for i in range(9)) + "))"
    whole = parse(text)
    monkeypatch.setattr("verifier.property.tokens.CHUNK", 61)
    parts = parse(text)
    assert len(whole.disjuncts) == len(parts.disjuncts) == 9
    assert all(bounds(whole, i) == bounds(parts, i) for i in range(9))


# Ties and bounds that follow


def test_equal_inputs_share_one_element(parse: Any) -> None:
    prop = parse(TWO + BOX + "(assert (== U[0] X[0]))(assert (and (<= U[1] X[1]) (>= U[1] X[1])))(assert (< Y[0,0] V[0,0]))")
    assert prop.inputs == 2 and prop.declarations.sources.tolist() == [0, 1, 0, 1]
    assert [len(d.rows) for d in prop.disjuncts] == [1]


def test_bounds_of_equal_inputs_are_intersected(parse: Any) -> None:
    prop = parse(TWO + BOX + "(assert (== U[0] X[0]))(assert (<= U[0] 0.5))(assert (== X[0] U[1]))(assert (>= U[1] 0.25))")
    assert prop.declarations.sources.tolist() == [0, 1, 0, 0]
    assert bounds(prop)[0] == (Fraction(1, 4), Fraction(1, 2))


def test_equality_within_an_or_ties_nothing(parse: Any) -> None:
    prop = parse(TWO + BOX + BOX.replace("X", "U") + "(assert (or (== U[0] X[0]) (== U[1] X[1])))")
    assert prop.inputs == 4 and len(prop.disjuncts) == 2


def test_a_bound_that_follows_from_another(parse: Any) -> None:
    prop = parse(TWO.replace("float32", "real") + BOX + "(assert (and (<= X[0] U[0]) (<= U[0] 3.0)))(assert (== U[1] X[1]))")
    assert bounds(prop)[2] == (Fraction(0), Fraction(3))
    assert any(row.inputs for row in prop.disjuncts[0].rows)


def test_free_inputs(parse: Any) -> None:
    largest = Fraction(float(np.finfo(np.float32).max))
    prop = parse(ONE + "(assert (<= X[0] 1.0))")
    assert bounds(prop, 0) == [(Fraction(-999), Fraction(1)), (Fraction(-1000), Fraction(1000))]
    assert bounds(prop, 1) == [(-largest, Fraction(1)), (-largest, largest)]
    assert any("X[0], X[1]" in w for w in prop.warnings)
    with pytest.raises(PropertyError, match=r"X\[0\] has no lower bound"):
        parse(ONE.replace("float32", "real") + "(assert (<= X[0] 1.0))")


# Random queries


def random_term(rng: random.Random, names: list[str], depth: int = 2) -> str:
    choice = rng.random()
    if depth == 0 or choice < 0.3:
        return rng.choice(names) if rng.random() < 0.7 else rng.choice(["0.5", "-1", "2", "0.25", "-0.75"])
    if choice < 0.5:
        factor = rng.choice(["2", "-0.5", "0"]) if rng.random() < 0.6 else random_term(rng, names, depth - 1)
        return f"(* {factor} {random_term(rng, names, depth - 1)})"
    parts = " ".join(random_term(rng, names, depth - 1) for _ in range(rng.randint(1, 3)))
    return f"({rng.choice('+-')} {parts})"


def random_formula(rng: random.Random, names: list[str], depth: int = 3) -> str:
    if depth == 0 or rng.random() < 0.3:
        operator = rng.choice(["<=", ">=", "<", ">", "==", "!="])
        return f"({operator} {random_term(rng, names)} {random_term(rng, names)})"
    parts = " ".join(random_formula(rng, names, depth - 1) for _ in range(rng.randint(1, 3)))
    return f"({rng.choice(['and', 'or'])} {parts})"


def random_query(rng: random.Random) -> str:
    inputs, outputs = ["X[0]", "X[1]", "U[0]", "U[1]"], ["Y[0,0]", "Y[0,1]", "V[0,0]", "V[0,1]"]
    text = TWO + "".join(f"(assert (>= {n} -1)) (assert (<= {n} 1))\n" for n in inputs)
    for a, b in (("X[0]", "U[0]"), ("U[1]", "X[1]"), ("X[0]", "X[1]")):
        if rng.random() < 0.3:
            text += f"(assert (== {a} {b}))\n"
    return text + "".join(f"(assert {random_formula(rng, inputs + outputs)})\n" for _ in range(rng.randint(1, 2)))


@pytest.mark.parametrize("seed", range(60))
def test_random_queries_have_their_meaning(parse: Any, seed: int) -> None:
    rng = random.Random(seed)
    text = random_query(rng)
    prop = parse(text)
    grid = [-1.0, -0.5, 0.0, 0.25, 0.5, 1.0]
    for _ in range(40):
        x = np.array([rng.choice(grid) for _ in range(prop.inputs)])
        y = np.array([rng.choice(grid) for _ in range(prop.outputs)])
        assert (prop.holds(x, y) is not None) == expected(text, declared(prop, x, y)), text


@pytest.mark.parametrize("seed", range(10))
def test_points_that_break_a_tie_are_no_counterexamples(seed: int) -> None:
    rng = random.Random(seed)
    values = {n: np.array([rng.random(), rng.random()]) for n in ("X", "U")}
    assert not expected(TWO + "(assert (== X[0] U[0]))", values)


# Another parser: the package `vnnlib` (of the standard's authors)
#
# Where its version 1.0.2 differs, and the queries here are made so that it does not matter: it refuses integers that are compared with
# floats, exponents and isomorphic networks of other types; it accepts unknown element types, negative indices and two relations at once.


def of_package(vnnlib: Any, e: Any, values: dict[str, np.ndarray]) -> Any:
    if isinstance(e, vnnlib.Var):
        return Fraction(float(values[e.name][tuple(e.indices)]))
    if isinstance(e, vnnlib.Literal):
        return Fraction(e.lexeme)
    if isinstance(e, vnnlib.And | vnnlib.Or):
        return (all if isinstance(e, vnnlib.And) else any)(of_package(vnnlib, a, values) for a in e.args)
    if isinstance(e, vnnlib.Comparison):
        a, b = of_package(vnnlib, e.lhs, values), of_package(vnnlib, e.rhs, values)
        return {"LessEqual": a <= b, "GreaterEqual": a >= b, "LessThan": a < b, "GreaterThan": a > b, "Equal": a == b, "NotEqual": a != b}[
            type(e).__name__]
    if isinstance(e, vnnlib.Negate):
        return -of_package(vnnlib, e.expr, values)
    parts = [of_package(vnnlib, a, values) for a in (e.args if not isinstance(e, vnnlib.Minus) else (e.head, *e.rest))]
    result = parts[0]
    for part in parts[1:]:
        result = {"Plus": result + part, "Minus": result - part, "Multiply": result * part}[type(e).__name__]
    return result


def decimal_points(text: str) -> str:
    """That package wants a decimal point in numbers that are compared with floats."""
    return re.sub(r"(?<![\w.\[,])(-?\d+)(?![\w.\],])", r"\1.0", text.removeprefix(HEAD))


@pytest.mark.parametrize("seed", range(40))
def test_another_parser_agrees(parse: Any, seed: int) -> None:
    vnnlib = pytest.importorskip("vnnlib", reason="the package vnnlib is not installed (no wheel for this platform)")
    if not hasattr(vnnlib, "parse_query_string"):
        pytest.skip("another package called vnnlib is installed")
    rng = random.Random(1000 + seed)
    text = HEAD + decimal_points(random_query(rng))
    theirs, prop = vnnlib.parse_query_string(text), parse(text)
    assert [n.name for n in theirs.networks] == [n.name for n in prop.declarations.networks]
    assert [(d.name, tuple(d.shape)) for n in theirs.networks for d in (*n.inputs, *n.outputs)] == [
        (v.name, v.shape) for v in prop.declarations.variables]
    for _ in range(30):
        x, y = (np.array([rng.choice([-1.0, -0.5, 0.0, 0.25, 1.0]) for _ in range(n)]) for n in (prop.inputs, prop.outputs))
        values = declared(prop, x, y)
        assert (prop.holds(x, y) is not None) == all(of_package(vnnlib, a.expr, values) for a in theirs.assertions), text


def test_products_of_tied_inputs_are_powers(parse: Any) -> None:
    prop = parse(ONE + BOX + "(assert (== X[0] X[1]))(assert (< (* X[0] Y[1] X[1]) (* 2.0 Y[0] Y[0])))")
    assert prop.monomials == ((("X", 0), ("X", 0), ("Y", 1)), (("Y", 0), ("Y", 0)))
    assert prop.disjuncts[0].rows[0].outputs == {2: 1, 3: -2}


def test_products_are_compared_without_rounding(parse: Any) -> None:
    """(1 + u) (1 - u) = 1 - u^2 rounds to 1 in float64."""
    prop, u = parse(ONE + BOX + "(assert (>= (* Y[0] Y[1]) 1.0))"), 2.0**-40
    assert prop.holds(np.zeros(2), np.array([1.0 + u, 1.0 - u])) is None
    assert prop.holds(np.zeros(2), np.array([1.0 + u, 1.0])) == 0


# Errors


def net(inner: str) -> str:
    return HEAD + f"(declare-network f {inner})"


INPUT, OUTPUT = "(declare-input X float32 [2])", "(declare-output Y float32 [2])"

EQUAL = ONE + "(declare-network g (equal-to f) (declare-input A T [2]) (declare-output B T N))"

SUM = f"(+ {' '.join(f'X[{i}]' for i in range(300))})"

REFUSED: list[tuple[str, str, str, tuple[int, int] | None, str]] = [
    ("empty", "", "V202", (1, 1), "empty"),
    ("no version", ONE.removeprefix(HEAD), "V205", (1, 2), "vnnlib-version"),
    ("version 3", ONE.replace("2.0", "3.0"), "V205", (1, 17), "VNN-LIB 3"),
    ("version", ONE.replace("2.0", "two"), "V203", (1, 17), "version"),
    ("two versions", HEAD + ONE, "V203", (2, 2), "twice"),
    ("no network", HEAD + "(assert (<= X[0] 1.0))", "V206", (2, 2), "no network"),
    ("late network", ONE + BOX + "(declare-network g)", "V206", (5, 2), "before the first"),
    ("unknown statement", ONE + "(declare-const X Real)", "V211", (3, 2), "declare-const"),
    ("one bracket too many", ONE + BOX + ")", "V203", (5, 1), "found )"),
    ("text ends", ONE + "(assert (<= X[0] 1.0)", "V203", None, "ends"),
    ("name of a network", ONE.replace("network f", "network f-copy"), "V203", (2, 18), "f-copy"),
    ("name twice", net(INPUT + "(declare-output X float32 [2])"), "V206", (2, 65), "twice"),
    ("no output", net(INPUT), "V206", (2, 18), "no output"),
    ("no input", net(OUTPUT), "V206", (2, 18), "no input"),
    ("order", net(OUTPUT + INPUT), "V206", (2, 51), "before"),
    ("type", net(INPUT.replace("float32", "float31") + OUTPUT), "V206", (2, 37), "float31"),
    ("complex type", net(INPUT.replace("float32", "complex64") + OUTPUT), "V211", (2, 37), "complex64"),
    ("shape", net(INPUT.replace("[2]", "[1 4]") + OUTPUT), "V203", (2, 45), "shape"),
    ("dynamic shape", net(INPUT.replace("[2]", "[-1,4]") + OUTPUT), "V203", (2, 45), "shape"),
    ("zero", net(INPUT.replace("[2]", "[0]") + OUTPUT), "V206", (2, 45), "zero"),
    ("huge", net(INPUT.replace("[2]", "[99999,99999]") + OUTPUT), "V211", (2, 45), "elements"),
    ("initialized", net(INPUT.replace("]", "] initialized") + OUTPUT), "V211", (2, 49), "initialized"),
    ("hidden without name", net(INPUT + "(declare-hidden H float32 [2])" + OUTPUT), "V203", (2, 78), "double quotes"),
    ("some real", net(INPUT + OUTPUT.replace("float32", "real")), "V206", (2, 18), "real"),
    ("equal to nothing", ONE + "(declare-network g (equal-to h) " + INPUT + ")", "V207", (3, 30), "network h"),
    ("chain", TWO + "(declare-network h (equal-to g) (declare-input A float32 [2]))", "V206", (4, 30), "related"),
    ("relation late", ONE + "(declare-network g (declare-input A float32 [2]) (equal-to f))", "V206", (3, 51), "before the variables"),
    ("two relations", ONE + "(declare-network g (equal-to f) (isomorphic-to f))", "V206", (3, 34), "comes once"),
    ("equal shapes", EQUAL.replace("T", "float32").replace("N", "[3]"), "V206", (3, 18), "differ"),
    ("equal types", EQUAL.replace("T", "float64").replace("N", "[2]"), "V206", (3, 18), "types"),
    ("not declared", ONE + "(assert (<= Z[0] 1.0))", "V207", (3, 13), "Z is not declared"),
    ("a network", ONE + "(assert (<= f[0] 1.0))", "V207", (3, 13), "is a network"),
    ("index", ONE + "(assert (<= X[2] 1.0))", "V208", (3, 13), "out of range"),
    ("negative index", ONE + "(assert (<= X[-1] 1.0))", "V208", (3, 13), "natural number"),
    ("output index", ONE + "(assert (<= Y[2] 1.0))", "V208", (3, 13), "out of range"),
    ("rank", ONE + "(assert (<= X[0,1] 1.0))", "V208", (3, 13), "2 indices instead of 1"),
    ("no index", ONE + "(assert (<= X 1.0))", "V208", (3, 13), "has no index"),
    ("bracket", ONE + "(assert (<= X[0 (+ 1.0)))", "V203", (3, 13), "not closed"),
    ("number", ONE + "(assert (<= X[0] 1e400))", "V209", (3, 18), "float64"),
    ("not finite", ONE + "(assert (<= X[0] inf))", "V209", (3, 18), "inf"),
    ("operator =", ONE + "(assert (= X[0] 1.0))", "V203", (3, 10), "=="),
    ("not", ONE + "(assert (not (<= X[0] 1.0)))", "V211", (3, 10), "not"),
    ("division", ONE + "(assert (<= (/ X[0] 2.0) 1.0))", "V211", (3, 14), "/"),
    ("high degree", ONE + f"(assert (<= (* {'X[0] ' * 17}) 1.0))", "V211", (3, 14), "more than 16 variables"),
    ("many products", ONE.replace("[2]", "[300]") + f"(assert (<= (* {SUM} {SUM}) 1.0))", "V211", (3, 14), "more than 65536 products"),
    ("three operands", ONE + "(assert (<= X[0] X[1] 1.0))", "V203", (3, 9), "two operands"),
    ("pair", ONE + "(assert (<= (X[0] 1.0)))", "V211", (3, 14), "one of + - *"),
    ("types in a comparison", ONE.replace("Y float32", "Y float64") + "(assert (<= X[0] Y[0]))", "V214", (3, 18), "float64"),
    ("missing bound", ONE.replace("float32", "float64") + "(assert (<= X[0] 1.0))", "V212", None, "X[0] has no lower bound"),
]


@pytest.mark.parametrize(("text", "code", "place", "words"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_refused(parse: Any, text: str, code: str, place: tuple[int, int] | None, words: str) -> None:
    with pytest.raises(PropertyError) as caught:
        parse(text)
    error = caught.value
    assert error.code == code and error.location is not None
    assert words in error.message + (error.hint or "")
    if place is not None:
        assert (error.location.line, error.location.column) == place


@pytest.mark.parametrize("seed", range(30))
def test_mutated_texts_are_read_or_refused(parse: Any, seed: int) -> None:
    rng = random.Random(seed)
    text = bytearray((random_query(rng) + '(assert (or (<= V[0,0] 1.5e-3)))').encode())
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(text))
        text[place : place + rng.randint(0, 3)] = bytes(rng.choice(b'()[]<>=,; "XY01.-\x00\xff\n') for _ in range(rng.randint(0, 3)))
    try:
        parse(bytes(text))
    except PropertyError as error:
        assert error.code.startswith("V2")


def test_deep_nests(parse: Any) -> None:
    depth = 20_000
    formula = "(and " * depth + "(or " * depth + "(<= " + "(+ " * depth + "Y[0]" + ")" * depth + " 1.0)" + ")" * (2 * depth)
    assert parse(ONE + BOX + f"(assert {formula})").holds(np.zeros(2), np.array([1.0, 0.0])) == 0


# Benchmarks


@pytest.mark.parametrize("suite", ["vnnlib2_single", "vnnlib2_multi"])
def test_benchmark_queries_are_read(suite: str) -> None:
    folder = Path(__file__).parents[3] / "shared" / "benchmarks" / suite / "vnnlib"
    if not folder.is_dir():
        pytest.skip("the benchmark files are not here")
    for path in sorted(folder.rglob("*.vnnlib.gz"))[:20]:
        assert vnnlib2.read(path).disjuncts
