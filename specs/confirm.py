"""Finds out, without the verifier, which properties hold: `python specs/confirm.py [PROPERTY...]` writes expected.csv and witnesses/.

Shares nothing with the package `verifier`: its own small readers, its own attack and HiGHS as a mixed-integer solver.

Violated: a float32 input strictly inside the box (equal to its bound where both are the same) for which onnxruntime meets an arm of
the violation; stored in witnesses/. Holds: every arm of the violation is infeasible for a mixed-integer program

* whose continuous variables are the inputs and the outputs of unstable neurons; everything in between is affine, composed exactly
  as the graph says (convolution, batch normalisation, addition), so that nothing is approximated but by float64 rounding;
* with one binary variable for an unstable ReLU (the exact big-M form), or one for each piece of an enclosure of a sigmoid or tanh;
* whose neuron bounds come from linear programs, layer by layer, and are widened by PAD;
* where the violation is relaxed: each comparison may be missed by SLACK. That, not a proof in exact arithmetic, is the margin against
  the solver's tolerance of 1e-6 and against rounding: the verdicts are numerically certified, with room, and not formally proved.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import highspy
import numpy as np
import onnx
import onnxruntime
import scipy.sparse as sp
import torch
from onnx import numpy_helper

HERE = Path(__file__).resolve().parent
PAD = 1e-5
SLACK = 1e-3
PIECES = 3
NARROW = 0.1
COLUMNS = ["network", "property", "verdict", "difficulty", "reason"]


# --- Reading -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Query:
    """`lower`, `upper`: exact bounds an input. `arms`: a list of comparisons each, (coefficients of Y, constant) meaning c.Y + d >= 0."""

    lower: list[Fraction]
    upper: list[Fraction]
    arms: list[list[tuple[np.ndarray, float]]]


def read_query(path: Path) -> Query:
    """The dialect that train.py writes: one bound a line, then one `or` of `and`s over outputs and constants."""
    text = re.sub(r";.*", "", path.read_text(encoding="ascii"))
    head, _, tail = text.partition("(assert (or")
    inputs, outputs = (len(re.findall(rf"declare-const {v}_\d+ Real", head)) for v in "XY")
    lower: dict[int, Fraction] = {}
    upper: dict[int, Fraction] = {}
    for relation, index, number in re.findall(r"\(assert \((<=|>=) X_(\d+) (\S+?)\)\)", head):
        (lower if relation == ">=" else upper)[int(index)] = Fraction(number)
    if sorted(lower) != list(range(inputs)) or sorted(upper) != list(range(inputs)):
        raise SystemExit(f"{path.name}: an input lacks a bound")
    arms = []
    for body in re.findall(r"\(and ((?:\([^()]*\) ?)+)\)", tail):
        comparisons = []
        for relation, left, right in re.findall(r"\((<=|>=) (\S+) (\S+)\)", body):
            row, constant = np.zeros(outputs), 0.0
            for term, sign in ((left, 1.0), (right, -1.0)):
                sign = sign if relation == ">=" else -sign
                if term.startswith("Y_"):
                    row[int(term[2:])] += sign
                else:
                    constant += sign * float(term)
            comparisons.append((row, constant))
        arms.append(comparisons)
    return Query([lower[i] for i in range(inputs)], [upper[i] for i in range(inputs)], arms)


@dataclass(frozen=True)
class Step:
    kind: str
    inputs: list[str]
    output: str
    attributes: dict[str, object]


@dataclass(frozen=True)
class Network:
    steps: list[Step]
    constants: dict[str, np.ndarray]
    input: str
    output: str
    shape: list[int]


def read_network(path: Path) -> Network:
    graph = onnx.load(str(path)).graph
    constants = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in graph.initializer}
    steps = []
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
            continue
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        steps.append(Step(node.op_type, list(node.input), node.output[0], attributes))
    (entry,) = [i for i in graph.input if i.name not in constants]
    shape = [1] + [d.dim_value for d in entry.type.tensor_type.shape.dim[1:]]
    return Network(steps, constants, entry.name, graph.output[0].name, shape)


def check_attributes(step: Step) -> None:
    """Refuses what the readers below would get wrong."""
    a = step.attributes
    wrong = {
        "Gemm": a.get("alpha", 1.0) != 1.0 or a.get("beta", 1.0) != 1.0 or a.get("transA", 0) or not a.get("transB", 0),
        "Conv": a.get("group", 1) != 1 or any(d != 1 for d in a.get("dilations", [])) or a.get("auto_pad", b"NOTSET") != b"NOTSET",
        "Flatten": a.get("axis", 1) != 1,
        "BatchNormalization": a.get("training_mode", 0) != 0,
    }
    if step.kind not in {*wrong, "Relu", "Sigmoid", "Tanh", "Add"} or wrong.get(step.kind):
        raise SystemExit(f"{step.kind} with {a} is not understood here")


def evaluate(network: Network, x: torch.Tensor) -> torch.Tensor:
    """The network in float64 torch, (N, *shape) -> (N, outputs); differentiable in x."""
    values: dict[str, torch.Tensor] = {network.input: x}
    for step in network.steps:
        check_attributes(step)
        a = values[step.inputs[0]]
        p = [torch.from_numpy(network.constants[n].copy()) for n in step.inputs[1:] if n in network.constants]
        if step.kind == "Gemm":
            a = a @ p[0].T + p[1]
        elif step.kind == "Conv":
            stride, pad = step.attributes["strides"], step.attributes["pads"]
            a = torch.conv2d(torch.nn.functional.pad(a, (pad[1], pad[3], pad[0], pad[2])), p[0], p[1] if len(p) > 1 else None, stride)
        elif step.kind == "BatchNormalization":
            scale, shift = batch_norm(step, network)
            a = a * torch.from_numpy(scale)[:, None, None] + torch.from_numpy(shift)[:, None, None]
        elif step.kind == "Add":
            a = a + values[step.inputs[1]]
        elif step.kind == "Flatten":
            a = a.flatten(1)
        else:
            a = {"Relu": torch.relu, "Sigmoid": torch.sigmoid, "Tanh": torch.tanh}[step.kind](a)
        values[step.output] = a
    return values[network.output]


def batch_norm(step: Step, network: Network) -> tuple[np.ndarray, np.ndarray]:
    weight, bias, mean, variance = (network.constants[n] for n in step.inputs[1:5])
    scale = weight / np.sqrt(variance + step.attributes.get("epsilon", 1e-5))
    return scale, bias - mean * scale


# --- Violated ------------------------------------------------------------------------------------------------------------------


def float32_inside(query: Query, x: np.ndarray) -> np.ndarray:
    """x as float32 strictly inside the exact box, or equal to the bound where lower == upper (which must then be a float32)."""
    result = np.empty(len(x), dtype=np.float32)
    for i, (low, high) in enumerate(zip(query.lower, query.upper)):
        value = np.float32(x[i])
        if low == high:
            value = np.float32(low)
        else:
            while Fraction(float(value)) <= low:
                value = np.nextafter(value, np.float32(np.inf))
            while Fraction(float(value)) >= high:
                value = np.nextafter(value, np.float32(-np.inf))
        if not (low < Fraction(float(value)) < high or low == high == Fraction(float(value))):
            raise SystemExit(f"no float32 strictly inside [{low}, {high}] of input {i}")
        result[i] = value
    return result


def replay(path: Path, network: Network, query: Query, x: np.ndarray) -> float:
    """Greatest over the arms of the least c.Y + d at the float32 point x, Y by onnxruntime: violated if >= 0."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    y = session.run(None, {network.input: x.reshape(network.shape)})[0].ravel().astype(np.float64)
    return max(min(float(row @ y + constant) for row, constant in arm) for arm in query.arms)


