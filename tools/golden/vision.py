"""What vision transformers add to the layers, by PyTorch: resized position embeddings and patches as a convolution.

    python3 tools/golden/vision.py            writes packages/layers/test/golden/vision.json
    python3 tools/golden/vision.py --check    says whether it is what this script would write
"""

import torch
from torch.nn.functional import conv2d, interpolate

import golden_file

SEED = 20264
PATH = 'packages/layers/test/golden/vision.json'
RESIZES = [((4, 4), (7, 7)), ((5, 3), (2, 8)), ((6, 6), (3, 3)), ((1, 2), (3, 2))]
CHANNELS = 3


def resized(start, to, method, generator):
    positions = golden_file.decimals((start[0] * start[1], CHANNELS), generator)
    direction = golden_file.decimals((to[0] * to[1], CHANNELS), generator)
    leaf = positions.clone().requires_grad_()
    grid = leaf.reshape(1, *start, CHANNELS).permute(0, 3, 1, 2)
    result = interpolate(grid, size=to, mode=method, align_corners=False).permute(0, 2, 3, 1).reshape(-1, CHANNELS)
    (result * direction).sum().backward()
    return {
        'from': list(start), 'to': list(to), 'method': method, 'positions': golden_file.values(positions),
        'result': golden_file.values(result), 'direction': golden_file.values(direction), 'gradient': golden_file.values(leaf.grad),
    }


def patches(generator):
    images, weight = golden_file.decimals((2, 3, 6, 4), generator), golden_file.decimals((5, 3, 2, 2), generator)
    result = conv2d(images, weight, stride=2).flatten(2).transpose(1, 2)
    return {
        'images': golden_file.values(images.permute(0, 2, 3, 1)), 'weight': golden_file.values(weight), 'patchSize': 2,
        'result': golden_file.values(result),
    }


def main():
    generator = torch.Generator().manual_seed(SEED)
    content = {
        'header': golden_file.header(
            'vision.py', SEED, note='resize: rows of a grid to another grid, torch.nn.functional.interpolate with align_corners=False; '
            'gradient is that of sum(result * direction). patches: conv2d of images (stored b h w c) with weight (d c p p), stride p, to b n d.'),
        'resize': [resized(start, to, method, generator) for method in ('bicubic', 'bilinear') for start, to in RESIZES],
        'patches': patches(generator),
    }
    golden_file.write(PATH, content, 50_000)


if __name__ == '__main__':
    main()
