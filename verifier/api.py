"""The verifier from Python: networks as files, ONNX models or torch modules; properties as files, templates or records of arrays."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from verifier.config import Settings
from verifier.errors import Location, UsageError
from verifier.property.templates.assembly import FIRST, SECOND, Origin, declared
from verifier.property.templates.kinds import BoundedChange, Equivalence, Fairness, Monotonicity, OutputRange, Robustness, SafeRegion
from verifier.property.templates.reader import SUFFIXES, Query
from verifier.property.templates.region import Number, Region, exact

if TYPE_CHECKING:
    import onnx
    import torch

    from verifier.answers import RadiusAnswer, RangeAnswer
    from verifier.graph.onnx_reader import Model
    from verifier.problem import Problem
    from verifier.questions.radii import Loaded
    from verifier.questions.ranges import Progress
    from verifier.search.events import Listener
    from verifier.verdict import Verdict

    Network = str | os.PathLike[str] | onnx.ModelProto | torch.nn.Module
    """An ONNX file, possibly gzipped; a model in memory; or a module, which is exported to ONNX in evaluation mode."""

    Networks = Network | tuple[Network, Network] | Mapping[str, Network] | None
    """One network; the two of an equivalence; several by the names that a query gives them; None where a template names its own."""

_COUNTS = "an equivalence is between two networks, other records and templates are about one; a VNN-LIB query names its networks"

Claim = Robustness | OutputRange | SafeRegion | Monotonicity | BoundedChange | Equivalence | Fairness


def verify(
    model: Networks,
    property: str | os.PathLike[str] | Claim,
    settings: Settings | None = None,
    *,
    timeout: float | None = None,
    device: Literal["auto", "cpu", "cuda"] | None = None,
    seed: int | None = None,
    input_shape: Sequence[int] | None = None,
    listener: Listener | None = None,
    stop: Callable[[], bool] | None = None,
) -> Verdict:
    """Decide whether a network has a property: whether no input of its region violates it.

        verdict = verify("net.onnx", "query.vnnlib", timeout=60)
        verdict = verify(module, Robustness(Ball(image, eps="8/255", domain=(0, 1)), label=3))
        verdict = verify((before, after), Equivalence(Box(lower, upper), tolerance=0.01))
        print(verdict.status.word, verdict.reason.help, verdict.counterexample)

    Args:
        model: an ONNX file, an `onnx.ModelProto` or a `torch.nn.Module`; several as a tuple or by name; None: the template names it.
        property: a VNN-LIB file, a template (YAML) of one query, or a record such as `Robustness`.
        settings: what the next three are set on top of. timeout: seconds; device: where bounds are computed; seed: of all randomness.
        input_shape: of the input of a torch module, batch included. Default: the shape of the region's centre or lower bounds.
        listener: called with an `Event` now and then. stop: asked now and then; True ends the run with `unknown`.

    Returns:
        `status` is sat (violated; `counterexample` is confirmed by onnxruntime), unsat (holds), unknown or timeout.

    Raises:
        UsageError, ModelError, PropertyError, ConfigurationError: something was refused. SelfCheckError: onnxruntime and the network
        as it was read differ. InternalError: a fault of the verifier. All of them are VerifierError.
    """
    from verifier.engine import decide

    return decide(_loader(model, property, input_shape), _settings(settings, timeout, device, seed), listener, stop)


def output_range(
    model: Networks,
    property: str | os.PathLike[str] | Claim | Region,
    outputs: Sequence[int] | None = None,
    precision: float = 0.01,
    settings: Settings | None = None,
    *,
    timeout: float | None = None,
    device: Literal["auto", "cpu", "cuda"] | None = None,
    seed: int | None = None,
    input_shape: Sequence[int] | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> RangeAnswer:
    """How low and how high outputs get over the inputs that a property speaks of; its conditions on outputs are not used.

        answer = verifier.output_range("net.onnx", Box([0, 0], [1, 1]), timeout=10)
        for o in answer.outputs:
            print(o.name, o.lower, o.least.value, o.greatest.value, o.upper)

    Args:
        property: as of `verify`, or a region alone: a `Box` or a `Ball`.
        outputs: which, by their flat number. Default: all.
        precision: an output is done when proved and attained ends are apart by at most this part of its range.
        progress: called with the intervals so far and the seconds now and then. The other arguments are those of `verify`.

    Returns:
        For every output an interval that encloses its values over the reals, and the lowest and highest value that onnxruntime
        confirmed, with their inputs. `ending` says why it is not narrower.

    Raises:
        as `verify`; also PropertyError for an empty input set.
    """
    from verifier.questions.ranges import output_ranges

    claim = OutputRange(property, {0: (0, None)}) if isinstance(property, Region) else property
    load = _loader(model, claim, input_shape)
    return output_ranges(load, _settings(settings, timeout, device, seed), outputs, precision, progress, stop)


def verify_each(
    template: str | os.PathLike[str],
    model: Networks = None,
    settings: Settings | None = None,
    *,
    timeout: float | None = None,
    device: Literal["auto", "cpu", "cuda"] | None = None,
    seed: int | None = None,
    input_shape: Sequence[int] | None = None,
    listener: Listener | None = None,
    stop: Callable[[], bool] | None = None,
) -> Iterator[Verdict]:
    """The verdicts of all queries of a template (YAML), one after another; `timeout` is for each. Arguments and errors as of `verify`.

    for verdict in verify_each("robustness.yaml", timeout=10):
        print(verdict.provenance.query.name, verdict.status.word)     # sample 0 holds
    """
    from verifier.engine import decide

    settings = _settings(settings, timeout, device, seed)
    opened = _Template(Path(template), model, input_shape)
    for query in opened.queries:
        yield decide(partial(opened.problem, query), settings, listener, stop)


def radius(
    model: Networks,
    property: str | os.PathLike[str] | Claim,
    precision: float = 0.05,
    most: Number | None = None,
    settings: Settings | None = None,
    *,
    timeout: float | None = None,
    device: Literal["auto", "cpu", "cuda"] | None = None,
    seed: int | None = None,
    input_shape: Sequence[int] | None = None,
    stop: Callable[[], bool] | None = None,
) -> RadiusAnswer:
    """How far a property holds around a sample: its largest proved radius, and its smallest violated one.

        answer = verifier.radius("net.onnx", Robustness(Ball(image, eps="1/255", domain=(0, 1)), label=3), timeout=60)
        print(answer.proved, answer.violated, answer.counterexample)

    Args:
        property: a record whose region is a `Ball`, or a template (YAML) with one sample; eps is where the search begins.
        precision: done when the two are apart by at most this part of the violated one. most: the largest radius of interest.
        The other arguments are those of `verify`.

    Returns:
        Radii are exact (`Fraction`); a proof holds for all smaller ones, and the counterexample lies within `violated` of the sample.

    Raises:
        as `verify`; also PropertyError for a region that is no ball, or a ball with several eps.
    """
    from verifier.questions import radii

    limit = None if most is None else exact(most)
    return radii.radius(partial(_sampled, model, property, input_shape), _settings(settings, timeout, device, seed), precision, limit, stop)


def radius_each(
    template: str | os.PathLike[str],
    model: Networks = None,
    precision: float = 0.05,
    most: Number | None = None,
    settings: Settings | None = None,
    *,
    timeout: float | None = None,
    device: Literal["auto", "cpu", "cuda"] | None = None,
    seed: int | None = None,
    input_shape: Sequence[int] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Iterator[RadiusAnswer]:
    """`radius` for every sample of a template (YAML), one after another; `timeout` is for each."""
    from verifier.questions import radii

    settings, limit = _settings(settings, timeout, device, seed), None if most is None else exact(most)
    opened, session = _Template(Path(template), model, input_shape), radii.Session()
    for query in opened.queries:
        yield radii.radius(partial(opened.sampled, query), settings, precision, limit, stop, session)


def _sampled(networks: Networks, property: str | os.PathLike[str] | Claim, input_shape: Sequence[int] | None) -> Loaded:
    if isinstance(property, Claim):
        models, _ = _models_of_claim(networks, property, input_shape)
        return models, Query(property, Origin())
    if Path(property).suffix not in SUFFIXES:
        raise UsageError("a radius is asked for of a template or a record", location=Location(str(property)))
    template = _Template(Path(property), networks, input_shape)
    return template.sampled(template.only("radius_each"))


def _loader(model: Networks, property: str | os.PathLike[str] | Claim, input_shape: Sequence[int] | None) -> Callable[[], Problem]:
    """Reads the problem of a property, of a template with one query too."""
    if isinstance(property, Claim):
        return partial(_problem, model, property, input_shape)
    path = Path(property)
    if path.suffix not in SUFFIXES:
        return partial(_problem_of_file, model, path, input_shape)
    template = _Template(path, model, input_shape)
    return partial(template.problem, template.only("verify_each"))


class _Template:
    """A template with its models."""

    def __init__(self, path: Path, networks: Networks, input_shape: Sequence[int] | None) -> None:
        from verifier.problem import models_of
        from verifier.property.templates import reader

        template = reader.read(path)
        self.path = path
        self.queries = template.queries
        shape = input_shape if input_shape is not None else _shape(template.queries[0].claim.region.example)
        models, self.notes = _models(networks, shape, template.names)
        self.models = models_of(template, models)

    def problem(self, query: Query) -> Problem:
        from verifier.problem import of_query

        return _noted(of_query(self.models, query), self.notes)

    def sampled(self, query: Query) -> Loaded:
        return self.models, query

    def only(self, each: str) -> Query:
        """Its only query. each: the function for several."""
        if len(self.queries) != 1:
            message = f"the template has {len(self.queries)} queries"
            raise UsageError(message, location=Location(str(self.path)), hint=f"{each} gives the answer of each")
        return self.queries[0]


def _models_of_claim(networks: Networks, claim: Claim, input_shape: Sequence[int] | None) -> tuple[list[Model], list[str]]:
    names = (FIRST, SECOND) if isinstance(claim, Equivalence) else (FIRST,)
    found, notes = _models(networks, input_shape if input_shape is not None else _shape(claim.region.example), names)
    if found is None or len(found) != len(names):
        raise UsageError(f"{0 if found is None else len(found)} network(s) for {type(claim).__name__}", code="V003", hint=_COUNTS)
    return list(found.values()), notes


def _problem(networks: Networks, claim: Claim, input_shape: Sequence[int] | None) -> Problem:
    from verifier.problem import interfaces, of_models

    models, notes = _models_of_claim(networks, claim, input_shape)
    prop = Query(claim, Origin()).build(interfaces(models))
    from verifier.property.writer import vnnlib2

    boxes = replace(prop, disjuncts=tuple(replace(d, ball=None) for d in prop.disjuncts))  # what VNN-LIB can say
    text = vnnlib2(boxes, prop.declarations or declared(interfaces(models)[0])) + ("" if prop.ball is None else repr(prop.ball))
    return _noted(of_models(models, replace(prop, sha256=sha256(text.encode()).hexdigest())), notes)


def _problem_of_file(networks: Networks, path: Path, input_shape: Sequence[int] | None) -> Problem:
    from verifier.problem import read

    models, notes = _models(networks, input_shape, (FIRST,))
    if models is None:
        raise UsageError("no network is given", code="V003", location=Location(str(path)))
    return _noted(read(models if isinstance(networks, Mapping) else models[FIRST], path), notes)


def _noted(problem: Problem, notes: Sequence[str]) -> Problem:
    return replace(problem, warnings=(*problem.warnings, *notes))


def _settings(settings: Settings | None, timeout: float | None, device: str | None, seed: int | None) -> Settings:
    options = {"search.timeout": timeout, "search.device": device, "search.seed": seed}
    return (settings or Settings()).with_options({name: value for name, value in options.items() if value is not None}, "argument")


def _models(networks: Networks, shape: Sequence[int] | None, names: Sequence[str]) -> tuple[dict[str, Model] | None, list[str]]:
    """Models by name, and what to tell the user of them."""
    if networks is None:
        return None, []
    if isinstance(networks, tuple) and len(networks) != len(names):
        raise UsageError(f"{len(networks)} networks are given", code="V003", hint=_COUNTS)
    named = networks if isinstance(networks, Mapping) else dict(zip(names, networks if isinstance(networks, tuple) else (networks,)))
    notes: list[str] = []
    return {name: _model(network, shape, notes) for name, network in named.items()}, notes


def _model(network: Network, shape: Sequence[int] | None, notes: list[str]) -> Model:
    import onnx

    from verifier.graph import onnx_reader

    if isinstance(network, str | os.PathLike):
        return onnx_reader.read(Path(network))
    if isinstance(network, onnx.ModelProto):
        return onnx_reader.read_bytes(bytes(network.SerializeToString()), "<ModelProto>")
    if "torch" not in sys.modules or not isinstance(network, sys.modules["torch"].nn.Module):  # who has a module has imported torch
        hint = "give an ONNX file, an onnx.ModelProto or a torch.nn.Module"
        raise UsageError(f"{type(network).__name__} is no network", hint=hint)
    from verifier.graph import torch_export

    if shape is None:
        raise UsageError("the input shape of the module is not known", hint="give input_shape=(1, ...), batch included")
    data, said = torch_export.export(network, tuple(shape))
    notes += said
    return onnx_reader.read_bytes(data, f"<{type(network).__name__}>")


def _shape(example: Any) -> tuple[int, ...] | None:
    """Of an array, with a batch dimension in front of a vector; None of a single number."""
    shape = np.shape(example)
    return (1, *shape) if len(shape) == 1 else shape or None
