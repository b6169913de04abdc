"""Trains the networks of this folder, writes their properties and samples: `python specs/train.py --mnist mnist_5k.csv.gz [NETWORK...]`.

Inputs: 5,000 MNIST digits (README.md says where they come from) and flights that this script simulates. Seeds are fixed; the same
versions of torch and numpy on the same kind of processor give the same files. With other versions the weights differ, and the
verdicts in expected.csv have to be confirmed anew (`python specs/confirm.py`).

Every pixel is a multiple of 1/1024 (14 x 14) or 1/4096 (7 x 7) and every radius a multiple of 1/1024, so that each bound of a
property is both a short decimal and a float32: the text, the float32 network and the reals all mean the same box.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
SEED = 20260


# --- Data ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Data:
    """Samples `x` (N, *shape) in float32 with labels (N,) or targets (N, outputs); `held_out` is the index of the first test sample."""

    x: Tensor
    y: Tensor
    held_out: int


def digits(path: Path, side: int) -> Data:
    """MNIST averaged down to side x side pixels in [0, 1); the last 1,000 of a fixed shuffle are for testing."""
    table = np.loadtxt(path, delimiter=",")
    order = np.random.default_rng(SEED).permutation(len(table))
    images, labels = table[order, :-1].reshape(-1, 28, 28), table[order, -1]
    block = 28 // side
    sums = images.reshape(-1, side, block, side, block).sum(axis=(2, 4))
    pixels = sums / (256 * block * block)
    return Data(torch.tensor(pixels, dtype=torch.float32).unsqueeze(1), torch.tensor(labels, dtype=torch.int64), 4000)


TURN_RATES = np.deg2rad([0.0, -1.5, 1.5, -3.0, 3.0])  # rad/s: keep course, weak left, weak right, strong left, strong right
LOWEST = np.array([0.0, -np.pi, -np.pi, 50.0, 50.0])  # distance m, bearing rad, relative heading rad, own speed m/s, intruder's speed m/s
HIGHEST = np.array([8000.0, np.pi, np.pi, 250.0, 250.0])


def encounter_costs(states: np.ndarray) -> np.ndarray:
    """Cost (N, 5) of each advisory for states (N, 5) in units: nearness of the closest approach in 40 s, plus the effort of the turn.

    The own aircraft starts at the origin, flies along +x and turns at the advised rate; the intruder flies straight. The nearness
    is 1 / (1 + (d / 600 m)^2) for the least distance d over steps of one second.
    """
    distance, bearing, heading, own, intruder = states.T[:, :, None]
    x, y = distance * np.cos(bearing), distance * np.sin(bearing)
    own_x = own_y = np.zeros((len(states), 1))
    course = np.zeros((1, len(TURN_RATES)))
    least = np.repeat(distance, len(TURN_RATES), axis=1)
    for _ in range(40):
        course = course + TURN_RATES
        own_x, own_y = own_x + own * np.cos(course), own_y + own * np.sin(course)
        x, y = x + intruder * np.cos(heading), y + intruder * np.sin(heading)
        least = np.minimum(least, np.hypot(x - own_x, y - own_y))
    return 1 / (1 + (least / 600) ** 2) + 0.03 * np.abs(TURN_RATES) / np.deg2rad(1.5)


def encounters() -> Data:
    """60,000 simulated encounters, uniform in the box, scaled to [-1/2, 1/2]; the last 4,000 are for testing."""
    unit = np.random.default_rng(SEED).random((60000, 5))
    costs = encounter_costs(LOWEST + unit * (HIGHEST - LOWEST))
    return Data(torch.tensor(unit - 0.5, dtype=torch.float32), torch.tensor(costs, dtype=torch.float32), 56000)


# --- Networks ------------------------------------------------------------------------------------------------------------------


def dense(sizes: list[int], *activations: type[nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for i, (m, n) in enumerate(zip(sizes[:-1], sizes[1:])):
        layers.append(nn.Linear(m, n))
        if i < len(sizes) - 2:
            layers.append(activations[i % len(activations)]())
    return nn.Sequential(*layers)


def convolutional() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(6, 12, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(192, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


class Block(nn.Module):
    """relu(skip(x) + bn(conv(relu(bn(conv(x)))))); the skip is a strided 1 x 1 convolution with batch norm where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.skip = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.skip(x) + self.body(x))