def attack(network: Network, query: Query, restarts: int = 24, steps: int = 80) -> tuple[float, np.ndarray]:
    """Projected signed gradient ascent an arm, from random points of the box; the best value found and its point."""
    generator = torch.Generator().manual_seed(1)
    low, high = (torch.tensor([float(v) for v in side], dtype=torch.float64) for side in (query.lower, query.upper))
    middle, half = (low + high) / 2, (high - low) / 2 * 0.999
    best, point = -np.inf, middle.numpy()
    for arm in query.arms:
        rows = torch.tensor(np.array([row for row, _ in arm]))
        constants = torch.tensor([constant for _, constant in arm], dtype=torch.float64)
        t = 2 * torch.rand(restarts, len(low), dtype=torch.float64, generator=generator) - 1
        for k in range(steps + 1):
            t.requires_grad_()
            value = (evaluate(network, (middle + half * t).reshape(-1, *network.shape[1:])) @ rows.T + constants).min(1).values
            top = int(value.argmax())
            if value[top].item() > best:
                best, point = value[top].item(), (middle + half * t[top]).detach().numpy()
            (gradient,) = torch.autograd.grad(value.sum(), t)
            t = (t.detach() + 0.4 * (1 - k / (steps + 1)) * gradient.sign()).clamp(-1, 1)
    return best, point


