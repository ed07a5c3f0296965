"""Checks LoRA adapters of a BERT, RoBERTa, ViT or DeiT against what PEFT would have written, merges them in PyTorch and evaluates the model.

    python3 tools/golden/check_lora.py DIR...

Each DIR holds adapter_config.json, adapter_model.safetensors and inputs.json: {ids, tokenTypes, mask} for texts, {shape, values} of images
`b h w c`. The model they belong to is in base_model_name_or_path, its head is that of the adapters. Prints one line of JSON for each: the
outputs by name. Exit code 1 and one line on stderr where a name or shape is not the one that PEFT, given the configuration, gives the wrapped
model: `base_model.model.` + module + `.lora_A.weight` (r x in) and `.lora_B.weight` (out x r) for each linear module that `target_modules`
matches as a whole, and the parameters of the modules whose path ends as one of `modules_to_save` says.
"""

import json
import os
import re
import sys

import torch

import bert
import check_vit
import golden_file
import safetensors_lite
import vit

PREFIX = 'base_model.model.'


def read(path):
    with open(path, encoding='utf-8') as file:
        return json.load(file)


def tensors(path):
    return {name: vit.from_entry(entry) for name, entry in safetensors_lite.load(path).items() if entry.dtype == 'F32'}


def is_saved(name, modules):
    parts = name.split('.')[:-1]
    return any('.'.join(parts[:count]).endswith(module) for count in range(1, len(parts) + 1) for module in modules)


def merged(config, adapters, base, linear):
    """The state of the whole model: `linear` are the shapes of all its parameters, with the head's."""
    expected = {}
    state = {name: value for name, value in base.items() if name in linear}
    for name, shape in linear.items():
        module = name.removesuffix('.weight')
        if is_saved(name, config['modules_to_save']):
            expected[PREFIX + name] = shape
            state[name] = adapters.get(PREFIX + name)
        elif module != name and len(shape) == 2 and re.fullmatch(config['target_modules'], module):
            (out, inside), rank = shape, config['r']
            a, b = (f'{PREFIX}{module}.lora_{letter}.weight' for letter in 'AB')
            expected |= {a: (rank, inside), b: (out, rank)}
            if a in adapters and b in adapters:
                state[name] = base[name].double() + config['lora_alpha'] / rank * adapters[b].double() @ adapters[a].double()
    found = {name: tuple(value.shape) for name, value in adapters.items()}
    if found != expected:
        raise ValueError(f'expected {sorted(expected.items() - found.items())}, got {sorted(found.items() - expected.items())}')
    return state


def of_bert(config, adapters, directory, inputs):
    base_config = read(os.path.join(directory, 'config.json'))
    family = {'bert': 'Bert', 'roberta': 'Roberta'}[base_config['model_type']]
    task = {'SEQ_CLS': 'SequenceClassification', 'TOKEN_CLS': 'TokenClassification', 'QUESTION_ANS': 'QuestionAnswering'}[config['task_type']]
    heads = [value for name, value in adapters.items() if name.endswith(('classifier.weight', 'classifier.out_proj.weight'))]
    labels = {str(i): '' for i in range(len(heads[0]))} if heads else {}
    model = bert.ForTask({**base_config, 'architectures': [f'{family}For{task}'], 'id2label': labels}).double()
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    model.load_state_dict(merged(config, adapters, tensors(os.path.join(directory, 'model.safetensors')), shapes), strict=True)
    return model(*(torch.tensor(inputs[name]) for name in ('ids', 'tokenTypes', 'mask')))


def of_vit(config, adapters, directory, inputs):
    distilled, sizes = check_vit.sizes_of(read(os.path.join(directory, 'config.json')))
    sizes['numClasses'] = len(adapters[PREFIX + ('cls_classifier' if distilled else 'classifier') + '.weight'])
    model = vit.VisionTransformer(sizes, distilled).double()
    shapes = {name: tuple(value.shape) for name, value in vit.to_hugging_face(model.state_dict(), distilled).items()}
    state = merged(config, adapters, tensors(os.path.join(directory, 'model.safetensors')), shapes)
    model.load_state_dict(vit.from_hugging_face(state, distilled, list(model.state_dict())), strict=True)
    cls, dist = model(torch.tensor(inputs['values'], dtype=torch.float64).reshape(inputs['shape']).permute(0, 3, 1, 2))
    return {'cls': cls} if dist is None else {'cls': cls, 'dist': dist}


def evaluate(directory):
    config = read(os.path.join(directory, 'adapter_config.json'))
    adapters = tensors(os.path.join(directory, 'adapter_model.safetensors'))
    inputs = read(os.path.join(directory, 'inputs.json'))
    with torch.no_grad():
        out = (of_bert if 'ids' in inputs else of_vit)(config, adapters, config['base_model_name_or_path'], inputs)
    print(json.dumps({name: golden_file.values(value) for name, value in out.items()}))


if __name__ == '__main__':
    try:
        for each in sys.argv[1:]:
            evaluate(each)
    except (ValueError, OSError, RuntimeError, KeyError) as error:
        sys.exit(f'check_lora: {" ".join(str(error).split())}')
