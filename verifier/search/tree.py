"""What all subproblems of one box share: the graph to bound them in, the root's enclosures, and how their dual variables
are stored.

Subproblems are bounded in the reduced graph (bounds/reduction.py), and their splits are numbered by its neurons; only a
bound that has to be rigorous is evaluated on the network itself, with the same slopes and multipliers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from verifier.arrays import Array, Arrays, spread, to_numpy
from verifier.bounds import slack
from verifier.bounds.ascent import Parameters, initial_parameters, problem_of
from verifier.bounds.batch import Neurons
from verifier.bounds.dual import Dual, Problem, evaluate
from verifier.bounds.intermediate import RootBounds
from verifier.bounds.program import Program
from verifier.bounds.recorded import Recorder
from verifier.bounds.reduction import Reduction
from verifier.bounds.rows import unit_rows
from verifier.bounds.targets import Targets
from verifier.graph.ir import Graph
from verifier.operators.base import Lines, Nonlinear
from verifier.search.branching.pseudo_costs import PseudoCosts
from verifier.search.conjunction import refuted_together
from verifier.search.splits import Enclosures, Splits

_CHUNK_NUMBERS = 3_000_000
"""Numbers that one array of all nodes' coefficients may hold in a chunk of subproblems: near a core's cache for small
networks, and a bound on the time between two looks at the clock for large ones; of subproblems there are at most `_LARGEST_CHUNK`.
Both are for one core."""
_LARGEST_CHUNK = 128

_CLIPPED, _OWN = 256, 2048
"""Inputs up to which subproblems have enclosures of their own, as one of more has no share in a row that is worth clipping; and numbers of
one that are worth their storage, of neurons and inputs."""

_LARGEST_STORED = 65504.0
"""Of a float16, as which slopes are kept; what is clipped is clipped to the useful ones anyway."""


@dataclass(frozen=True, eq=False)
class Network:
    """The network itself, for rigorous bounds: its neurons' numbering, their and the inputs' enclosures (T + n,) at the
    root, the initial lines (1, 1, size) of its nonlinear nodes, and kept (T' + n,), the number here of every number of the tree."""

    neurons: Neurons
    kept: np.ndarray
    below: np.ndarray
    above: np.ndarray
    lines: Mapping[int, Lines]

    @cached_property
    def program(self) -> Program | None:
        """The network as a linear program, where it can be one."""
        return Program.of(self.neurons.graph)


class First(NamedTuple):
    """Neurons (F,) that are affine in the input, and planes (2, F, n), (2, F), rigorous, below them and below their negatives."""

    neurons: np.ndarray
    planes: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True, eq=False)