# --- Holds ---------------------------------------------------------------------------------------------------------------------


@dataclass
class Program:
    """A growing mixed-integer program over `columns`; tensors are affine in its columns: (matrix, offset)."""

    solver: highspy.Highs
    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    binaries: list[int] = field(default_factory=list)

    def column(self, low: float, high: float, binary: bool = False) -> int:
        self.solver.addCol(0.0, low, high, 0, [], [])
        self.lower.append(low)
        self.upper.append(high)
        if binary:
            self.binaries.append(len(self.lower) - 1)
        return len(self.lower) - 1

    def row(self, low: float, high: float, terms: dict[int, float]) -> None:
        index = [k for k, v in terms.items() if v != 0.0]
        self.solver.addRow(low, high, len(index), np.array(index, dtype=np.int32), np.array([terms[k] for k in index]))

    def extreme(self, terms: dict[int, float], maximise: bool) -> float:
        """Optimum of a linear form over the linear relaxation, as the dual says it; +-inf if the solver gives up."""
        cost = np.zeros(len(self.lower))
        cost[list(terms)] = list(terms.values())
        self.solver.changeColsCost(len(cost), np.arange(len(cost), dtype=np.int32), cost)
        self.solver.changeObjectiveSense(highspy.ObjSense.kMaximize if maximise else highspy.ObjSense.kMinimize)
        self.solver.run()
        if self.solver.getModelStatus() == highspy.HighsModelStatus.kOptimal:
            return float(self.solver.getInfo().objective_function_value)
        return np.inf if maximise else -np.inf


Affine = tuple[sp.csr_matrix, np.ndarray]


def terms_of(matrix: sp.csr_matrix, i: int) -> dict[int, float]:
    """Row i as column -> coefficient."""
    part = slice(matrix.indptr[i], matrix.indptr[i + 1])
    return dict(zip(matrix.indices[part].tolist(), matrix.data[part].tolist()))


def compose(weight: sp.csr_matrix, value: Affine, offset: np.ndarray) -> Affine:
    return (weight @ value[0]).tocsr(), weight @ value[1] + offset


def conv_matrix(step: Step, kernel: np.ndarray, shape: tuple[int, ...]) -> tuple[sp.csr_matrix, tuple[int, ...]]:
    """The convolution as a matrix on flattened (C, H, W), found by convolving every unit image."""
    stride, pad = step.attributes["strides"], step.attributes["pads"]
    units = torch.eye(int(np.prod(shape)), dtype=torch.float64).reshape(-1, *shape)
    images = torch.conv2d(torch.nn.functional.pad(units, (pad[1], pad[3], pad[0], pad[2])), torch.from_numpy(kernel.copy()), None, stride)
    return sp.csr_matrix(images.flatten(1).numpy().T), tuple(images.shape[1:])


