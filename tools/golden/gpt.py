"""GPT-2 in plain PyTorch, with the names and layouts of Hugging Face, and the golden files of packages/models-gpt.

    python3 tools/golden/gpt.py            writes them
    python3 tools/golden/gpt.py --check    says whether they are what this script would write

The model is that of `GPT2LMHeadModel` without dropout: pre-norm blocks, Conv1D weights stored `in out`, tanh-GELU ("gelu_new"),
a head tied to `wte`. Parameters are a dict from name (without the `transformer.` prefix) to tensor.
"""

import json
import math
import os
import struct
import sys

import torch

import golden_file
import safetensors_lite
from safetensors_lite import Entry

SEED = 20260
GOLDEN = 'packages/models-gpt/test/golden'
FINAL = ['wpe.weight', 'h.0.attn.c_proj.weight', 'h.1.mlp.c_fc.weight', 'h.1.mlp.c_fc.bias', 'ln_f.weight']

# Exactly what transformers 4 writes for GPT2Config(n_layer=2, n_embd=16, n_head=2, n_positions=32, vocab_size=65).
TINY_CONFIG = {
    'activation_function': 'gelu_new', 'architectures': ['GPT2LMHeadModel'], 'attn_pdrop': 0.1, 'bos_token_id': 50256,
    'embd_pdrop': 0.1, 'eos_token_id': 50256, 'initializer_range': 0.02, 'layer_norm_epsilon': 1e-05, 'model_type': 'gpt2',
    'n_embd': 16, 'n_head': 2, 'n_inner': None, 'n_layer': 2, 'n_positions': 32, 'reorder_and_upcast_attn': False,
    'resid_pdrop': 0.1, 'scale_attn_by_inverse_layer_idx': False, 'scale_attn_weights': True, 'summary_activation': None,
    'summary_first_dropout': 0.1, 'summary_proj_to_labels': True, 'summary_type': 'cls_index', 'summary_use_proj': True,
    'torch_dtype': 'float32', 'transformers_version': '4.46.3', 'use_cache': True, 'vocab_size': 65,
}
# The published `gpt2` directory is older: other keys, names without prefix, and the causal mask among the tensors.
OLD_CONFIG = {
    **{key: value for key, value in TINY_CONFIG.items() if key not in (
        'n_inner', 'reorder_and_upcast_attn', 'scale_attn_by_inverse_layer_idx', 'scale_attn_weights', 'torch_dtype',
        'transformers_version', 'use_cache')},
    'n_ctx': 32, 'task_specific_params': {'text-generation': {'do_sample': True, 'max_length': 50}},
}


def parameter_shapes(config):
    """Name -> shape of every parameter, in the order of the published files."""
    dim, hidden = config['n_embd'], config.get('n_inner') or 4 * config['n_embd']
    shapes = {'wte.weight': (config['vocab_size'], dim), 'wpe.weight': (config['n_positions'], dim)}
    for i in range(config['n_layer']):
        shapes.update({
            f'h.{i}.ln_1.weight': (dim,), f'h.{i}.ln_1.bias': (dim,),
            f'h.{i}.attn.c_attn.weight': (dim, 3 * dim), f'h.{i}.attn.c_attn.bias': (3 * dim,),
            f'h.{i}.attn.c_proj.weight': (dim, dim), f'h.{i}.attn.c_proj.bias': (dim,),
            f'h.{i}.ln_2.weight': (dim,), f'h.{i}.ln_2.bias': (dim,),
            f'h.{i}.mlp.c_fc.weight': (dim, hidden), f'h.{i}.mlp.c_fc.bias': (hidden,),
            f'h.{i}.mlp.c_proj.weight': (hidden, dim), f'h.{i}.mlp.c_proj.bias': (dim,),
        })
    return {**shapes, 'ln_f.weight': (dim,), 'ln_f.bias': (dim,)}


