"""What the golden writers share: rounding, headers, writing, and comparing a file with what its script would write now."""

import json
import math
import os
import sys

import torch

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))


def target(path):
    """An absolute path from one relative to the repository."""
    return os.path.join(REPOSITORY, path)


def header(script, seed, **notes):
    """How the file came about, and the command that rewrites it."""
    return {
        'script': f'tools/golden/{script}', 'seed': seed, 'torch': torch.__version__,
        'regenerate': f'python3 tools/golden/{script}', **notes,
    }


def rounded(value, digits=9):
    """A number with 9 significant digits (which determine a float32); infinities and NaN as strings, since JSON has none."""
    value = float(value)
    if not math.isfinite(value):
        return 'NaN' if math.isnan(value) else ('Infinity' if value > 0 else '-Infinity')
    short = float(f'{value:.{digits}g}')
    return int(short) if short == int(short) and abs(short) < 1e9 else short


def values(tensor, digits=9):
    """{shape, values}: row-major numbers."""
    return {'shape': list(tensor.shape), 'values': [rounded(each, digits) for each in tensor.detach().reshape(-1).tolist()]}


def decimals(shape, generator, std=1.0, mean=0.0):
    """Seeded normal numbers with three decimals: short in JSON, and one float32 each wherever they are parsed."""
    numbers = torch.randn(shape, generator=generator, dtype=torch.float64) * std + mean
    return torch.tensor([float(f'{each:.3f}') for each in numbers.reshape(-1).tolist()], dtype=torch.float64).reshape(shape)


def as_float32(tensor):
    """The float64 values that a float32 program sees."""
    return tensor.to(torch.float32).to(torch.float64)


def write(path, content, limit):
    """Writes JSON with one tensor per line; with --check compares with the file instead and exits with 1 if it is stale."""
    text = _format(content) + '\n'
    if len(text) > limit:
        raise SystemExit(f'{path}: {len(text)} bytes, at most {limit}')
    if '--check' in sys.argv:
        _check(path, json.loads(text))
        return
    os.makedirs(os.path.dirname(target(path)), exist_ok=True)
    with open(target(path), 'w', encoding='utf-8') as file:
        file.write(text)
    print(f'{path}: {len(text)} bytes')


def _check(path, expected):
    with open(target(path), encoding='utf-8') as file:
        found = json.load(file)
    for content in (expected, found):
        content['header'].pop('torch')
    difference = _difference(expected, found, '')
    if difference:
        raise SystemExit(f'{path} is stale at {difference}; rewrite it with: {expected["header"]["regenerate"]}')
    print(f'{path}: up to date')


def _difference(expected, found, place):
    if isinstance(expected, dict) and isinstance(found, dict) and expected.keys() == found.keys():
        return next(filter(None, (_difference(expected[key], found[key], f'{place}/{key}') for key in expected)), None)
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return next(filter(None, (_difference(a, b, f'{place}/{i}') for i, (a, b) in enumerate(zip(expected, found)))), None)
    if isinstance(expected, (int, float)) and isinstance(found, (int, float)):
        return None if math.isclose(expected, found, rel_tol=2e-6, abs_tol=2e-8) else place  # versions of torch round differently
    return None if expected == found else place


def _format(content, indent=''):
    """Objects one key per line down to those that hold only numbers, strings and lists of them."""
    if isinstance(content, dict) and any(isinstance(each, dict) or _is_table(each) for each in content.values()):
        inner = indent + ' '
        lines = [f'{inner}{json.dumps(key)}: {_format(each, inner)}' for key, each in content.items()]
        return '{\n' + ',\n'.join(lines) + f'\n{indent}}}'
    if _is_table(content):
        inner = indent + ' '
        return '[\n' + ',\n'.join(inner + _format(each, inner) for each in content) + f'\n{indent}]'
    return json.dumps(content, separators=(',', ':'), ensure_ascii=False)


def _is_table(content):
    return isinstance(content, list) and any(isinstance(each, (dict, list)) for each in content)
