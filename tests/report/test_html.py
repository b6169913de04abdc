from __future__ import annotations

import html.parser
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.models import QUERY, model
from tests.report.outcomes import ALL, EVIL, EVIL_VIOLATION, HOLDS, NASTY, UNDECIDED, VIOLATED
from verifier.report import formats, json_report, pictures
from verifier.report.gate import Baseline, Policy
from verifier.report.records import of_verdict

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

SPECS = Path(__file__).resolve().parents[2] / "specs"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


class Checker(html.parser.HTMLParser):
    """Whether every element is closed, and which elements and links there are."""

    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in checker.links), checker.links
    assert not re.search(r"https?://(?!www\.w3\.org/)", re.sub(r"<!DOCTYPE.*?>", "", page))
    return checker


def test_every_kind_of_outcome() -> None:
    page = formats.render("html", ALL, Policy())
    checker = check(page)
    assert checker.tags.count("section") == len(ALL) - 1
    for words in (
        "1 hold, 1 violated",
        "line 13 of the query",
        "-1e-05",
        "Disjunct 0 is open.",
        "a hint",
        "last words",
        "Unstable neurons",
    ):
        assert words in page
    assert "prefers-color-scheme: dark" in page and "width=device-width" in page and "default-src 'none'" in page


def test_everything_is_escaped() -> None:
    page = formats.render("html", [EVIL, EVIL_VIOLATION, HOLDS], Policy())
    checker = check(page)
    assert "script" not in checker.tags and "<script" not in page
    assert NASTY not in page and "{{ 7*7 }}" in page


def test_a_chart_escapes_its_names() -> None:
    from dataclasses import replace

    page = formats.render("html", [replace(HOLDS, category="<b>$x^2$"), replace(VIOLATED, category="&amp;")], Policy())
    checker = check(page)
    assert "svg" in checker.tags and "b" not in checker.tags[checker.tags.index("svg") :][:1] and "&lt;b&gt;$x^2$" in page


def test_the_chart_is_the_same_every_time() -> None:
    pages = {formats.render("html", [HOLDS, VIOLATED], Policy()) for _ in range(2)}
    assert len(pages) == 1 and "currentColor" in pages.pop()


def test_the_course_of_a_search() -> None:
    page = formats.render("html", [UNDECIDED], Policy())
    assert check(page).tags.count("svg") == 1 and "open subproblems" in page and "lower bound" in page
    assert check(formats.render("html", [UNDECIDED] * 25, Policy())).tags.count("svg") == 20


def test_known_violations_are_marked() -> None:
    page = formats.render("html", [VIOLATED], Policy(baseline=Baseline(frozenset({VIOLATED.fingerprint}))))
    assert "This violation is in the baseline." in page


def test_large_suites_are_cut() -> None:
    page = formats.render("html", [UNDECIDED] * 250, Policy())
    assert check(page).tags.count("section") == 200 and "50 more queries" in page


def test_no_records() -> None:
    check(formats.render("html", [], Policy()))


def test_the_region_of_a_counterexample(tmp_path: Path) -> None:
    engine = pytest.importorskip("verifier.engine")
    from verifier.config import Settings

    query = tmp_path / "q.vnnlib"
    query.write_text(QUERY.replace("3.0", "1.5"))
    record = of_verdict(json_report.document(engine.verify(model(tmp_path), query, Settings())))
    assert ">0.25</td>" in formats.render("html", [record], Policy())
    query.write_text(QUERY)  # no longer the query of the verdict
    assert ">0.25</td>" not in formats.render("html", [record], Policy())


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 1, 14, 14), (14, 14, 1, True)),
        ((1, 3, 32, 32), (32, 32, 3, True)),
        ((1, 30, 30, 3), (30, 30, 3, False)),
        ((1, 28, 28), (28, 28, 1, True)),
        ((1, 784), (28, 28, 1, True)),
        ((1, 784, 1), (28, 28, 1, True)),
        ((8, 8), (8, 8, 1, True)),
        ((1, 5), None),
        ((1, 196), None),
        ((1, 2, 8, 8), None),
        ((1, 3, 2, 2), None),
        ((5, 1, 1, 1), None),
    ],
)
def test_layouts(shape: tuple[int, ...], expected: tuple[int, int, int, bool] | None) -> None:
    found = pictures.layout(shape)
    assert (None if found is None else (found.height, found.width, found.channels, found.channels_first)) == expected
    if found is not None:
        assert found.pixels(np.arange(np.prod(shape))).shape == (found.height, found.width, found.channels)


def test_png(tmp_path: Path) -> None:
    import base64

    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    (tmp_path / "x.png").write_bytes(base64.b64decode(pictures.png(pixels).split(",")[1]))
    assert (np.asarray(image.open(tmp_path / "x.png")) == pixels).all()


def test_shades() -> None:
    assert pictures.shades(np.array([0.0, 0.5, 1.0, 2.0]), 0, 1).tolist() == [0, 128, 255, 255]
    assert pictures.shades(np.zeros(2), 0, 0).tolist() == [128, 128]
    assert pictures.value_range(np.array([0.1, 0.9])) == (0, 1) and pictures.value_range(np.array([-1.0, 3.0])) == (-1, 3)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [400, 1000])
def test_in_a_browser(tmp_path: Path, width: int) -> None:
    """The page is drawn, fits the width, and its pictures are loaded."""
    engine = pytest.importorskip("verifier.engine")
    from verifier.config import Settings

    network, query = SPECS / "networks" / "tiny.onnx", SPECS / "properties" / "tiny_sample5_radius24.vnnlib"
    violated = of_verdict(json_report.document(engine.verify(network, query, Settings())))
    page = formats.render("html", [violated, *ALL, EVIL], Policy())
    probe = (
        "<script>addEventListener('load', () => { const e = document.documentElement; const images = [...document.images];"
        "document.title = `@${e.scrollWidth <= e.clientWidth} ${images.length} ${images.every(i => i.naturalWidth > 0)}@`; })</script>"
    )
    path, shot = tmp_path / "page.html", tmp_path / "page.png"
    path.write_text(
        page.replace("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'").replace("</body>", probe + "</body>")
    )
    base = [
        str(BROWSER),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},1200",
    ]
    done = subprocess.run([*base, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120)
    assert "@true 3 true@" in done.stdout, re.findall("<title>.*?</title>", done.stdout)
    subprocess.run([*base, f"--screenshot={shot}", path.as_uri()], capture_output=True, timeout=120, check=True)
    image = pytest.importorskip("PIL.Image").open(shot)
    assert image.size == (width, 1200) and len(set(np.asarray(image.convert("L")).ravel().tolist())) > 20
