"""`arrays.convolve` and its adjoint in numpy and torch against torch's own convolution."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests import graphs
from verifier import arrays as arrays_module
from verifier.arrays import convolve, convolve_adjoint, convolved_size, to_numpy

CASES = list(
    itertools.product(
        [(1, 1), (2, 1), (2, 3)],
        [(0, 0, 0, 0), (1, 1, 1, 1), (2, 0, 1, 3), (0, 1, 2, 1)],
        [(1, 1), (2, 1), (1, 3)],
        [1, 2, 4],
        [(1, 1), (3, 2), (2, 4), (2, 3)],
    )
)


@pytest.mark.parametrize("deep", [1, 1000])
@pytest.mark.parametrize("stride,padding,dilation,groups,kernel", CASES)
def test_matches_torch(
    stride: tuple, padding: tuple, dilation: tuple, groups: int, kernel: tuple, deep: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As rows of pixels as well as image by image."""
    monkeypatch.setattr(arrays_module, "_DEEP", deep)
    monkeypatch.setattr(arrays_module, "_DEEP_BOTH", deep)
    rng = np.random.default_rng(5)
    size = (9, 11)
    x, w = rng.normal(size=(2, 4, *size)), rng.normal(size=(8, 4 // groups, *kernel))
    top, left, bottom, right = padding
    tx, tw = torch.tensor(x, requires_grad=True), torch.tensor(w)
    expected = F.conv2d(F.pad(tx, (left, right, top, bottom)), tw, None, stride, 0, dilation, groups)
    assert tuple(expected.shape[2:]) == convolved_size(size, kernel, stride, padding, dilation)
    y = rng.normal(size=expected.shape)
    (gradient,) = torch.autograd.grad(expected, tx, torch.tensor(y))
    np.testing.assert_allclose(convolve(x, w, stride, padding, dilation, groups), expected.detach().numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(convolve_adjoint(y, w, size, stride, padding, dilation, groups), gradient.numpy(), rtol=1e-12, atol=1e-12)
    for arrays in map(graphs.torch64, graphs.DEVICES):
        there = convolve(arrays.asarray(x), arrays.asarray(w), stride, padding, dilation, groups)
        np.testing.assert_allclose(to_numpy(there), expected.detach().numpy(), rtol=1e-12, atol=1e-12)
        back = convolve_adjoint(arrays.asarray(y), arrays.asarray(w), size, stride, padding, dilation, groups)
        np.testing.assert_allclose(to_numpy(back), gradient.numpy(), rtol=1e-12, atol=1e-12)
