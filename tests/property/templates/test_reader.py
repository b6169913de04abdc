"""Templates as files: what they mean, and what is wrong with them, with line, column and a suggestion."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from verifier.errors import PropertyError
from verifier.property.templates import reader
from verifier.property.templates.kinds import BoundedChange, Fairness, Monotonicity, OutputRange, Robustness, SafeRegion
from verifier.property.templates.region import Ball, Box, Interface

NETWORK = Interface(((1, 2),), ((1, 3),))
DATA = "network: net.onnx\nkind: robustness\ndata: d.csv\neps: 0.1\n"
BOXED = "network: net.onnx\nbox: [[0, 1], [-1/2, 1]]\n"


@pytest.fixture
def template(tmp_path: Path) -> Any:
    (tmp_path / "d.csv").write_text("0.5,0.25,2\n0.125,1e-1,0\n0,0,1\n")

    def read(text: str) -> reader.Template:
        path = tmp_path / "t.yaml"
        path.write_text(text)
        return reader.read(path)

    return read


def test_samples(template: Any, tmp_path: Path) -> None:
    text = DATA.replace("d.csv", "{file: d.csv, label_column: 2, samples: [1, 0-1], scale: 1/2}") + "domain: [0, 0.3]\nfixed: 0\n"
    found = template(text + "normalisation: {mean: 0.1, std: [1, 0.5]}\n")
    assert found.networks == (tmp_path / "net.onnx",) and found.names == ("f",)
    assert [q.origin.part for q in found.queries] == ["sample 1", "sample 0", "sample 1"]
    assert [q.claim.label for q in found.queries] == [0, 2, 0]
    prop = found.queries[0].build([NETWORK])
    box = prop.disjuncts[0].box
    assert box.exact(0) == (Fraction(1, 16) - Fraction(1, 10),) * 2
    assert box.exact(1) == (-Fraction(1, 10) * 2, Fraction(1, 10))  # 0.05 +- 0.1, clipped to [0, 0.3], then (x - 0.1) / 0.5
    assert [d.line for d in prop.disjuncts] == [2, 2] and prop.part == "sample 1" and prop.source == str(tmp_path / "t.yaml")


def test_all_samples_are_the_default(template: Any) -> None:
    for chosen in ("", ", samples: all"):
        found = template(DATA.replace("d.csv", f"{{file: d.csv, labels: [0, 1, 2]{chosen}}}"))
        assert [q.claim.label for q in found.queries] == [0, 1, 2]


def test_boxes_and_kinds(template: Any) -> None:
    def one(text: str) -> Any:
        (query,) = template(BOXED + text).queries
        return query.claim

    claim = one("kind: output_range\noutputs: {0: [null, 0.5], 2: [-1, 1]}\n")
    assert isinstance(claim, OutputRange) and claim.bounds == {0: (None, Fraction(1, 2)), 2: (-1, 1)}
    assert isinstance(claim.region, Box) and claim.region.lower == [0, Fraction(-1, 2)]
    claim = one("kind: safe_region\nsafe:\n  - y[0] <= y[1]\n  - y[2] < 1\n")
    assert isinstance(claim, SafeRegion) and list(claim.safe) == ["y[0] <= y[1]", "y[2] < 1"]
    claim = one("kind: safe_region\nunsafe:\n  - y[0] <= y[1]\n  - ['y[0] > 1', 'y[2] < 1']\n")
    assert isinstance(claim, SafeRegion) and list(claim.unsafe) == [["y[0] <= y[1]"], ["y[0] > 1", "y[2] < 1"]]
    claim = one("kind: monotonicity\nfeature: 1\noutput: 0\ndirection: decreasing\n")
    assert isinstance(claim, Monotonicity) and (claim.feature, claim.output, claim.direction) == (1, 0, "decreasing")
    claim = one("kind: bounded_change\ndistance: [0, 0.1]\ntolerance: 1\noutputs: [0, 2]\n")
    assert isinstance(claim, BoundedChange) and claim.outputs == [0, 2]
    claim = one("kind: fairness\nsensitive: [0, 1]\nvalues: [[0, 1], [1, 0]]\n")
    assert isinstance(claim, Fairness) and claim.values == [[0, 1], [1, 0]]
    claim = one("kind: robustness\nlabel: 1\ntop_k: 2\n")
    assert isinstance(claim, Robustness) and (claim.label, claim.top_k) == (1, 2)


def test_a_query_for_every_feature(template: Any) -> None:
    found = template("kind: monotonicity\ndata: {file: d.csv, samples: 0}\neps: 1\nfeature: 0-1\noutput: 2\n")
    with pytest.raises(PropertyError, match="the centre has 3 features"):
        found.queries[0].build([NETWORK])
    assert [q.origin.part for q in found.queries] == ["sample 0, feature 0", "sample 0, feature 1"] and found.networks == ()


def test_domains_by_feature(template: Any) -> None:
    text = DATA.replace("d.csv", "{file: d.csv, label_column: 2, samples: 0}") + "norm: linf\ndomain: {lower: 0, upper: [0.5, 1]}\n"
    (query,) = template(text).queries
    assert isinstance(query.claim.region, Ball)
    assert query.build([NETWORK]).disjuncts[0].box.exact(0) == (Fraction(2, 5), Fraction(1, 2))


def test_two_networks(template: Any, tmp_path: Path) -> None:
    found = template("kind: equivalence\nnetworks: {g: b.onnx, f: a.onnx}\nbox: [[0, 1], [0, 1]]\ntolerance: 0.1\n")
    assert found.networks == (tmp_path / "a.onnx", tmp_path / "b.onnx") and found.names == ("f", "g")


@pytest.mark.parametrize(
    ("text", "code", "place", "words"),
    [
        ("", "V220", "t.yaml", "empty"),
        ("a: [", "V220", "t.yaml:1:5", "not valid YAML"),
        ("- 1", "V223", "t.yaml:1:1", "mapping"),
        ("kid: robustness", "V222", "t.yaml:1:1", "lacks the key 'kind'"),
        ("kind: robustnes", "V224", "t.yaml:1:7", "did you mean 'robustness'?"),
        (DATA + "ep: 1\n", "V221", "t.yaml:5:1", "did you mean 'eps'?"),
        (DATA + "normalization: {mean: 0, std: 1}\n", "V221", "t.yaml:5:1", "did you mean 'normalisation'?"),
        (DATA + "eps: 1\n", "V221", "t.yaml:5:1", "'eps' is there twice"),
        (DATA.replace("eps: 0.1", ""), "V222", "t.yaml:1:1", "lacks the key 'eps'"),
        (DATA.replace("0.1", "[1, x]"), "V223", "t.yaml:4:10", "eps is 'x', which is no number"),
        (DATA.replace("0.1", ".inf"), "V223", "t.yaml:4:6", "no number"),
        (DATA.replace("0.1", "{a: 1}"), "V223", "t.yaml:4:6", "eps must be a single value"),
        (DATA + "norm: inf\n", "V224", "t.yaml:5:7", "did you mean 'linf'?"),
        (DATA, "V222", "t.yaml:2:7", "needs labels in the data"),
        (DATA.replace("d.csv", "e.csv"), "V225", "e.csv", "there is no file"),
        (DATA.replace("d.csv", "e.h5"), "V225", "t.yaml:3:7", "of no known form"),
        (DATA.replace("d.csv", "{file: d.csv, sample: 1}"), "V221", "t.yaml:3:21", "did you mean 'samples'?"),
        (DATA.replace("d.csv", "{file: d.csv, samples: [0, 3]}"), "V224", "t.yaml:3:30", "there is no sample 3"),
        (DATA.replace("d.csv", "{file: d.csv, samples: 3-1}"), "V224", "t.yaml:3:30", "ranges read FIRST-LAST"),
        (DATA.replace("d.csv", "{file: d.csv, samples: -1}"), "V223", "t.yaml:3:30", "whole number"),
        (DATA.replace("d.csv", "{file: d.csv, labels: [0, 1]}"), "V223", "t.yaml:3:29", "2 labels for 3 samples"),
        (DATA.replace("d.csv", "{file: d.csv, labels: answers}"), "V223", "t.yaml:3:29", "labels must be a list"),
        (DATA.replace("d.csv", "{file: d.csv, layout: chw}"), "V221", "t.yaml:3:29", "layout does not belong to a csv file"),
        (DATA + "box: [[0, 1]]\n", "V221", "t.yaml:3:7", "box and data exclude each other"),
        (BOXED + "kind: robustness\nlabel: 1\neps: 1\n", "V221", "t.yaml:5:6", "eps belongs to data"),
        (BOXED + "kind: output_range\noutputs: {0: 1}\n", "V223", "t.yaml:4:14", "list"),
        (BOXED + "kind: output_range\noutputs: {0: [1]}\n", "V223", "t.yaml:4:14", "two bounds"),
        (BOXED + "kind: output_range\noutputs: {y: [1, 2]}\n", "V223", "t.yaml:4:11", "output is 'y'"),
        (BOXED + "kind: safe_region\n", "V222", "t.yaml:1:1", "one of safe, unsafe"),
        (BOXED + "kind: monotonicity\nfeature: 0\noutput: 0\ndirection: up\n", "V224", "t.yaml:6:12", "increasing, decreasing"),
        (BOXED + "kind: equivalence\n", "V221", "t.yaml:1:1", "did you mean 'networks'?"),
        (BOXED.replace("1/2", "1/0") + "kind: robustness\nlabel: 0\n", "V223", "t.yaml:2:16", "no number"),
        (BOXED.replace("1]]", "1, 2]]") + "kind: robustness\nlabel: 0\n", "V223", "t.yaml:2:15", "3 numbers"),
    ],
)
def test_refused(template: Any, text: str, code: str, place: str, words: str) -> None:
    with pytest.raises(PropertyError) as caught:
        template(text)
    rendered = caught.value.render()
    assert caught.value.code == code and place in rendered and words in rendered, rendered


def test_errors_of_the_network_name_the_query(template: Any) -> None:
    (query,) = template(BOXED + "kind: robustness\nlabel: 7\n").queries
    with pytest.raises(PropertyError) as caught:
        query.build([NETWORK])
    assert caught.value.code == "V224" and str(caught.value.location).endswith("t.yaml:3")


def test_deep_nesting_is_refused(template: Any) -> None:
    with pytest.raises(PropertyError, match="nested too deeply") as caught:
        template("kind: " + "[" * 50_000)
    assert caught.value.code == "V220"


def test_arrays_of_a_data_set(template: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.eye(2, dtype=np.float32), y=np.array([1, 2]))
    found = template(DATA.replace("d.csv", "{file: d.npz, inputs: x, labels: y}"))
    assert [q.claim.label for q in found.queries] == [1, 2]
