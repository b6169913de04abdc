"""A verdict as text: the word and the witness for stdout, the summary for people on stderr."""

from __future__ import annotations

from collections.abc import Iterator

from verifier.verdict import Counterexample, DisjunctResult, Status, Verdict


def answer(verdict: Verdict) -> str:
    """What goes to stdout: the verdict word, after `sat` the assignment in the form of the query's language."""
    if verdict.counterexample is None:
        return word(verdict)
    return f"{word(verdict)}\n{assignment(verdict.counterexample)}"


def word(verdict: Verdict) -> str:
    """The verdict as the standard of the query's language spells it."""
    if verdict.status is Status.TIMEOUT and verdict.provenance.language.startswith("2"):
        return "timed-out"
    return verdict.status.value


def assignment(counterexample: Counterexample) -> str:
    """VNN-LIB 1: `((X_0 v)`, then one ` (NAME v)` a line, inputs before outputs, closed by `)`. VNN-LIB 2: for every declared
    variable a line `NAME TYPE [SHAPE]`, then one value a line in C order."""
    if counterexample.variables:
        return "\n".join(line for v in counterexample.variables for line in (f"{v.name} {v.dtype} {shape(v.shape)}", *v.values))
    entries = [f"(X_{i} {v})" for i, v in enumerate(counterexample.inputs)]
    entries += [f"(Y_{i} {v})" for i, v in enumerate(counterexample.outputs)]
    return "(" + "\n ".join(entries) + ")"


def summary(verdict: Verdict, verbose: bool = False) -> str:
    """For people: what was found, why, at what cost; `verbose` adds disjuncts, layers, versions and settings."""
    return "\n".join([*_headline(verdict), *_cost(verdict), *(_details(verdict) if verbose else ())])


def _headline(verdict: Verdict) -> Iterator[str]:
    yield f"{verdict.status.word}: {verdict.reason.help}"
    found = verdict.counterexample
    if found is not None:
        at = next((d for d in verdict.disjuncts if d.index == found.disjunct and d.line is not None), None)
        place = f" (line {at.line} of the query)" if at else ""
        yield f"  counterexample  disjunct {found.disjunct}{place}, margin {found.margin:.6g}, confirmed by {found.confirmed_by}"
        if found.literals == "float32":
            yield "                  an input interval holds no float32: the query's numbers were read as float32 in the check"
    if not verdict.status.decided and verdict.lower_bound is not None:
        yield f"  best bound      {verdict.lower_bound:.6g} (a proof needs a positive one)"
    yield from (f"  {sentence}" for sentence in verdict.explanation)


def _cost(verdict: Verdict) -> Iterator[str]:
    cost = verdict.statistics
    phases = ", ".join(f"{name} {seconds:.2f}" for name, seconds in cost.seconds.items())
    yield f"  time            {cost.total_seconds:.2f} s" + (f" ({phases})" if phases else "")
    memory = "" if cost.peak_memory_mb is None else f", {cost.peak_memory_mb / 1024:.1f} GB at most"
    yield f"  work            {count(cost.subproblems)} subproblems{memory}"


def _details(verdict: Verdict) -> Iterator[str]:
    cost, run = verdict.statistics, verdict.provenance
    if cost.unstable:
        yield f"  unstable        {', '.join(map(count, cost.unstable))} (neurons a layer)"
    for network in run.networks:
        yield f"  network         {f'{network.name} = ' if network.name else ''}{network.path}  sha256 {network.sha256}"
    yield f"  query           {run.query.path}  sha256 {run.query.sha256}"
    yield f"  numerics        {run.dtype} on {run.device}, {cost.threads} threads, seed {run.seed}"
    yield f"  versions        {', '.join(f'{name} {version}' for name, version in run.versions.items())}"
    yield from map(_disjunct, verdict.disjuncts)
    yield from (f"  setting         {option} = {value} ({origin})" for option, (value, origin) in run.settings.items())


def _disjunct(result: DisjunctResult) -> str:
    line = "" if result.line is None else f" (line {result.line})"
    method = f", {result.method}" if result.method else ""
    word = {Status.SAT: "violated", Status.UNSAT: "excluded"}.get(result.status, "open")
    return f"  disjunct        {result.index}{line}: {word}{method}"


def shape(dims: tuple[int, ...]) -> str:
    """[1,5]"""
    return "[" + ",".join(map(str, dims)) + "]"


def count(n: int) -> str:
    """Digits in groups of three: 1204 -> "1 204"."""
    return f"{n:,}".replace(",", " ")
