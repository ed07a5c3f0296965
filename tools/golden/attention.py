"""Golden values of attention for packages/flash-attention: grouped heads, bottom-right causal masks, windows, soft caps, block masks,
statistics of the rows, and sequences of different lengths in one tensor.

    python3 tools/golden/attention.py [--check]

q is `b t h d`, k and v are `b s g d`. Query i stands beside key i + s - t; causal hides the keys after that one, window [l, r] those
more than l before or r after it (-1: no bound). Query head j reads key-value head j * g // h. A row that sees no key gives 0 and has
a log-sum-exp of +Infinity. softcap c makes c tanh(x / c) of the scaled scores x; blockMask keeps tiles of blockSize.
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

#        name                                b  t  s  h  g  d  options
GENERAL = [
    ('soft cap, causal, grouped heads',     (1, 3, 4, 2, 1, 3), {'causal': True, 'softcap': 0.75}),
    ('soft cap and a scale',                (2, 2, 5, 1, 1, 2), {'scale': 1.5, 'softcap': 2.0}),
    ('block mask, with nothing for a query', (1, 5, 5, 2, 2, 3), {'blockMask': [[1, 0, 1], [0, 0, 0], [0, 1, 0]], 'blockSize': [2, 2]}),
    ('block mask, soft cap, causal',        (1, 4, 6, 1, 1, 3), {'causal': True, 'softcap': 1.25, 'blockMask': [[1, 1], [0, 1]], 'blockSize': [3, 4]}),
]

#        name                                lengths of q  of k       h  g  d  options
VARLEN = [
    ('three sequences, causal',             ([2, 3, 1],    [2, 3, 1]), (2, 1, 3), {'causal': True}),
    ('other numbers of keys, empty ones',   ([1, 0, 3, 2], [4, 1, 2, 0]), (1, 1, 2), {'causal': True, 'window': [1, 0]}),
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


def attention(q, k, v, scale=None, causal=False, window=(-1, -1), softcap=None, blockMask=None, blockSize=None):
    """(out `b t h d`, and lse, rowMax and entropy in nats `b h t`)."""
    t, h, d = q.shape[1:]
    s, g = k.shape[1:3]
    k, v = (x.repeat_interleave(h // g, dim=2) for x in (k, v))
    seen = visible(t, s, causal, window)
    if blockMask is not None:
        tiles = torch.tensor(blockMask, dtype=torch.bool)
        seen &= tiles.repeat_interleave(blockSize[0], dim=0)[:t].repeat_interleave(blockSize[1], dim=1)[:, :s]
    scores = torch.einsum('bthd,bshd->bhts', q, k) * (1 / math.sqrt(d) if scale is None else scale)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    hidden = scores.masked_fill(~seen, float('-inf'))
    lse = torch.logsumexp(hidden, dim=-1)
    empty = ~seen.any(dim=1)
    weights = torch.exp(hidden - lse.masked_fill(empty, 0)[..., None])
    entropy = torch.special.entr(weights.detach()).sum(dim=-1)
    return torch.einsum('bhts,bshd->bthd', weights, v), lse.masked_fill(empty, float('inf')), hidden.amax(dim=-1), entropy


def varlen(q, k, v, lengths, **options):
    """Each sequence by itself: (out `n h d`, lse `h n`)."""
    outs, lses = [], []
    for own_q, own_k, own_v in zip(torch.split(q, lengths[0]), torch.split(k, lengths[1]), torch.split(v, lengths[1])):
        if own_k.shape[0] == 0:
            out, lse = 0 * own_q, torch.full((q.shape[1], own_q.shape[0]), float('inf'), dtype=q.dtype)
        else:
            batch = attention(own_q[None], own_k[None], own_v[None], **options)
            out, lse = batch[0][0], batch[1][0]
        outs.append(out)
        lses.append(lse)
    return torch.cat(outs), torch.cat(lses, dim=1)


def golden_case(name, sizes, options, generator, stats=False):
    b, t, s, h, g, d = sizes
    q, k, v, dy = inputs_of(((b, t, h, d), (b, s, g, d), (b, s, g, d), (b, t, h, d)), generator)
    out, lse, *more = attention(q, k, v, **options)
    compare_with_torch(q, k, v, out, **options)
    extra = {key: golden_file.values(x) for key, x in zip(('rowMax', 'entropy'), more)} if stats else {}
    return {'name': name, 'options': options, **stored(q, k, v, dy, out, lse), **extra}


def varlen_case(name, lengths, sizes, options, generator):
    h, g, d = sizes
    n, m = map(sum, lengths)
    q, k, v, dy = inputs_of(((n, h, d), (m, g, d), (m, g, d), (n, h, d)), generator)
    return {'name': name, 'options': options, 'lengths': lengths, **stored(q, k, v, dy, *varlen(q, k, v, lengths, **options))}


def inputs_of(shapes, generator):
    q, k, v, dy = (golden_file.as_float32(golden_file.decimals(shape, generator)) for shape in shapes)
    return (*(x.requires_grad_() for x in (q, k, v)), dy)


def stored(q, k, v, dy, out, lse):
    grads = torch.autograd.grad(out, (q, k, v), dy)
    inputs = {key: golden_file.values(x, 6) for key, x in (('q', q), ('k', k), ('v', v), ('dy', dy))}
    return {**inputs, **dict(zip(('out', 'lse', 'dq', 'dk', 'dv'), map(golden_file.values, (out, lse, *grads))))}


def compare_with_torch(q, k, v, out, scale=None, causal=False, window=(-1, -1), **more):
    """Where every row sees a key, PyTorch's own attention must agree; it knows no more options than these."""
    seen = visible(q.shape[1], k.shape[1], causal, window)
    own = getattr(torch.nn.functional, 'scaled_dot_product_attention', None)
    if own is None or more or not seen.any(dim=1).all():
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
        'general': [golden_case(*case, generator, stats=True) for case in GENERAL],
        'varlen': [varlen_case(*case, generator) for case in VARLEN],
    }, 50_000)


if __name__ == '__main__':
    main()
