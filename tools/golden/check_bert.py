"""Loads Hugging Face directories of BERT or RoBERTa into the PyTorch modules of bert.py, strictly, and evaluates them.

    python3 tools/golden/check_bert.py DIR...

Each DIR holds config.json, model.safetensors and inputs.json: {ids, tokenTypes, mask}, arrays of equal-length arrays. Prints one line of
JSON for each: the outputs by name, {shape, values}. Exit code 1 and PyTorch's own words where a name is missing or not known, or a shape differs.
"""

import json
import os
import struct
import sys

import torch

import bert
import golden_file
import safetensors_lite


def evaluate(directory):
    with open(os.path.join(directory, 'config.json'), encoding='utf-8') as file:
        config = json.load(file)
    entries = safetensors_lite.load(os.path.join(directory, 'model.safetensors'))
    model = bert.ForTask(config)
    weights = {name: torch.tensor(struct.unpack(f'<{len(entry.data) // 4}f', entry.data)).reshape(entry.shape) for name, entry in entries.items()}
    model.load_state_dict(weights, strict=True)
    with open(os.path.join(directory, 'inputs.json'), encoding='utf-8') as file:
        inputs = json.load(file)
    with torch.no_grad():
        out = model.double()(*(torch.tensor(inputs[name]) for name in ('ids', 'tokenTypes', 'mask')))
    print(json.dumps({name: golden_file.values(value) for name, value in out.items()}))


if __name__ == '__main__':
    try:
        for directory in sys.argv[1:]:
            evaluate(directory)
    except (RuntimeError, ValueError, OSError) as error:
        raise SystemExit(str(error))
