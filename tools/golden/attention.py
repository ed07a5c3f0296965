"""Golden values of attention for packages/flash-attention: grouped heads, bottom-right causal masks, windows.

    python3 tools/golden/attention.py [--check]

q is `b t h d`, k and v are `b s g d`. Query i stands beside key i + s - t; causal hides the keys after that one, window [l, r] those
more than l before or r after it (-1: no bound). Query head j reads key-value head j * g // h. A row that sees no key gives 0 and has
a log-sum-exp of +Infinity.
"""

import math

import torch

import golden_file

SEED = 4101

#        name                                b  t  s  h  g  d  options
CASES = [
    ('full',                                (2, 3, 3, 2, 2, 4), {}),
    ('causal, 65 keys of width 1',          (1, 2, 65, 1, 1, 1), {'causal': True}),
    ('causal, fewer queries than keys',     (1, 3, 7, 2, 2, 5), {'causal': True}),
    ('causal, more queries than keys',      (1, 5, 3, 1, 1, 3), {'causal': True}),
    ('grouped heads',                       (1, 4, 5, 4, 2, 3), {'scale': 0.25}),
    ('one key-value head, causal',          (2, 3, 3, 3, 1, 3), {'causal': True}),
    ('window',                              (1, 6, 6, 1, 1, 3), {'window': [2, 1]}),
    ('causal window, fewer queries',        (1, 4, 7, 2, 1, 3), {'causal': True, 'window': [2, 0]}),
    ('window that misses every key',        (1, 6, 2, 1, 1, 2), {'window': [1, 0]}),
]


def visible(t, s, causal=False, window=(-1, -1)):
    """`t s`: whether query i sees key j."""
    offset = torch.arange(s)[None, :] - (torch.arange(t)[:, None] + s - t)
    seen = torch.ones(t, s, dtype=torch.bool)
    if causal:
        seen &= offset <= 0
    if window[0] >= 0:
        seen &= offset >= -window[0]
    if window[1] >= 0:
        seen &= offset <= window[1]
    return seen


def attention(q, k, v, scale=None, causal=False, window=(-1, -1)):
    """(out `b t h d`, lse `b h t`)."""
    t, h, d = q.shape[1:]
    s, g = k.shape[1:3]
    k, v = (x.repeat_interleave(h // g, dim=2) for x in (k, v))
    seen = visible(t, s, causal, window)
    scores = torch.einsum('bthd,bshd->bhts', q, k) * (1 / math.sqrt(d) if scale is None else scale)
    lse = torch.logsumexp(scores.masked_fill(~seen, float('-inf')), dim=-1)
    empty = ~seen.any(dim=1)
    weights = torch.exp(scores.masked_fill(~seen, float('-inf')) - lse.masked_fill(empty, 0)[..., None])
    return torch.einsum('bhts,bshd->bthd', weights, v), lse.masked_fill(empty, float('inf'))


def golden_case(name, sizes, options, generator):
    b, t, s, h, g, d = sizes
    q, k, v, dy = (
        golden_file.as_float32(golden_file.decimals(shape, generator))
        for shape in ((b, t, h, d), (b, s, g, d), (b, s, g, d), (b, t, h, d)))
    leaves = [x.requires_grad_() for x in (q, k, v)]
    out, lse = attention(q, k, v, **options)
    compare_with_torch(q, k, v, out, **options)
    grads = torch.autograd.grad(out, leaves, dy)
    inputs = {key: golden_file.values(x, 6) for key, x in (('q', q), ('k', k), ('v', v), ('dy', dy))}
    outputs = dict(zip(('out', 'lse', 'dq', 'dk', 'dv'), map(golden_file.values, (out, lse, *grads))))
    return {'name': name, 'options': options, **inputs, **outputs}


def compare_with_torch(q, k, v, out, scale=None, causal=False, window=(-1, -1)):
    """Where every row sees a key, PyTorch's own attention must agree."""
    seen = visible(q.shape[1], k.shape[1], causal, window)
    own = getattr(torch.nn.functional, 'scaled_dot_product_attention', None)
    if own is None or not seen.any(dim=1).all():
        return
    factor = 1 if scale is None else scale * math.sqrt(q.shape[-1])
    repeated = [x.repeat_interleave(q.shape[2] // k.shape[2], dim=2).transpose(1, 2) for x in (k, v)]
    expected = own((q * factor).transpose(1, 2), *repeated, attn_mask=seen).transpose(1, 2)
    assert torch.allclose(out, expected, rtol=1e-10, atol=1e-12), 'attention.py disagrees with scaled_dot_product_attention'


def main():
    generator = torch.Generator().manual_seed(SEED)
    golden_file.write('packages/flash-attention/test/golden/attention.json', {
        'header': golden_file.header(
            'attention.py', SEED,
            note='Computed in float64 from inputs that are the float32 values of the decimals given. dy is the gradient of out; '
                 'lse `b h t` is the natural log-sum-exp of the scaled scores, "Infinity" where a row sees no key.'),
        'cases': [golden_case(*case, generator) for case in CASES],
    }, 50_000)


if __name__ == '__main__':
    main()
