"""Golden values of rotary positions for packages/layers: outputs and gradients in float64, by the formulas of GPT-NeoX and GPT-J.

    python3 tools/golden/rotary.py [--check]
"""

import torch

import golden_file

SEED = 2104

#        name                        shape (b t h d)  base    rotaryDim interleaved positions
CASES = [
    ('halves apart',                 (2, 5, 3, 8),    10000,  8,        False,      [0, 1, 2, 3, 4]),
    ('neighbours',                   (2, 5, 3, 8),    10000,  8,        True,       [0, 1, 2, 3, 4]),
    ('part of the channels',         (1, 3, 2, 10),   10000,  6,        False,      [7, 8, 9]),
    ('part, neighbours',             (1, 3, 1, 7),    10000,  6,        True,       [7, 8, 9]),
    ('far away, a large base',       (1, 3, 2, 18),   500000, 18,       False,      [100000, 100001, 131071]),
    ('far away, neighbours',         (1, 3, 2, 18),   10000,  18,       True,       [100000, 3, 131071]),
    ('positions of each sequence',   (2, 2, 1, 4),    10000,  4,        False,      [5, 0, 1, 90]),
]


def rotate_half(x):
    a, b = x.chunk(2, dim=-1)
    return torch.cat((-b, a), dim=-1)


def rotate_every_two(x):
    return torch.stack((-x[..., 1::2], x[..., ::2]), dim=-1).flatten(-2)


def rotary(x, base, rotary_dim, interleaved, positions):
    positions = torch.tensor(positions, dtype=torch.float64).reshape(-1, x.shape[1])  # 1|b t
    frequencies = 1.0 / base ** (torch.arange(0, rotary_dim, 2, dtype=torch.float64) / rotary_dim)
    angles = (positions[..., None] * frequencies)[:, :, None, :]  # 1|b t 1 r/2
    angles = angles.repeat_interleave(2, dim=-1) if interleaved else torch.cat((angles, angles), dim=-1)
    turned, rest = x[..., :rotary_dim], x[..., rotary_dim:]
    rotate = rotate_every_two if interleaved else rotate_half
    return torch.cat((turned * angles.cos() + rotate(turned) * angles.sin(), rest), dim=-1)


def golden_case(name, shape, base, rotary_dim, interleaved, positions, generator):
    x = golden_file.as_float32(golden_file.decimals(shape, generator)).requires_grad_()
    dy = golden_file.as_float32(golden_file.decimals(shape, generator))
    y = rotary(x, base, rotary_dim, interleaved, positions)
    (dx,) = torch.autograd.grad(y, x, dy)
    return {
        'name': name, 'options': {'base': base, 'rotaryDim': rotary_dim, 'interleaved': interleaved, 'positions': positions},
        'x': golden_file.values(x, 6), 'dy': golden_file.values(dy, 6), 'y': golden_file.values(y), 'dx': golden_file.values(dx),
    }


def main():
    generator = torch.Generator().manual_seed(SEED)
    golden_file.write('packages/layers/test/golden/rotary.json', {
        'header': golden_file.header('rotary.py', SEED, note='Computed in float64 from inputs that are the float32 values of the decimals given; dy is the gradient of y.'),
        'cases': [golden_case(*case, generator) for case in CASES],
    }, 50_000)


if __name__ == '__main__':
    main()
