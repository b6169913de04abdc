"""Whole runs on a CUDA device. Tests of parts run there as well, as one of the `devices` of graphs.py."""

from __future__ import annotations

import numpy as np
import pytest

from tests import graphs
from tests.test_specs import ROWS, SPECS, TIMEOUT, name
from verifier.arrays import cuda_devices
from verifier.config import Settings
from verifier.engine import verify

pytestmark = pytest.mark.skipif(not cuda_devices(), reason="there is no CUDA device: nothing is tested on one")


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_verdicts_of_the_specs(row: dict[str, str]) -> None:
    settings = Settings().with_options({"search.timeout": TIMEOUT, "search.device": "cuda"})
    verdict = verify(SPECS / row["network"], SPECS / row["property"], settings)
    assert verdict.status.value == row["verdict"]
    if verdict.statistics.subproblems:
        assert verdict.provenance.device == "cuda"


def test_products_are_not_of_reduced_precision() -> None:
    """float64 and float32 products on the device stay within the bound of plain sums of products."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(300, 500)), rng.normal(size=(500, 200))
    for single, unit in ((False, 2.0**-53), (True, 2.0**-24)):
        arrays = graphs.torch_arrays("cuda", single)
        left, right = arrays.asarray(a), arrays.asarray(b)
        found = graphs.to_numpy(left @ right)
        held_a, held_b = (graphs.to_numpy(x).astype(np.longdouble) for x in (left, right))
        assert (np.abs(found - held_a @ held_b) <= 500 * unit * (np.abs(held_a) @ np.abs(held_b))).all()
