"""Writes packages/optimizers/test/golden/optimizers.json: parameter trajectories of PyTorch's optimizers in float64.

Run from the root of the repository, with any Python that has torch:  python3 tools/golden/optimizers.py

The loss is the sum of c (p - target)^2 / 2 over all elements, so the gradient c (p - target) is the same plain formula on
both sides and nothing but the optimizer is compared.
"""
import json
import math
import platform

import torch

SEED = 20260801
STEPS = 20
KEPT = [1, 2, 7, 20]
SHAPES = {"weight": [5, 13], "bias": [3], "gain": [1]}
DECAYING = ["weight"]
OUTPUT = "packages/optimizers/test/golden/optimizers.json"


def cosine(step, peak=0.05, steps=20, warmup=4, floor=0.005):
    """The learning rate of nanoGPT's train.py, step counted from 0."""
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    progress = (step - warmup) / (steps - warmup)
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def adamw(groups, lr, **options):
    return torch.optim.AdamW(groups, lr=lr, **options)


def sgd(groups, lr, **options):
    return torch.optim.SGD(groups, lr=lr, **options)


SCALES = {"weight": 0.25, "bias": 2.0, "gain": 1.0}
INDEPENDENT = 1e-2 / 0.05  # a decay of 0.01 that does not depend on the learning rate, whose peak is 0.05

# name: (optimizer, learning rate, options, decay only the weight?, clip, schedule, learning rates by name in units of the common one)
CASES = {
    "adamw": (adamw, 0.05, dict(betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01), False, None, None),
    "adamw betas eps decay mask": (adamw, 0.02, dict(betas=(0.8, 0.95), eps=1e-3, weight_decay=0.3), True, None, None),
    "adamw clip cosine": (adamw, 0.05, dict(betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1), True, 4.0, cosine),
    "sgd": (sgd, 0.1, dict(), False, None, None),
    "sgd momentum": (sgd, 0.05, dict(momentum=0.9), False, None, None),
    "sgd momentum decay": (sgd, 0.05, dict(momentum=0.9, weight_decay=0.2), False, None, None),
    "sgd nesterov decay mask": (sgd, 0.03, dict(momentum=0.8, nesterov=True, weight_decay=0.2), True, None, None),
    "sgd momentum clip": (sgd, 0.05, dict(momentum=0.9), False, 4.0, None),
    "adamw independent decay": (adamw, 0.05, dict(betas=(0.9, 0.95), eps=1e-8, weight_decay=INDEPENDENT), True, None, cosine),
    "adamw scales": (adamw, 0.05, dict(betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1), False, None, cosine, SCALES),
    "sgd momentum decay scales": (sgd, 0.05, dict(momentum=0.9, weight_decay=0.2), True, None, None, SCALES),
}


def rounded(tensor):
    """Nine digits: more than float32 holds."""
    return [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]


def single(tensor):
    """Rounds to float32, so that both sides start from the same numbers."""
    return tensor.float().double()


def trajectory(start, target, curvature, case):
    make, lr, options, masked, clip, schedule, *more = case
    scales = more[0] if more else {}
    params = {name: value.clone().requires_grad_() for name, value in start.items()}
    decay = options.get("weight_decay", 0)
    groups = [
        {
            "params": [params[name]],
            "weight_decay": 0 if masked and name not in DECAYING else decay,
            "lr": lr * scales.get(name, 1),
            "scale": scales.get(name, 1),
        }
        for name in params
    ]
    optimizer = make(groups, lr, **options)
    kept = {}
    for step in range(STEPS):
        if schedule is not None:
            for group in optimizer.param_groups:
                group["lr"] = schedule(step) * group["scale"]
        for name, param in params.items():
            param.grad = (curvature[name] * (param - target[name])).detach()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(params.values(), clip)
        optimizer.step()
        if step + 1 in KEPT:
            kept[str(step + 1)] = {name: rounded(param) for name, param in params.items()}
    return kept


def main():
    torch.manual_seed(SEED)
    start = {name: single(torch.randn(shape)) for name, shape in SHAPES.items()}
    target = {name: single(torch.randn(shape)) for name, shape in SHAPES.items()}
    curvature = {name: single(0.2 + 2 * torch.rand(shape)) for name, shape in SHAPES.items()}
    golden = {
        "header": {
            "script": "tools/golden/optimizers.py",
            "command": "python3 tools/golden/optimizers.py",
            "seed": SEED,
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
        },
        "shapes": SHAPES,
        "start": {name: rounded(value) for name, value in start.items()},
        "target": {name: rounded(value) for name, value in target.items()},
        "curvature": {name: rounded(value) for name, value in curvature.items()},
        "steps": STEPS,
        "trajectories": {name: trajectory(start, target, curvature, case) for name, case in CASES.items()},
    }
    with open(OUTPUT, "w") as file:
        json.dump(golden, file, separators=(",", ":"))
        file.write("\n")


main()
