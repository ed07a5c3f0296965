"""Golden values of adaptive LayerNorm, dynamic tanh and Gemma's RMSNorm for packages/norms: outputs and gradients in float64.

    python3 tools/golden/dynamic_norms.py [--check]
"""

import torch

import golden_file

SEED = 5203

#        name                        op              shape      eps
CASES = [
    ('two sequences of three',       'adaLayerNorm', (2, 3, 7), 1e-6),
    ('an image, large eps',          'adaLayerNorm', (2, 2, 2, 5), 1e-2),
    ('one position',                 'adaLayerNorm', (3, 33),   1e-6),
    ('three rows of 33',             'dynamicTanh',  (3, 33),   None),
    ('steep',                        'dynamicTanh',  (2, 2, 5), None),
    ('weights from 0',               'gemmaRmsNorm', (2, 3, 7), 1e-6),
]


def ada_layer_norm(inputs, eps):
    x = inputs['x']
    over_positions = lambda m: m.reshape(m.shape[0], *[1] * (x.dim() - 2), m.shape[-1])
    y = torch.nn.functional.layer_norm(x, x.shape[-1:], None, None, eps)
    return y * (1 + over_positions(inputs['scale'])) + over_positions(inputs['shift'])


def dynamic_tanh(inputs, _):
    return torch.tanh(inputs['alpha'] * inputs['x']) * inputs['weight'] + inputs['bias']


def gemma_rms_norm(inputs, eps):
    x = inputs['x']
    return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + eps) * (1.0 + inputs['weight'])


OPS = {'adaLayerNorm': ada_layer_norm, 'dynamicTanh': dynamic_tanh, 'gemmaRmsNorm': gemma_rms_norm}


def golden_case(name, op, shape, eps, generator):
    def draw(shape, std, mean=0.0):
        return golden_file.as_float32(golden_file.decimals(shape, generator, std, mean)).requires_grad_()

    inputs = {'x': draw(shape, 1.5, 0.5)}
    if op == 'adaLayerNorm':
        inputs |= {'shift': draw((shape[0], shape[-1]), 0.5), 'scale': draw((shape[0], shape[-1]), 0.5)}
    elif op == 'dynamicTanh':
        inputs |= {'alpha': draw((1,), 0.1, 3.0 if name == 'steep' else 0.5), 'weight': draw(shape[-1:], 0.2, 1.0), 'bias': draw(shape[-1:], 0.2)}
    else:
        inputs |= {'weight': draw(shape[-1:], 0.2)}
    dy = draw(shape, 1.0)
    y = OPS[op](inputs, eps)
    grads = torch.autograd.grad(y, list(inputs.values()), dy.detach())
    return {
        'name': name, 'op': op, 'eps': eps,
        'inputs': {key: golden_file.values(value, 6) for key, value in inputs.items()},
        'dy': golden_file.values(dy, 6), 'y': golden_file.values(y),
        'grads': {key: golden_file.values(grad) for key, grad in zip(inputs, grads)},
    }


def main():
    generator = torch.Generator().manual_seed(SEED)
    golden_file.write('packages/norms/test/golden/dynamicNorms.json', {
        'header': golden_file.header(
            'dynamic_norms.py', SEED, note='Computed in float64 from inputs that are the float32 values of the decimals given; dy is the gradient of y.'),
        'cases': [golden_case(*case, generator) for case in CASES],
    }, 50_000)


if __name__ == '__main__':
    main()