class Tree:
    """graph: the reduced graph; neurons: the numbering of its T' neurons. below, above (T' + n,): their enclosures at the
    root, then those of the inputs; domains: these, and narrower ones of some subproblems. loose: nonlinear node -> indices of
    the neurons whose slopes subproblems store. lines: nonlinear node -> initial lines (1, 1, size) at the root, used for all others.
    costs: what has been learned of splits. recorder: of the ascents, where the start of an operation takes its time. first: where
    subproblems have enclosures of their own, without what a row excludes; only in trees that look for counterexamples.
    """

    network: Network
    reduction: Reduction
    neurons: Neurons
    exact: Arrays
    proposals: Arrays
    root: RootBounds
    targets: Targets
    below: np.ndarray
    above: np.ndarray
    domains: Enclosures
    loose: Mapping[int, np.ndarray]
    lines: Mapping[int, Lines]
    costs: PseudoCosts
    recorder: Recorder | None
    first: First | None

    @staticmethod
    def of(
        original: Graph,
        reduction: Reduction,
        exact: Arrays,
        proposals: Arrays,
        root: RootBounds,
        targets: Targets,
        lower: np.ndarray,
        upper: np.ndarray,
        clips: bool,
    ) -> Tree:
        """clips: where it may pay."""
        neurons, full_neurons = Neurons(reduction.graph), Neurons(original)
        full_below, full_above = (
            np.concatenate([*(to_numpy(root.preactivations[p][side])[0] for p in original.preactivations), box])
            for side, box in ((0, lower), (1, upper))
        )
        kept = np.concatenate([reduction.neurons, full_neurons.total + np.arange(len(lower))])
        below, above = full_below[kept], full_above[kept]
        lines, loose = _root_lines(neurons, below, above), {}
        for n in lines:
            s = neurons.slices[reduction.graph.nodes[n].inputs[0]]
            low, high = below[s], above[s]
            loose[n] = np.flatnonzero(~_nonlinear(reduction.graph, n).linear(low, high))
        full = Network(full_neurons, kept, full_below, full_above, _root_lines(full_neurons, full_below, full_above))
        domains = Enclosures(below, above, len(lower), exact)
        costs, recorder = PseudoCosts(neurons.total), Recorder.on(proposals)
        tree = Tree(full, reduction, neurons, exact, proposals, root, targets, below, above, domains, loose, lines, costs, recorder, None)
        own = clips and len(lower) <= _CLIPPED and len(below) <= _OWN
        return replace(tree, first=tree._affine()) if own else tree

    @property
    def clips(self) -> bool:
        """Subproblems have enclosures of their own."""
        return self.first is not None

    @property
    def graph(self) -> Graph:
        return self.reduction.graph

    @property
    def chunk(self) -> int:
        """Subproblems of one chunk."""
        numbers, width = sum(node.size for node in self.graph.nodes) * self.targets.constant.shape[1], self.proposals.width
        return int(np.clip(_CHUNK_NUMBERS * width // numbers, 1, _LARGEST_CHUNK * width))

    def start(self, which: np.ndarray, bound: np.ndarray, parameters: Parameters) -> Splits:
        """One subproblem without splits for each disjunct of `which`, from slopes (B, R, size) found at the root."""
        count, rows = len(which), self.targets.constant.shape[1]
        parameters = parameters.map(lambda a: self.proposals.xp.broadcast_to(a, (count, rows, a.shape[-1])))
        none = np.zeros((count, 0))
        own = (np.repeat(side[None], count, axis=0) if self.clips else none for side in (self.below, self.above))
        return Splits(
            none.astype(np.int64),
            none.astype(np.int8),
            none,
            np.zeros((count, rows, 0), np.float32),
            self.packed(parameters),
            which,
            bound,
            np.zeros(count, np.int64),
            np.full(count, -1),
            np.zeros(count),
            np.full(count, np.nan),
            np.zeros(count, np.int64),
            np.full((count, 4, 2), np.nan),
            *own,
        )

    def initial(self) -> Parameters:
        """The slopes that CROWN starts from."""
        below, above = (self.proposals.asarray(flat[None, : self.neurons.total]) for flat in (self.below, self.above))
        return initial_parameters(self.graph.to(self.proposals), self.graph.output, self.neurons.split(below, above))

    def packed(self, parameters: Parameters) -> dict[int, np.ndarray]:
        """Slopes (B, R, size) -> the stored ones."""
        xp, found = self.proposals.xp, {}
        for n, index in self.loose.items():
            lines, convex = parameters.slopes[n], _nonlinear(self.graph, n).convex
            parts = [lines.lower] if convex else [lines.lower, lines.upper]
            if len(index) < lines.lower.shape[-1]:
                at = self.proposals.indices(index)
                parts = [part[..., at] for part in parts]
            stored = xp.clip(xp.stack(parts, axis=-1), -_LARGEST_STORED, _LARGEST_STORED)
            found[n] = to_numpy(xp.astype(stored, xp.float16))
        return found

    def enclosures(self, splits: Splits) -> tuple[Array, Array]:
        """Flat enclosures (B, T' + n) in `exact`, clamped by the splits; where they cross, the subproblem is empty."""
        below, above = self.domains.of(splits.domain)
        if self.clips:
            xp = self.exact.xp
            below = xp.maximum(below, self.exact.asarray(splits.below))
            above = xp.minimum(above, self.exact.asarray(splits.above))
        return splits.clamp(below, above)

    def _affine(self) -> First:
        exact, network, total = self.exact, self.network.neurons.graph, self.network.neurons.total
        graph, weights = network.to(exact), self.root.weights.to(exact)
        lower, upper = (exact.asarray(side[None, total:]) for side in (self.network.below, self.network.above))
        found = [First(np.zeros(0, np.int64), np.zeros((2, 0, network.input_size)), np.zeros((2, 0)))]
        for m in self.graph.preactivations:
            p, s = self.original(m), self.neurons.slices[m]
            if set(network.nonlinear).isdisjoint(network.ancestors(p)):
                places = self.places(m, p)
                rows = {p: unit_rows(exact, places[None], graph.nodes[p].shape)}
                dual = evaluate(graph, rows, Problem(lower, upper, {}, {}, {}), weights)
                planes = to_numpy(dual.coefficients)[0].reshape(2, len(places), -1)
                found.append(First(np.arange(s.start, s.stop), planes, to_numpy(dual.offset)[0].reshape(2, -1)))
        neurons, planes, offsets = zip(*found)
        return First(np.concatenate(neurons), np.concatenate(planes, axis=1), np.concatenate(offsets, axis=1))

    def on_network(self, splits: Splits) -> tuple[Array, Array]:
        """The same over the network itself, (B, T + n)."""
        exact, count = self.exact, len(splits)
        kept, sides = exact.indices(self.network.kept), []
        for whole, reduced in zip((self.network.below, self.network.above), self.enclosures(splits)):
            side = exact.xp.asarray(exact.xp.broadcast_to(exact.asarray(whole), (count, len(whole))), copy=True)
            side[:, kept] = reduced
            sides.append(side)
        return sides[0], sides[1]

    def parameters(self, splits: Splits, arrays: Arrays) -> Parameters:
        """Slopes and multipliers of the parent, (B, R, size), in `arrays`."""
        batch, rows, xp = len(splits), self.targets.constant.shape[1], arrays.xp
        slopes = {}
        for n, index in self.loose.items():
            convex, stored, at = _nonlinear(self.graph, n).convex, arrays.asarray(splits.slopes[n]), arrays.indices(index)
            both = []
            for side, default in enumerate(self.lines[n]):
                full = xp.broadcast_to(arrays.asarray(default), (batch, rows, default.shape[-1]))
                if side == 0 or not convex:  # the upper line of a convex function is never chosen
                    full = xp.asarray(full, copy=True)
                    full[..., at] = stored[..., side]
                both.append(full)
            slopes[n] = Lines(*both)
        return Parameters(slopes, self._multipliers(splits, arrays))

    def _multipliers(self, splits: Splits, arrays: Arrays) -> dict[int, Array]:
        size = self.neurons.total + self.graph.input_size
        if not splits.side.size:
            return {}
        dense = spread(arrays, size, splits.neuron, splits.multiplier * (splits.side != 0)[:, None, :])
        return {p: dense[:, :, s] for p, s in self.neurons.slices.items()}

    def signs(self, splits: Splits, arrays: Arrays, everywhere: bool = False) -> dict[int, Array]:
        """Which multipliers may move (see Ascent): those of split neurons, for the pre-activations with a split in the batch; everywhere:
        for all of them, so that batches are of one structure."""
        size, xp = self.neurons.total + self.graph.input_size, arrays.xp
        up, down = (spread(arrays, size, splits.neuron, (splits.side == side)[:, None].astype(float)) > 0 for side in (1, -1))
        none = arrays.zeros(up.shape)
        sign = xp.where(up & down, none + 2.0, xp.where(up, none - 1.0, xp.where(down, none + 1.0, none)))
        split = splits.neuron[splits.side != 0]
        with_split = {p for p, s in self.neurons.slices.items() if everywhere or ((split >= s.start) & (split < s.stop)).any()}
        return {p: sign[:, :, s] for p, s in self.neurons.slices.items() if p in with_split}

    def exact_rows(self, splits: Splits, parameters: Parameters, pick: np.ndarray) -> ExactRows:
        """Rigorous bounds of subproblems (P,) from the dual variables of the batch's rows `pick` (P,) in the reduced graph."""
        index = self.proposals.indices(pick)
        return self.rows_on_network(splits, self.parameters_on_network(parameters.map(lambda a: a if a.shape[0] == 1 else a[index])))

    def rows_on_network(self, splits: Splits, parameters: Parameters) -> ExactRows:
        """The same from dual variables of the network itself, in `exact`."""
        exact, neurons = self.exact, self.network.neurons
        graph, total = neurons.graph.to(exact), neurons.total
        low, high = self.on_network(splits)
        high = exact.xp.maximum(low, high)
        known = neurons.split(low[:, :total], high[:, :total])
        lower, upper = low[:, total:], high[:, total:]
        problem = problem_of(graph, lower, upper, known, parameters)
        rows = self.targets.rows(graph, exact, splits.disjunct)
        dual = evaluate(graph, rows, problem, self.root.weights.to(exact), keep=self.clips)
        bounds, offsets = (self.targets.add_constant(to_numpy(a), splits.disjunct) for a in (dual.lower, dual.offset))
        near = self._near(dual, bounds, problem) if self.clips else None
        return ExactRows(bounds, to_numpy(dual.coefficients), offsets, to_numpy(lower), to_numpy(upper), near)

    def _near(self, dual: Dual, bounds: np.ndarray, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
        """Enclosures (B, T') of the neurons of the reduced graph wherever no row is positive."""
        network, neurons = self.network.neurons, self.neurons
        found = slack.enclosures(network.graph, dual, self.exact.asarray(bounds), problem)
        kept, sides = self.network.kept[: neurons.total], []
        for side, nothing in enumerate((-np.inf, np.inf)):
            flat = np.full((len(bounds), network.total), nothing)
            for p, interval in found.items():
                flat[:, network.slices[p]] = to_numpy(interval[side])
            sides.append(flat[:, kept])
        return sides[0], sides[1]

    def parameters_on_network(self, parameters: Parameters) -> Parameters:
        """Dual variables (B, S, size) of the reduced graph on the network's nodes; stable neurons have the lines of the root."""
        exact, nodes = self.exact, self.network.neurons.graph.nodes

        def placed(values: Array, index: np.ndarray, default: Array) -> Array:
            full = exact.xp.asarray(exact.xp.broadcast_to(exact.asarray(default), (*values.shape[:2], default.shape[-1])), copy=True)
            full[..., exact.indices(index)] = exact.asarray(values)
            return full

        slopes, multipliers = {}, {}
        for m, (n, index) in self.reduction.nodes.items():
            operator, found, p = _nonlinear(self.network.neurons.graph, n), parameters.slopes[m], nodes[n].inputs[0]
            lower, upper = self.network.lines[n]
            slopes[n] = Lines(
                placed(found.lower, index, lower), exact.asarray(upper) if operator.convex else placed(found.upper, index, upper)
            )
            reduced = self.graph.nodes[m].inputs[0]
            if reduced in parameters.multipliers:
                multipliers[p] = placed(parameters.multipliers[reduced], self.places(reduced, p), np.zeros((1, 1, nodes[p].size)))
        stable = {n: lines for n, lines in self.network.lines.items() if n not in slopes}
        return Parameters({**slopes, **{n: Lines(*map(exact.asarray, lines)) for n, lines in stable.items()}}, multipliers)

    def original(self, reduced: int) -> int:
        """Pre-activation of the network that pre-activation `reduced` of the reduced graph is a part of."""
        nodes, network = self.graph.nodes, self.network.neurons.graph.nodes
        return next(network[n].inputs[0] for m, (n, _) in self.reduction.nodes.items() if nodes[m].inputs[0] == reduced)

    def places(self, reduced: int, p: int) -> np.ndarray:
        """Indices in pre-activation p of the network of the neurons of pre-activation `reduced` of the reduced graph."""
        return self.reduction.neurons[self.neurons.slices[reduced]] - self.network.neurons.slices[p].start

    def excluded(self, rows: ExactRows, disjunct: np.ndarray) -> np.ndarray:
        """(B,) True where rows of disjuncts (B,) exclude every counterexample, one alone or all together."""
        together = refuted_together(rows.lower, rows.upper, rows.planes, rows.offsets)
        return self.targets.refuted(rows.bounds, disjunct) | together


class ExactRows(NamedTuple):
    """Rigorous row bounds (B, R), constants included; the planes below the rows, (B, R, n) and (B, R); the boxes (B, n); near: enclosures
    (B, T') of the neurons wherever no row is positive, in trees whose subproblems have enclosures of their own."""

    bounds: np.ndarray
    planes: np.ndarray
    offsets: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    near: tuple[np.ndarray, np.ndarray] | None


def _root_lines(neurons: Neurons, below: np.ndarray, above: np.ndarray) -> dict[int, Lines]:
    lines = {}
    for n in neurons.graph.nonlinear:
        s = neurons.slices[neurons.graph.nodes[n].inputs[0]]
        lines[n] = _nonlinear(neurons.graph, n).initial(below[None, None, s], above[None, None, s])
    return lines


def _nonlinear(graph: Graph, n: int) -> Nonlinear:
    operator = graph.nodes[n].operator
    if not isinstance(operator, Nonlinear):
        raise TypeError(f"node {n} is not nonlinear")
    return operator
