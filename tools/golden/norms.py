"""Golden values of LayerNorm and RMSNorm for packages/norms: outputs and gradients in float64.

    python3 tools/golden/norms.py [--check]
"""

import torch

import golden_file

SEED = 4102

#        name                   op           shape      weight bias   eps    mean  std
CASES = [
    ('three rows of 65',        'layerNorm', (3, 65),   True,  True,  1e-5,  0.0,  1.0),
    ('one channel',             'layerNorm', (3, 1),    True,  True,  1e-5,  0.0,  1.0),
    ('no parameters',           'layerNorm', (2, 3, 5), False, False, 1e-5,  0.0,  1.0),
    ('weight only, large eps',  'layerNorm', (1, 2, 3), True,  False, 1e-2,  0.0,  0.1),
    ('far from zero',           'layerNorm', (2, 33),   True,  True,  1e-5,  50.0, 1.0),
    ('a row of 130',            'layerNorm', (1, 130),  True,  True,  1e-12, 0.0,  2.0),
    ('three rows of 65',        'rmsNorm',   (3, 65),   True,  None,  1e-6,  0.0,  1.0),
    ('one channel',             'rmsNorm',   (3, 1),    True,  None,  1e-6,  0.0,  1.0),
    ('no weight',               'rmsNorm',   (2, 3, 5), False, None,  1e-6,  0.0,  1.0),
    ('large eps',               'rmsNorm',   (1, 2, 3), True,  None,  1e-2,  0.0,  0.1),
    ('a row of 130',            'rmsNorm',   (1, 130),  True,  None,  1e-5,  1.0,  2.0),
]


def layer_norm(x, weight, bias, eps):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], weight, bias, eps)


def rms_norm(x, weight, _, eps):
    y = x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + eps)
    return y if weight is None else y * weight


def golden_case(name, op, shape, has_weight, has_bias, eps, mean, std, generator):
    def draw(shape, std, mean=0.0):
        return golden_file.as_float32(golden_file.decimals(shape, generator, std, mean)).requires_grad_()

    x = draw(shape, std, mean)
    weight = draw(shape[-1:], 0.2, 1.0) if has_weight else None
    bias = draw(shape[-1:], 0.2) if has_bias else None
    dy = draw(shape, 1.0)
    y = (layer_norm if op == 'layerNorm' else rms_norm)(x, weight, bias, eps)
    inputs = {key: value for key, value in (('x', x), ('weight', weight), ('bias', bias)) if value is not None}
    grads = torch.autograd.grad(y, list(inputs.values()), dy.detach())
    return {
        'name': name, 'op': op, 'eps': eps,
        **{key: golden_file.values(value, 6) for key, value in {**inputs, 'dy': dy}.items()},
        'y': golden_file.values(y),
        **{f'd{key}': golden_file.values(grad) for key, grad in zip(inputs, grads)},
    }


def main():
    generator = torch.Generator().manual_seed(SEED)
    golden_file.write('packages/norms/test/golden/norms.json', {
        'header': golden_file.header(
            'norms.py', SEED,
            note='Computed in float64 from inputs that are the float32 values of the decimals given. An absent weight or bias is an '
                 'absent key; dy is the gradient of y.'),
        'cases': [golden_case(*case, generator) for case in CASES],
    }, 50_000)


if __name__ == '__main__':
    main()
