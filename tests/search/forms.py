"""The search over boxes whose neurons forward affine forms bound, with the plan forced."""

from __future__ import annotations

from functools import partial
from typing import Any
from unittest.mock import patch

from tests import graphs
from verifier.search import solve
from verifier.search.outcome import Outcome
from verifier.search.plan import Plan


def search_forms(*args: Any, **options: Any) -> Outcome:
    with patch.object(graphs, "Plan", partial(Plan, forms=True)), patch.object(solve, "with_rows", lambda plan, *_: plan):
        return graphs.search_inputs(*args, **options)
