"""Loads ViT and DeiT directories, of Hugging Face's or timm's layout, into the PyTorch modules of vit.py with strict=True, and runs them.

    python3 tools/golden/check_vit.py IMAGES.json DIR …

Each DIR holds config.json and model.safetensors; IMAGES.json is {shape, values} of images `b h w c`. Prints one line of JSON for each:
{cls, dist}, the logits of each head in float64. Exit code 1 and one line on stderr where a name is missing or not known or a shape differs.
"""

import json
import os
import sys

import torch

import safetensors_lite
import vit


def sizes_of(config):
    if 'architecture' in config:
        given = config['model_args']
        return 'distilled' in config['architecture'], {
            'imageSize': given['img_size'], 'patchSize': given['patch_size'], 'channels': given.get('in_chans', 3), 'numClasses': config['num_classes'],
            'depth': given['depth'], 'dim': given['embed_dim'], 'numHeads': given['num_heads'],
        }
    return config['model_type'] == 'deit', {
        'imageSize': config['image_size'], 'patchSize': config['patch_size'], 'channels': config['num_channels'], 'numClasses': len(config['id2label']),
        'depth': config['num_hidden_layers'], 'dim': config['hidden_size'], 'numHeads': config['num_attention_heads'],
    }


def logits_of(directory, images):
    with open(os.path.join(directory, 'config.json'), encoding='utf-8') as file:
        config = json.load(file)
    distilled, sizes = sizes_of(config)
    model = vit.VisionTransformer(sizes, distilled)
    state = {name: vit.from_entry(entry) for name, entry in safetensors_lite.load(os.path.join(directory, 'model.safetensors')).items()}
    if 'architecture' not in config:
        names = list(model.state_dict())
        expected = set(vit.to_hugging_face(model.state_dict(), distilled))
        if expected != set(state):
            raise ValueError(f'missing keys {sorted(expected - set(state))}, unexpected keys {sorted(set(state) - expected)}')
        state = vit.from_hugging_face(state, distilled, names)
    model.load_state_dict(state, strict=True)
    with torch.no_grad():
        cls, dist = model.double()(images)
    return {'cls': cls.reshape(-1).tolist(), 'dist': None if dist is None else dist.reshape(-1).tolist()}


def main(images_path, *directories):
    with open(images_path, encoding='utf-8') as file:
        stored = json.load(file)
    images = torch.tensor(stored['values'], dtype=torch.float64).reshape(stored['shape']).permute(0, 3, 1, 2)
    for directory in directories:
        print(json.dumps(logits_of(directory, images)))


if __name__ == '__main__':
    try:
        main(*sys.argv[1:])
    except (ValueError, OSError, RuntimeError, KeyError) as error:
        sys.exit(f'check_vit: {" ".join(str(error).split())}')