class Encoder:
    """Builds the program of a network over a box; `bounds="interval"` skips the linear programs."""

    def __init__(self, network: Network, query: Query, bounds: str = "linear"):
        solver = highspy.Highs()
        solver.setOptionValue("output_flag", False)
        solver.setOptionValue("threads", 1)
        self.program = Program(solver)
        self.tight = bounds == "linear"
        self.unstable = 0
        n = len(query.lower)
        for low, high in zip(query.lower, query.upper):
            self.program.column(float(low), float(high))
        self.values: dict[str, Affine] = {network.input: (sp.identity(n, format="csr"), np.zeros(n))}
        self.shapes: dict[str, tuple[int, ...]] = {network.input: tuple(network.shape[1:])}
        for step in network.steps:
            check_attributes(step)
            self._step(network, step)
        self.output = self.values[network.output]

    def _padded(self, value: Affine) -> Affine:
        """Widens the matrix to the columns that have been added since."""
        matrix, offset = value
        return sp.csr_matrix((matrix.data, matrix.indices, matrix.indptr), shape=(matrix.shape[0], len(self.program.lower))), offset

    def _step(self, network: Network, step: Step) -> None:
        value, shape = self._padded(self.values[step.inputs[0]]), self.shapes[step.inputs[0]]
        constants = [network.constants[n] for n in step.inputs[1:] if n in network.constants]
        if step.kind == "Gemm":
            value, shape = compose(sp.csr_matrix(constants[0]), value, constants[1]), (len(constants[1]),)
        elif step.kind == "Conv":
            weight, shape = conv_matrix(step, constants[0], shape)
            bias = constants[1] if len(constants) > 1 else np.zeros(shape[0])
            value = compose(weight, value, np.repeat(bias, shape[1] * shape[2]))
        elif step.kind == "BatchNormalization":
            scale, shift = (np.repeat(v, shape[1] * shape[2]) for v in batch_norm(step, network))
            value = compose(sp.diags(scale, format="csr"), value, shift)
        elif step.kind == "Add":
            other = self._padded(self.values[step.inputs[1]])
            value = (value[0] + other[0]).tocsr(), value[1] + other[1]
        elif step.kind == "Flatten":
            shape = (int(np.prod(shape)),)
        else:
            value = self._nonlinear(step.kind, value)
        self.values[step.output], self.shapes[step.output] = value, shape

    def _bounds(self, value: Affine, needed: Callable[[float, float], bool]) -> tuple[np.ndarray, np.ndarray]:
        """Interval bounds of every entry, improved by two linear programs where `needed` says so; widened by PAD."""
        matrix, offset = value
        low, high = np.array(self.program.lower), np.array(self.program.upper)
        positive, negative = matrix.maximum(0), matrix.minimum(0)
        lower, upper = positive @ low + negative @ high + offset, positive @ high + negative @ low + offset
        for i in range(len(offset)) if self.tight else ():
            if needed(lower[i], upper[i]):
                terms = terms_of(matrix, i)
                upper[i] = min(upper[i], self.program.extreme(terms, True) + offset[i])
                if needed(lower[i], upper[i]):
                    lower[i] = max(lower[i], self.program.extreme(terms, False) + offset[i])
        return lower - PAD, upper + PAD

    def _nonlinear(self, kind: str, value: Affine) -> Affine:
        lower, upper = self._bounds(value, (lambda a, b: a < 0 < b) if kind == "Relu" else lambda a, b: True)
        matrix, offset = value
        rows: list[dict[int, float]] = []
        constants = np.zeros(len(offset))
        for i in range(len(offset)):
            terms = terms_of(matrix, i)
            if kind == "Relu" and (lower[i] >= 0 or upper[i] <= 0):
                rows.append(terms if lower[i] >= 0 else {})
                constants[i] = offset[i] if lower[i] >= 0 else 0.0
                continue
            self.unstable += 1
            encode = self._relu if kind == "Relu" else self._smooth
            rows.append({encode(kind, terms, offset[i], lower[i], upper[i]): 1.0})
        index = [(i, k, v) for i, row in enumerate(rows) for k, v in row.items()]
        i, k, v = zip(*index) if index else ((), (), ())
        return sp.csr_matrix((v, (i, k)), shape=(len(offset), len(self.program.lower))), constants

    def _relu(self, kind: str, terms: dict[int, float], offset: float, lower: float, upper: float) -> int:
        """y >= 0, y >= x, y <= upper z, y <= x - lower (1 - z) with x = terms + offset."""
        p = self.program
        y, z = p.column(0.0, upper), p.column(0.0, 1.0, binary=True)
        minus = {k: -v for k, v in terms.items()}
        p.row(offset, np.inf, {**minus, y: 1.0})
        p.row(-np.inf, 0.0, {y: 1.0, z: -upper})
        p.row(-np.inf, offset - lower, {**minus, y: 1.0, z: -lower})
        return y

    def _smooth(self, kind: str, terms: dict[int, float], offset: float, lower: float, upper: float) -> int:
        """y = f(x) enclosed on each of PIECES intervals by two lines of the secant's slope; a binary variable chooses the piece.

        x = sum x_k, a_k z_k <= x_k <= b_k z_k, sum z_k = 1, and y lies in sum (s_k x_k + [low_k, high_k] z_k).
        """
        p = self.program
        f = np.tanh if kind == "Tanh" else lambda t: 1 / (1 + np.exp(-t))
        y = p.column(float(f(lower)) - PAD, float(f(upper)) + PAD)
        grid = np.linspace(lower, upper, PIECES + 1)
        total, under, over, one = {k: -v for k, v in terms.items()}, {y: 1.0}, {y: 1.0}, {}
        for a, b in zip(grid[:-1], grid[1:]):
            slope, low, high = secant_band(kind, f, a, b)
            x, z = p.column(min(a, 0.0), max(b, 0.0)), p.column(0.0, 1.0, binary=True)
            p.row(-np.inf, 0.0, {x: 1.0, z: -b})
            p.row(0.0, np.inf, {x: 1.0, z: -a})
            total[x], one[z] = 1.0, 1.0
            under[x], under[z] = -slope, -low
            over[x], over[z] = -slope, -high
        p.row(offset, offset, total)
        p.row(1.0, 1.0, one)
        p.row(0.0, np.inf, under)
        p.row(-np.inf, 0.0, over)
        return y

    def worst(self, row: np.ndarray, constant: float) -> float:
        """Greatest c.Y + d of the linear relaxation."""
        matrix, offset = compose(sp.csr_matrix(row[None, :]), self._padded(self.output), np.array([constant]))
        return self.program.extreme(terms_of(matrix, 0), True) + float(offset[0])

    def excluded(self, arm: list[tuple[np.ndarray, float]], seconds: float) -> tuple[str, np.ndarray | None]:
        """Whether every c.Y + d >= -SLACK of an arm can be met: ("infeasible", None), ("feasible", input) or (status, None)."""
        p, solver = self.program, self.program.solver
        rows = solver.getNumRow()
        for row, constant in arm:
            matrix, offset = compose(sp.csr_matrix(row[None, :]), self._padded(self.output), np.array([constant]))
            p.row(-SLACK - float(offset[0]), np.inf, terms_of(matrix, 0))
        index = np.array(p.binaries, dtype=np.int32)
        solver.changeColsCost(len(p.lower), np.arange(len(p.lower), dtype=np.int32), np.zeros(len(p.lower)))
        solver.changeColsIntegrality(len(index), index, np.full(len(index), highspy.HighsVarType.kInteger))
        solver.setOptionValue("time_limit", solver.getRunTime() + seconds)
        solver.run()
        status = solver.getModelStatus()
        answer = ("infeasible", None) if status == highspy.HighsModelStatus.kInfeasible else (str(status), None)
        if status == highspy.HighsModelStatus.kOptimal:
            answer = ("feasible", np.array(solver.getSolution().col_value))
        solver.changeColsIntegrality(len(index), index, np.full(len(index), highspy.HighsVarType.kContinuous))
        solver.setOptionValue("time_limit", highspy.kHighsInf)
        solver.deleteRows(len(arm), np.arange(rows, rows + len(arm), dtype=np.int32))
        return answer


