"""Loads a Hugging Face GPT-2 directory into the PyTorch model of gpt.py, by name and strictly, and evaluates it.

    python3 tools/golden/check_gpt.py DIR TOKENS.json

DIR holds config.json and model.safetensors; TOKENS.json is an array of equal-length arrays of token ids. Prints one line of JSON:
{loss, perplexity, tokens, parameters, logitsSha, firstLogits}; loss is the mean next-token cross-entropy in nats, computed in
float64 from the stored weights; logitsSha is the SHA-256 of the float32 logits' little-endian bytes; firstLogits are the logits of
the first token. Exit code 1 and one line on stderr where a name is missing or not known, a shape differs, the tied head is not the
embedding, or the file is not valid.
"""

import hashlib
import json
import math
import os
import re
import struct
import sys

import torch

import gpt
import safetensors_lite

PREFIX = 'transformer.'
BUFFER = re.compile(r'h\.\d+\.attn\.(bias|masked_bias)')
ACTIVATIONS = ('gelu_new', 'gelu_pytorch_tanh')


class CheckError(ValueError):
    pass


def load_directory(directory):
    """(config, params): every parameter that config.json asks for, and nothing else."""
    with open(os.path.join(directory, 'config.json'), encoding='utf-8') as file:
        config = json.load(file)
    check_config(config)
    entries = safetensors_lite.load(os.path.join(directory, 'model.safetensors'))
    return config, strict_parameters(entries, config)


def check_config(config):
    if config.get('model_type') != 'gpt2':
        raise CheckError(f'config.json: model_type must be gpt2, got {config.get("model_type")}')
    if config.get('architectures') != ['GPT2LMHeadModel']:
        raise CheckError(f'config.json: architectures must be ["GPT2LMHeadModel"], got {config.get("architectures")}')
    if config.get('activation_function', 'gelu_new') not in ACTIVATIONS:
        raise CheckError(f'config.json: activation_function must be one of {ACTIVATIONS}, got {config["activation_function"]}')
    for name in ('n_layer', 'n_embd', 'n_head', 'n_positions', 'vocab_size'):
        if not isinstance(config.get(name), int):
            raise CheckError(f'config.json: {name} must be an integer, got {config.get(name)}')
    for name, default in (('scale_attn_weights', True), ('scale_attn_by_inverse_layer_idx', False), ('add_cross_attention', False)):
        if config.get(name, default) is not default:
            raise CheckError(f'config.json: {name} must be {default}')
    config.setdefault('layer_norm_epsilon', 1e-5)


def strict_parameters(entries, config):
    """As transformers does, the prefix belongs to all names but lm_head's, or to none."""
    body = [name for name in entries if name != 'lm_head.weight']
    prefixed = [name for name in body if name.startswith(PREFIX)]
    if prefixed and len(prefixed) != len(body):
        raise CheckError(f'names with and without {PREFIX}: {prefixed[0]}, {next(name for name in body if name not in prefixed)}')
    found = {name[len(PREFIX):] if name.startswith(PREFIX) else name: entry for name, entry in entries.items()}
    found = {name: entry for name, entry in found.items() if not BUFFER.fullmatch(name)}
    shapes = gpt.parameter_shapes(config)
    tied = config.get('tie_word_embeddings', True)
    if not tied or 'lm_head.weight' in found:
        shapes['lm_head.weight'] = shapes['wte.weight']
    if found.keys() != shapes.keys():
        raise CheckError(f'missing keys {sorted(shapes.keys() - found.keys())}, unexpected keys {sorted(found.keys() - shapes.keys())}')
    for name, shape in shapes.items():
        if found[name].shape != shape:
            raise CheckError(f'{name} must have shape {list(shape)}, got {list(found[name].shape)}')
        if found[name].dtype not in ('F32', 'F64', 'F16', 'BF16'):
            raise CheckError(f'{name} must have a float dtype, got {found[name].dtype}')
    if tied and 'lm_head.weight' in found and found['lm_head.weight'] != found['wte.weight']:
        raise CheckError('lm_head.weight must equal wte.weight, to which config.json ties it')
    return {name: gpt.from_entry(found[name]) for name in shapes}


def load_tokens(path, config):
    with open(path, encoding='utf-8') as file:
        rows = json.load(file)
    if not rows or len({len(row) for row in rows}) != 1:
        raise CheckError(f'{path}: must hold arrays of one length')
    tokens = torch.tensor(rows, dtype=torch.int64)
    if not 2 <= tokens.shape[1] <= config['n_positions']:
        raise CheckError(f'{path}: arrays must have 2 to {config["n_positions"]} tokens, got {tokens.shape[1]}')
    if tokens.min() < 0 or tokens.max() >= config['vocab_size']:
        raise CheckError(f'{path}: tokens must be from 0 to {config["vocab_size"] - 1}')
    return tokens


def evaluate(config, params, tokens):
    with torch.no_grad():
        logits = gpt.forward({name: value.to(torch.float64) for name, value in params.items()}, tokens, config)
        loss = gpt.next_token_loss(logits, tokens).item()
        flat = gpt.forward(params, tokens, config).reshape(-1).tolist()
    return {
        'loss': loss, 'perplexity': math.exp(loss), 'tokens': tokens[:, 1:].numel(),
        'parameters': sum(value.numel() for name, value in params.items() if name != 'lm_head.weight' or not config.get('tie_word_embeddings', True)),
        'logitsSha': hashlib.sha256(struct.pack(f'<{len(flat)}f', *flat)).hexdigest(),
        'firstLogits': logits[0, 0].tolist(),
    }


def main(arguments):
    if len(arguments) != 2:
        raise CheckError('usage: check_gpt.py DIR TOKENS.json')
    config, params = load_directory(arguments[0])
    print(json.dumps(evaluate(config, params, load_tokens(arguments[1], config))))


if __name__ == '__main__':
    try:
        main(sys.argv[1:])
    except (ValueError, OSError) as error:  # CheckError, SafetensorsError and JSON errors are ValueErrors
        sys.exit(f'check_gpt: {error}')
