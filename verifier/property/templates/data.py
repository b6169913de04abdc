"""Samples of a data set, and their labels, from .npz, .csv and image files.

PropertyError: V225 a file that is missing, damaged or of another form, V224 a sample that is not there, V228 an extra that is missing.
"""

from __future__ import annotations

import csv
import gzip
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from verifier.errors import Location, PropertyError
from verifier.property.templates.region import Numbers, exact_list

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
_LARGEST = 4 << 30


@dataclass(frozen=True, eq=False)
class Samples:
    """inputs: one entry a sample, whatever its shape; labels: as many, or None."""

    inputs: Sequence[Numbers]
    labels: Sequence[int] | None

    def __len__(self) -> int:
        return len(self.inputs)


def scaled(sample: Numbers, factor: Fraction) -> Numbers:
    """The sample with exact values times `factor`."""
    return sample if factor == 1 else [value * factor for value in exact_list(sample)]


def read_npz(path: Path, inputs: str, labels: str | None) -> Samples:
    """Arrays by their names; the first axis numbers the samples. labels None: those named `labels`, if there are any."""
    with _opened(path):
        if sum(entry.file_size for entry in zipfile.ZipFile(path).infolist()) > _LARGEST:
            raise _wrong(path, f"it unpacks to more than {_LARGEST} bytes")
        with np.load(path, allow_pickle=False) as arrays:
            labels = "labels" if labels is None and "labels" in arrays.files else labels
            found = {name: arrays[name] for name in (inputs, labels) if name is not None and name in arrays.files}
            absent = [name for name in (inputs, labels) if name is not None and name not in found]
            if absent:
                hint = f"its arrays: {', '.join(arrays.files)}; the keys inputs and labels name them"
                raise _wrong(path, f"it has no array {absent[0]!r}", hint)
    values, answers = found[inputs], None if labels is None else found[labels]
    if values.dtype.kind not in "fiu" or not values.ndim or (values.dtype.kind == "f" and not np.isfinite(values).all()):
        raise _wrong(path, f"the array {inputs!r} holds no finite numbers, one sample an entry of the first axis")
    return Samples(list(values), None if answers is None else _whole(path, answers.ravel().tolist(), len(values)))


def read_csv(path: Path, label_column: int | None) -> Samples:
    """One sample a line, decimals as they are written; a first line without numbers is a header. May be gzipped."""
    with _opened(path):
        with (
            gzip.open(path, "rt", encoding="utf-8", newline="") if path.suffix == ".gz" else path.open(encoding="utf-8", newline="") as file
        ):
            rows = [row for row in csv.reader(file) if row]
    if rows and not any(map(_is_number, rows[0])):
        rows = rows[1:]
    widths = {len(row) for row in rows}
    if len(widths) != 1:
        raise _wrong(path, "its lines have different numbers of columns" if rows else "it has no lines of numbers")
    if label_column is None:
        return Samples(rows, None)
    if not label_column < widths.pop():
        raise _wrong(path, f"it has no column {label_column}", "columns are numbered from 0")
    labels = [row.pop(label_column) for row in rows]
    return Samples(rows, _whole(path, labels, len(rows)))


def read_images(paths: Sequence[Path], layout: Literal["chw", "hwc"]) -> Samples:
    """Pixels from 0 to 255 (or 65535): [height, width] in grey, with 3 or 4 channels first (chw) or last (hwc)."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise PropertyError("images need Pillow", code="V228", hint="pip install 'verifier[images]'") from error
    found = []
    for path in paths:
        try:
            with _opened(path), Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB") if image.mode in ("P", "1") else image)
        except (UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise _wrong(path, str(error)) from error
        found.append(np.moveaxis(pixels, -1, 0) if pixels.ndim == 3 and layout == "chw" else pixels)
    return Samples(found, None)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _whole(path: Path, values: Sequence[Any], count: int) -> list[int]:
    try:
        labels = [int(v) if float(v) == int(float(v)) else -1 for v in values]
    except (ValueError, OverflowError) as error:
        raise _wrong(path, "a label is no whole number") from error
    if len(labels) != count or min(labels, default=0) < 0:
        raise _wrong(path, f"{len(labels)} labels for {count} samples" if len(labels) != count else "a label is no whole number")
    return labels


class _opened:
    """Errors of reading `path` as V225."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and not self.path.exists():
            raise PropertyError(f"there is no file {self.path}", code="V225", location=Location(str(self.path))) from error
        if isinstance(error, OSError | EOFError | ValueError | zipfile.BadZipFile | csv.Error):
            raise _wrong(self.path, f"it cannot be read: {error}") from error


def _wrong(path: Path, message: str, hint: str | None = None) -> PropertyError:
    return PropertyError(f"the data file does not serve: {message}", code="V225", location=Location(str(path)), hint=hint)