def secant_band(kind: str, f: Callable[[float], float], a: float, b: float) -> tuple[float, float, float]:
    """Slope s of the secant of f on [a, b] and the least and greatest f(t) - s t there, widened by PAD.

    The extremes lie at the ends or where f' = s: tanh' = 1 - y^2, sigmoid' = y (1 - y) in y = f(t).
    """
    slope = float((f(b) - f(a)) / (b - a))
    root = float(np.sqrt(max(0.0, 1 - slope))) if kind == "Tanh" else float(np.sqrt(max(0.0, 1 - 4 * slope)))
    turns = [np.arctanh(root), -np.arctanh(root)] if kind == "Tanh" else [2 * np.arctanh(root), -2 * np.arctanh(root)]
    gaps = [float(f(t) - slope * t) for t in (a, b, *turns) if a <= t <= b]
    return slope, min(gaps) - PAD, max(gaps) + PAD


# --- Table ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """`hard`: what holds is left open by the linear relaxation, or what is violated is so by less than NARROW at the best input found."""

    verdict: str
    reason: str
    hard: bool
    witness: np.ndarray | None = None


def confirm(path: Path, network: Network, query: Query, seconds: float) -> Finding:
    """The truth of one property, or verdict "?" with what was tried."""
    value, point = attack(network, query)
    if value > 0:
        x = float32_inside(query, point)
        margin = replay(path, network, query, x)
        if margin > 0:
            return Finding("sat", f"onnxruntime replays a float32 witness strictly inside the box; margin {margin:.3g}", margin < NARROW, x)
    plain = Encoder(network, query, "interval")
    bound = max(min(plain.worst(*comparison) for comparison in arm) for arm in query.arms)
    if bound < -SLACK:
        return Finding("unsat", f"linear relaxation over interval bounds, HiGHS: worst value {bound:.3g}", False)
    encoder = Encoder(network, query)
    values = [min(encoder.worst(*comparison) for comparison in arm) for arm in query.arms]
    open_arms = [arm for arm, worst in zip(query.arms, values) if worst >= -SLACK]
    if not open_arms:
        text = f"linear relaxation with neuron bounds by linear programs, HiGHS: worst value {max(values):.3g}"
        return Finding("unsat", text, False)
    text = f"{len(open_arms)} of {len(values)} arms left by the linear relaxation (worst {max(values):.3g}); best attack {value:.3g}"
    for arm in open_arms:
        started = time.monotonic()
        status, _ = encoder.excluded(arm, seconds)
        print(f"  arm: {status} in {time.monotonic() - started:.1f} s, {encoder.unstable} unstable, {text}", file=sys.stderr, flush=True)
        if status != "infeasible":
            return Finding("?", f"{text}; mixed-integer program: {status}", True)
    form = "exact mixed-integer program" if not any(s.kind in ("Sigmoid", "Tanh") for s in network.steps) else "piecewise enclosure"
    return Finding("unsat", f"{form}, HiGHS: infeasible even if missed by {SLACK}; {text}", True)


