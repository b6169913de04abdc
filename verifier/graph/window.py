"""The part of a graph that a region of a node depends on: through convolutions a few neurons see a small window of the input.

Rows of neurons that lie together are as long as that window then, not as the whole network; auto_LiRPA keeps patches for the same reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from verifier.graph.ir import Graph, Node
from verifier.graph.parts import Region, Step, around, cropped, is_whole, joined, part, whole
from verifier.operators.affine import Reshape, Take


@dataclass(frozen=True, eq=False)
class Window:
    """graph: what a region of a node depends on, the node last. origin: node of it -> (node of the whole graph, the elements (k,) there);
    of nodes that only crop, those of what they crop."""

    graph: Graph
    origin: dict[int, tuple[int, np.ndarray]]

    def position(self, elements: np.ndarray) -> np.ndarray:
        """Of elements of the node, all in the region."""
        return np.searchsorted(self.origin[self.graph.output][1], elements)


def window(graph: Graph, node: int, region: Region) -> Window:
    """Of `region` of a node, or of a larger one that its operators have parts for."""
    wanted, parts = {0: whole(graph.nodes[0].shape), node: region}, {}  # the input stays, whatever depends on it
    for n in range(node, -1, -1):
        if n in wanted:
            it = graph.nodes[n]
            viewed = isinstance(it.operator, Reshape) and it.inputs == (0,)  # of the input, which is there as a whole
            parts[n] = part(it, [graph.nodes[p].shape for p in it.inputs], whole(it.shape) if viewed else wanted[n])
            for p, read in zip(it.inputs, parts[n].reads):
                wanted[p] = joined(wanted[p], read) if p in wanted else read
    builder = _Builder(graph)
    for n in sorted(parts):
        inputs = [builder.read(p, parts[p].region, read) for p, read in zip(graph.nodes[n].inputs, parts[n].reads)]
        builder.place[_key(n, parts[n].region)] = builder.append(n, parts[n].steps, tuple(inputs))
    return Window(Graph(tuple(builder.nodes)), builder.origin)


def with_outputs(graph: Graph, elements: np.ndarray) -> Graph:
    """The graph of outputs `elements` (k,) alone where they are part of an image, which is a flat output's last shape before;
    `graph` itself where they depend on all of it."""
    end = graph.output
    while isinstance(graph.nodes[end].operator, Reshape):
        (end,) = graph.nodes[end].inputs
    shape = graph.nodes[end].shape
    region = around(shape, elements)
    if len(shape) != 4 or is_whole(shape, region):
        return graph
    found = window(graph, end, region)
    size, nodes = found.graph.nodes[-1].size, found.graph.nodes
    flat = Node(Reshape(nodes[-1].shape, (size,)), (len(nodes) - 1,), (size,), graph.nodes[-1].origin)
    taken = Node(Take(0, found.position(elements), (size,)), (len(nodes),), (len(elements),), graph.nodes[-1].origin)
    return Graph((*nodes, flat, taken))


@dataclass(frozen=True, eq=False)
class _Builder:
    """place: of a node of the whole graph and a region, its position in `nodes`."""

    graph: Graph
    nodes: list[Node] = field(default_factory=list)
    origin: dict[int, tuple[int, np.ndarray]] = field(default_factory=dict)
    place: dict[tuple[int, tuple[bytes, ...]], int] = field(default_factory=dict)

    def append(self, n: int, steps: tuple[Step, ...], inputs: tuple[int, ...]) -> int:
        """Nodes for `steps` of node n; the position of the last."""
        for operator, elements, shape in steps:
            at = len(self.nodes)
            self.origin[at] = n, elements
            self.nodes.append(replace(self.graph.nodes[n], operator=operator, inputs=inputs, shape=shape))
            inputs = (at,)
        return at

    def read(self, n: int, there: Region, read: Region) -> int:
        """The place of region `read` of node n, of which region `there` is made."""
        key = _key(n, read)
        if key not in self.place:
            steps = tuple(cropped(self.graph.nodes[n].shape, there, read))
            self.place[key] = self.append(n, steps, (self.place[_key(n, there)],))
        return self.place[key]


def _key(n: int, region: Region) -> tuple[int, tuple[bytes, ...]]:
    return n, tuple(indices.tobytes() for indices in region)