def forward(params, tokens, config):
    """tokens `b t` -> logits `b t v`."""
    eps = config['layer_norm_epsilon']
    norm = lambda x, name: torch.nn.functional.layer_norm(x, x.shape[-1:], params[f'{name}.weight'], params[f'{name}.bias'], eps)
    conv1d = lambda x, name: x @ params[f'{name}.weight'] + params[f'{name}.bias']
    x = params['wte.weight'][tokens] + params['wpe.weight'][:tokens.shape[1]]
    for i in range(config['n_layer']):
        mixed = attention(conv1d(norm(x, f'h.{i}.ln_1'), f'h.{i}.attn.c_attn'), config['n_head'])
        x = x + conv1d(mixed, f'h.{i}.attn.c_proj')
        hidden = gelu_new(conv1d(norm(x, f'h.{i}.ln_2'), f'h.{i}.mlp.c_fc'))
        x = x + conv1d(hidden, f'h.{i}.mlp.c_proj')
    head = params.get('lm_head.weight', params['wte.weight'])
    return norm(x, 'ln_f') @ head.T


def attention(qkv, num_heads):
    """qkv `b t 3c` -> `b t c`: causal, scaled by 1/sqrt(head width)."""
    b, t, c = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    q, k, v = (part.reshape(b, t, num_heads, c // num_heads).transpose(1, 2) for part in qkv.split(c, dim=2))  # b h t d
    scores = q @ k.transpose(2, 3) / math.sqrt(c // num_heads)  # b h t t
    future = torch.ones(t, t, dtype=torch.bool).triu(1)
    weights = torch.softmax(scores.masked_fill(future, float('-inf')), dim=-1)
    return (weights @ v).transpose(1, 2).reshape(b, t, c)


def gelu_new(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


def next_token_loss(logits, tokens):
    """The mean cross-entropy of tokens[:, 1:] given what stands before, in nats."""
    vocabulary = logits.shape[-1]
    return torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, vocabulary), tokens[:, 1:].reshape(-1))


def init(config, generator):
    """Larger than GPT-2's own initialisation, so that every part of the model moves the logits visibly."""
    def draw(name, shape):
        noise = torch.randn(shape, generator=generator)
        if name.endswith('.bias'):
            return 0.1 * noise
        return 1 + 0.1 * noise if '.ln_' in f'.{name}' else 0.25 * noise

    return {name: draw(name, shape) for name, shape in parameter_shapes(config).items()}


def leaves(params, dtype):
    """Copies that collect gradients; training changes them and not `params`."""
    return {name: value.detach().clone().to(dtype).requires_grad_() for name, value in params.items()}


def to_entry(tensor):
    """float32 or bool -> safetensors Entry."""
    flat = tensor.detach().reshape(-1).tolist()
    dtype, code = ('BOOL', '?') if tensor.dtype == torch.bool else ('F32', 'f')
    return Entry(dtype, tuple(tensor.shape), struct.pack(f'<{len(flat)}{code}', *flat))


def from_entry(entry):
    """Entry of a float dtype -> float32 tensor (F64 is rounded)."""
    codes = {'F32': torch.float32, 'F64': torch.float64, 'F16': torch.float16, 'BF16': torch.bfloat16}
    if not entry.data:
        return torch.zeros(entry.shape)
    return torch.frombuffer(bytearray(entry.data), dtype=codes[entry.dtype]).reshape(entry.shape).to(torch.float32)


def train(params, batches, config, dtype, options):
    """The losses before each step, the gradient norms before clipping, and the parameters after the last step."""
    params = leaves(params, dtype)
    decayed = [value for value in params.values() if value.dim() >= 2]
    plain = [value for value in params.values() if value.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{'params': decayed, 'weight_decay': options['weightDecay']}, {'params': plain, 'weight_decay': 0.0}],
        lr=options['learningRate'], betas=(options['beta1'], options['beta2']), eps=options['eps'])
    losses, norms = [], []
    for batch in batches:
        optimizer.zero_grad()
        loss = next_token_loss(forward(params, batch, config), batch)
        loss.backward()
        norms.append(golden_file.rounded(torch.nn.utils.clip_grad_norm_(params.values(), options['clip'])))
        optimizer.step()
        losses.append(golden_file.rounded(loss.item()))
    return losses, norms, params


def golden(params, config, generator):
    tokens = torch.randint(config['vocab_size'], (2, 16), generator=generator)
    batches = [torch.randint(config['vocab_size'], (2, 16), generator=generator) for _ in range(10)]
    exact = leaves(params, torch.float64)
    logits = forward(exact, tokens, config)
    loss = next_token_loss(logits, tokens)
    loss.backward()
    loss32 = next_token_loss(forward(params, tokens, config), tokens)
    options = {'learningRate': 1e-3, 'beta1': 0.9, 'beta2': 0.95, 'eps': 1e-8, 'weightDecay': 0.1, 'clip': 1.0}
    losses, norms, final = train(params, batches, config, torch.float64, options)
    losses32, _, _ = train(params, batches, config, torch.float32, options)
    return {
        'header': golden_file.header(
            'gpt.py', SEED, weights='gpt2-tiny/model.safetensors',
            note='logits, loss, gradients and losses in float64 from float32 weights; loss32 and losses32 in float32. '
                 'loss is the mean cross-entropy of tokens[:, 1:]; gradients by Hugging Face name and layout (Conv1D: in out). '
                 'Training: AdamW, weight decay on tensors of two or more axes, gradients scaled by '
                 'min(1, clip / (norm + 1e-6)); losses[i] and gradientNorms[i] are those of batches[i] before step i changes the weights. finalParameters are some of the '
                 'weights after the last step (not c_attn.bias: the gradient of a key bias is zero but for rounding, and Adam makes '
                 'full steps of it).'),
        'tokens': tokens.tolist(),
        'logits': golden_file.values(logits),
        'loss': golden_file.rounded(loss.item(), 12), 'loss32': golden_file.rounded(loss32.item()),
        'gradients': {name: golden_file.values(value.grad) for name, value in exact.items()},
        'training': {
            'options': options, 'batches': [batch.tolist() for batch in batches],
            'losses': losses, 'losses32': losses32, 'gradientNorms': norms,
            'finalParameters': {name: golden_file.values(final[name]) for name in FINAL},
        },
    }


def write_directory(path, config, entries):
    """A directory as transformers' save_pretrained writes it; with --check it must hold the same already."""
    folder = golden_file.target(path)
    if '--check' in sys.argv:
        if safetensors_lite.load(os.path.join(folder, 'model.safetensors')) != entries:
            raise SystemExit(f'{path} is stale; rewrite it with: python3 tools/golden/gpt.py')
        return print(f'{path}: up to date')
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'config.json'), 'w', encoding='utf-8') as file:
        file.write(json.dumps(config, indent=2, sort_keys=True) + '\n')
    safetensors_lite.save(os.path.join(folder, 'model.safetensors'), entries)
    print(f'{path}: {sum(len(entry.data) for entry in entries.values())} bytes of tensors')


def main():
    generator = torch.Generator().manual_seed(SEED)
    weights = {name: to_entry(value) for name, value in init(TINY_CONFIG, generator).items()}
    content = golden({name: from_entry(entry) for name, entry in weights.items()}, TINY_CONFIG, generator)
    seen = torch.ones(TINY_CONFIG['n_positions'], TINY_CONFIG['n_positions']).tril()[None, None]  # 1 1 t t
    prefixed = {f'transformer.{name}': entry for name, entry in weights.items()}
    old = dict(weights)
    for i in range(TINY_CONFIG['n_layer']):
        prefixed[f'transformer.h.{i}.attn.bias'] = to_entry(seen.bool())
        prefixed[f'transformer.h.{i}.attn.masked_bias'] = to_entry(torch.tensor(-10000.0))
        old[f'h.{i}.attn.bias'] = to_entry(seen)
    write_directory(f'{GOLDEN}/gpt2-tiny', TINY_CONFIG, prefixed)
    write_directory(f'{GOLDEN}/gpt2-tiny-old', OLD_CONFIG, old)
    golden_file.write(f'{GOLDEN}/gpt2-tiny.json', content, 300_000)


if __name__ == '__main__':
    main()