def network_of(name: str) -> Path:
    """dense_sample0_radius48 belongs to networks/dense.onnx."""
    return HERE / "networks" / f"{name.split('_')[0]}.onnx"


def row_of(name: str, seconds: float) -> dict[str, str]:
    network_path, query_path = network_of(name), HERE / "properties" / f"{name}.vnnlib"
    query = read_query(query_path)
    finding = confirm(network_path, read_network(network_path), query, seconds)
    if finding.witness is not None:
        text = "".join(f"{value!s}\n" for value in finding.witness)
        (HERE / "witnesses" / f"{name}.txt").write_text(text, encoding="ascii")
    row = [
        f"networks/{network_path.name}",
        f"properties/{name}.vnnlib",
        finding.verdict,
        "hard" if finding.hard else "easy",
        finding.reason,
    ]
    return dict(zip(COLUMNS, row))


def write(table: Path, rows: list[dict[str, str]]) -> None:
    with table.open("w", newline="", encoding="ascii") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description="Confirm the verdicts of the properties and write expected.csv.")
    parser.add_argument("properties", nargs="*", help="names such as dense_sample0_radius48; all if none is named")
    parser.add_argument("--seconds", type=float, default=300, help="time limit of one mixed-integer program")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    table = HERE / "expected.csv"
    known = {}
    if table.exists():
        with table.open(newline="", encoding="ascii") as file:
            known = {Path(row["property"]).stem: row for row in csv.DictReader(file)}
    names = sorted(path.stem for path in (HERE / "properties").glob("*.vnnlib"))
    for name in arguments.properties or names:
        known[name] = row_of(name, arguments.seconds)
        print(name, known[name]["verdict"], known[name]["reason"], file=sys.stderr, flush=True)
        write(table, [known[name] for name in names if name in known])
    return int(any(row["verdict"] == "?" for row in known.values()))


if __name__ == "__main__":
    sys.exit(main())