def residual() -> nn.Sequential:
    stem = (nn.Conv2d(1, 8, 5, stride=3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    return nn.Sequential(*stem, Block(8, 8, 1), Block(8, 16, 2), nn.Flatten(), nn.Linear(64, 10))


@dataclass(frozen=True)
class Recipe:
    """How a network is built and trained. `noise`: radius of the one-step attack that training samples are moved by."""

    build: Callable[[], nn.Module]
    side: int | None
    epochs: int
    noise: float
    opset: int
    l1: float = 0.0


RECIPES = {
    "tiny": Recipe(lambda: dense([49, 20, 10], nn.ReLU), 7, 60, 0.03, 13),
    "dense": Recipe(lambda: dense([196, 64, 64, 10], nn.ReLU), 14, 40, 0.06, 13, 2e-5),
    "convolutional": Recipe(convolutional, 14, 40, 0.06, 14, 1e-5),
    "residual": Recipe(residual, 14, 30, 0.05, 15, 1e-5),
    "smooth": Recipe(lambda: dense([196, 32, 32, 10], nn.Sigmoid, nn.Tanh), 14, 40, 0.06, 16, 1e-5),
    "avoidance": Recipe(lambda: dense([5, 32, 32, 32, 32, 5], nn.ReLU), None, 60, 0.0, 17),
}


def attacked(model: nn.Module, x: Tensor, y: Tensor, radius: float) -> Tensor:
    """One gradient-sign step from a random point of the box of `radius` around x, clipped to [0, 1]."""
    start = (x + radius * (2 * torch.rand_like(x) - 1)).clamp(0, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(model(start), y), start)
    moved = start.detach() + 1.25 * radius * gradient.sign()
    return torch.minimum(torch.maximum(moved, x - radius), x + radius).clamp(0, 1)


def fit(recipe: Recipe, data: Data) -> nn.Module:
    torch.manual_seed(SEED)
    model = recipe.build().train()
    x, y = data.x[: data.held_out], data.y[: data.held_out]
    classifies = y.dtype == torch.int64
    batch = 100 if classifies else 500
    loss_of = nn.functional.cross_entropy if classifies else nn.functional.mse_loss
    steps = recipe.epochs * (len(x) // batch)
    optimiser = torch.optim.Adam(model.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for epoch in range(recipe.epochs):
        radius = recipe.noise * min(1.0, 2 * epoch / recipe.epochs)
        for rows in torch.randperm(len(x)).split(batch):
            inputs = attacked(model, x[rows], y[rows], radius) if radius else x[rows]
            loss = loss_of(model(inputs), y[rows]) + recipe.l1 * sum(p.abs().sum() for p in model.parameters())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def quality(model: nn.Module, data: Data) -> str:
    with torch.no_grad():
        outputs = model(data.x[data.held_out :])
    truth = data.y[data.held_out :]
    if truth.dtype == torch.int64:
        return f"{(outputs.argmax(1) == truth).double().mean():.1%} of the held-out digits right"
    best = truth.gather(1, outputs.argmin(1, keepdim=True))[:, 0] - truth.min(1).values
    return f"root mean square error {(outputs - truth).square().mean().sqrt():.4f}, mean regret of the advised turn {best.mean():.4f}"


def export(model: nn.Module, data: Data, path: Path, opset: int) -> None:
    """Writes ONNX with a symbolic batch. PRESERVE without folding keeps batch normalisation as nodes of their own, in inference mode."""
    torch.onnx.export(
        model,
        (data.x[:1],),
        str(path),
        dynamo=False,
        opset_version=opset,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        input_names=["input"],
        output_names=["output"],
        dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
    )


# --- Properties ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Robust:
    """The digit of held-out sample `sample` stays the answer for every change of each pixel by at most radius / 1024."""

    sample: int
    radius: int


@dataclass(frozen=True)
class Patch:
    """The digit of held-out sample `sample` stays the answer whatever the size x size pixels from (top, left) are; the others are fixed."""

    sample: int
    top: int
    left: int
    size: int


@dataclass(frozen=True)
class Region:
    """All states between `lower` and `upper`, in the units of LOWEST, meet `claim`; `violation` is its negation."""

    title: str
    lower: list[float]
    upper: list[float]
    claim: str
    violation: list[list[str]]


AWAY = [6000, 1.8, 1.4, 50, 50], [8000, 2.6, 2.0, 150, 150]
AWAY_WIDE = [6000, 1.6, 1.2, 50, 50], [8000, 2.8, 2.2, 250, 250]
HEAD_ON = [1500, -0.1, 2.8, 100, 100], [3000, 0.1, 3.1, 200, 200]
OVERTAKEN = [500, -0.2, -0.2, 200, 50], [3000, 0.2, 0.2, 250, 120]
KEEP_COURSE = [[f"(<= Y_{j} Y_0)"] for j in range(1, 5)]
NOT_KEEP_COURSE = [[f"(<= Y_0 Y_{j})" for j in range(1, 5)]]

PROPERTIES: dict[str, list[Robust | Patch | Region]] = {
    "tiny": [Robust(1, 32), Robust(2, 32), Robust(2, 48), Robust(0, 32), Robust(5, 24)],
    "dense": [
        *(Robust(0, 48), Robust(1, 32), Robust(2, 56), Robust(5, 40), Robust(13, 44), Robust(2, 60)),
        *(Robust(2, 96), Robust(10, 48), Robust(5, 56)),
    ],
    "convolutional": [
        *(Robust(0, 32), Robust(2, 32), Robust(2, 44), Robust(10, 44), Robust(13, 48), Patch(9, 5, 5, 2)),
        *(Robust(2, 64), Robust(13, 80), Patch(10, 5, 5, 4)),
    ],
    "residual": [
        *(Robust(1, 24), Robust(0, 16), Robust(2, 28), Robust(10, 24), Robust(5, 24)),
        *(Robust(2, 64), Robust(5, 80), Robust(10, 52)),
    ],
    "smooth": [
        *(Robust(0, 32), Robust(2, 16), Robust(2, 36), Robust(5, 32), Robust(13, 44), Patch(9, 5, 5, 2)),
        *(Robust(2, 64), Robust(10, 64), Patch(10, 5, 5, 4)),
    ],
    "avoidance": [
        Region("away_cost", *AWAY, "keeping course costs less than 0.3", [["(>= Y_0 0.3)"]]),
        Region("away_keep", *AWAY, "keeping course is advised", KEEP_COURSE),
        Region("away_range", *AWAY_WIDE, "keeping course costs between -0.1 and 0.1", [["(>= Y_0 0.1)"], ["(<= Y_0 -0.1)"]]),
        Region("away_wide", *AWAY_WIDE, "keeping course is advised", KEEP_COURSE),
        Region("headon_cost", *HEAD_ON, "keeping course costs more than 0.2", [["(<= Y_0 0.2)"]]),
        Region("headon_turn", *HEAD_ON, "keeping course is not advised", NOT_KEEP_COURSE),
        Region("overtaken_turn", *OVERTAKEN, "keeping course is not advised", NOT_KEEP_COURSE),
        Region("anywhere_cost", list(LOWEST), list(HIGHEST), "keeping course costs less than 1", [["(>= Y_0 1.0)"]]),
    ],
}


def decimal(value: float) -> str:
    """The exact decimal of a float; the values used here have short ones."""
    text = format(Decimal(float(value)), "f")
    return text.rstrip("0") if "." in text else text + ".0"


def property_text(comment: list[str], lower: np.ndarray, upper: np.ndarray, outputs: int, violation: list[list[str]]) -> str:
    """VNN-LIB 1: the box [lower, upper] and the outputs that would be a violation, one list of comparisons an arm of the `or`."""
    lines = [f"; {line}" for line in comment] + [""]
    lines += [f"(declare-const X_{i} Real)" for i in range(len(lower))] + [f"(declare-const Y_{j} Real)" for j in range(outputs)] + [""]
    for i, (low, high) in enumerate(zip(lower, upper)):
        lines += [f"(assert (>= X_{i} {decimal(low)}))", f"(assert (<= X_{i} {decimal(high)}))"]
    arms = [f"    (and {' '.join(arm)})" for arm in violation]
    return "\n".join([*lines, "", "(assert (or", *arms, "))", ""])


def robustness(model: nn.Module, data: Data, prop: Robust | Patch) -> str:
    image, label = data.x[data.held_out + prop.sample], int(data.y[data.held_out + prop.sample])
    with torch.no_grad():
        scores = model(image.unsqueeze(0))[0]
    if int(scores.argmax()) != label:
        raise SystemExit(f"held-out sample {prop.sample} is a {label}, but the network says {int(scores.argmax())}")
    centre = image[0].double().numpy()
    if isinstance(prop, Robust):
        radius = prop.radius / 1024
        lower, upper = np.maximum(centre - radius, 0), np.minimum(centre + radius, 1)
        change = f"each pixel may change by at most {decimal(radius)}, clipped to [0, 1]."
    else:
        lower, upper = centre.copy(), centre.copy()
        square = slice(prop.top, prop.top + prop.size), slice(prop.left, prop.left + prop.size)
        lower[square], upper[square] = 0.0, 1.0
        change = f"the {prop.size} x {prop.size} pixels from row {prop.top}, column {prop.left} are free, the others are fixed."
    comment = [
        f"MNIST digit {label}, held-out sample {prop.sample}: {change}",
        f"Violated if another digit scores at least as high as {label}.",
    ]
    arms = [[f"(>= Y_{j} Y_{label})"] for j in range(len(scores)) if j != label]
    return property_text(comment, lower.ravel(), upper.ravel(), len(scores), arms)


def region(prop: Region) -> str:
    """The box scaled to [-1/2, 1/2] as in encounters() and rounded to multiples of 1/1024."""
    scaled = [(np.asarray(side) - LOWEST) / (HIGHEST - LOWEST) - 0.5 for side in (prop.lower, prop.upper)]
    lower, upper = (np.round(side * 1024) / 1024 for side in scaled)
    units = ["distance m", "bearing rad", "relative heading rad", "own speed m/s", "intruder's speed m/s"]
    ranges = [f"{unit} {a:.5g} to {b:.5g}" for unit, a, b in zip(units, prop.lower, prop.upper)]
    comment = [f"Claim: {prop.claim}. States, each scaled and rounded to a multiple of 1/1024:", ", ".join(ranges)]
    return property_text(comment, lower, upper, len(TURN_RATES), prop.violation)


def file_name(network: str, prop: Robust | Patch | Region) -> str:
    if isinstance(prop, Region):
        return f"{network}_{prop.title}.vnnlib"
    change = f"radius{prop.radius}" if isinstance(prop, Robust) else f"patch{prop.size}"
    return f"{network}_sample{prop.sample}_{change}.vnnlib"


SAMPLES = 16
"""Held-out digits that the templates are about."""


def write_samples(mnist: Path) -> None:
    """data/digits7.csv, label first and exact decimals; data/digits14.npz; data/digit9.png, a digit of 14 x 14 pixels in 8 bits."""
    for side, write in ((7, _csv), (14, _npz)):
        digit = digits(mnist, side)
        chosen = slice(digit.held_out, digit.held_out + SAMPLES)
        write(digit.x[chosen].numpy(), digit.y[chosen].numpy())


def _csv(images: np.ndarray, labels: np.ndarray) -> None:
    rows = [",".join([str(label), *map(decimal, image.ravel())]) for image, label in zip(images, labels)]
    header = ",".join(["label", *(f"pixel{i}" for i in range(images[0].size))])
    (HERE / "data" / "digits7.csv").write_text("\n".join([header, *rows, ""]), encoding="ascii")


def _npz(images: np.ndarray, labels: np.ndarray) -> None:
    np.savez_compressed(HERE / "data" / "digits14.npz", inputs=images, labels=labels)
    Image.fromarray((images[9, 0] * 256).astype(np.uint8)).save(HERE / "data" / "digit9.png")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the networks of this folder and write their properties.")
    parser.add_argument("--mnist", type=Path, required=True, help="mnist_5k.csv.gz, see README.md")
    parser.add_argument("networks", nargs="*", choices=[[], *RECIPES], help="which ones; all if none is named")
    arguments = parser.parse_args()
    write_samples(arguments.mnist)
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    for name in arguments.networks or RECIPES:
        recipe = RECIPES[name]
        data = encounters() if recipe.side is None else digits(arguments.mnist, recipe.side)
        model = fit(recipe, data)
        export(model, data, HERE / "networks" / f"{name}.onnx", recipe.opset)
        print(f"{name}: {quality(model, data)}", flush=True)
        for prop in PROPERTIES.get(name, []):
            text = region(prop) if isinstance(prop, Region) else robustness(model, data, prop)
            (HERE / "properties" / file_name(name, prop)).write_text(text, encoding="ascii")


if __name__ == "__main__":
    main()
