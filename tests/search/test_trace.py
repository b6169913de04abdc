from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verifier.search.events import Event, Trace


@given(st.integers(0, 2000), st.integers(2, 64))
def test_a_trace_is_short_and_keeps_both_ends(count: int, most: int) -> None:
    trace = Trace(most)
    for i in range(count):
        trace.add(Event("B", float(i), nodes=i, lower_bound=float(-i)))
    points = trace.points()
    times = [p.seconds for p in points]
    assert len(points) <= most and times == sorted(set(times))
    if count:
        assert (times[0], times[-1]) == (0.0, count - 1.0)


def test_what_says_nothing_is_left_out() -> None:
    trace = Trace()
    trace.add(Event("A", 0.1, attack_gap=1.0))
    trace.add(Event("R", 0.2, open=1, lower_bound=float("-inf")))
    trace.add(Event("*", 0.3))
    assert [(p.seconds, p.lower_bound, p.open) for p in trace.points()] == [(0.2, None, 1)]
    assert Trace().points() == ()
