"""ViT and DeiT in plain PyTorch, with the names of timm, and the golden files of packages/models-vit.

    python3 tools/golden/vit.py            writes them
    python3 tools/golden/vit.py --check    says whether they are what this script would write

The modules are those of timm's VisionTransformer and its distilled DeiT without dropout: pre-norm blocks, a joint qkv projection, exact
GELU, eps 1e-6. Hugging Face's names are another table over the same weights (`to_hugging_face`), with q, k and v apart.
"""

import json
import os
import struct
import sys

import torch
from torch import nn

import golden_file
import safetensors_lite
from safetensors_lite import Entry

SEED = 20266
GOLDEN = 'packages/models-vit/test/golden'
SIZES = {'imageSize': 8, 'patchSize': 4, 'channels': 3, 'numClasses': 5, 'depth': 2, 'dim': 12, 'numHeads': 3}


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(q @ k.transpose(-2, -1) / (c // self.heads) ** 0.5, dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, t, c))


class Mlp(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, dim, channels, patch):
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, patch, stride=patch)

    def forward(self, images):
        return self.proj(images).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """Images `b c h w` to the logits of the class token and, if distilled, of the distillation token."""

    def __init__(self, sizes, distilled):
        super().__init__()
        dim, patches = sizes['dim'], (sizes['imageSize'] // sizes['patchSize']) ** 2
        self.patch_embed = PatchEmbed(dim, sizes['channels'], sizes['patchSize'])
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, patches + 1 + distilled, dim))
        self.blocks = nn.ModuleList(Block(dim, sizes['numHeads']) for _ in range(sizes['depth']))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, sizes['numClasses'])
        self.dist_token = nn.Parameter(torch.zeros(1, 1, dim)) if distilled else None
        self.head_dist = nn.Linear(dim, sizes['numClasses']) if distilled else None

    def forward(self, images):
        patches = self.patch_embed(images)
        tokens = [self.cls_token] + ([] if self.dist_token is None else [self.dist_token])
        x = torch.cat([*(token.expand(len(images), -1, -1) for token in tokens), patches], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self.head(x[:, 0]), None if self.head_dist is None else self.head_dist(x[:, 1])


HUGGING_FACE = [
    ('patch_embed.proj', 'embeddings.patch_embeddings.projection'), ('cls_token', 'embeddings.cls_token'), ('dist_token', 'embeddings.distillation_token'),
    ('pos_embed', 'embeddings.position_embeddings'), ('norm.', 'layernorm.'),
]
HUGGING_FACE_BLOCK = [
    ('norm1', 'layernorm_before'), ('norm2', 'layernorm_after'), ('attn.proj', 'attention.output.dense'), ('mlp.fc1', 'intermediate.dense'), ('mlp.fc2', 'output.dense'),
]


def to_hugging_face(state, distilled):
    """timm's names -> Hugging Face's; qkv in three."""
    prefix = 'deit.' if distilled else 'vit.'
    result = {}
    for name, value in state.items():
        if name.startswith('head'):
            head = ('distillation_classifier' if name.startswith('head_dist') else 'cls_classifier') if distilled else 'classifier'
            result[f'{head}.{name.split(".")[1]}'] = value
        elif name.startswith('blocks.'):
            _, index, rest = name.split('.', 2)
            block = f'{prefix}encoder.layer.{index}.'
            if rest.startswith('attn.qkv'):
                for part, piece in zip(('query', 'key', 'value'), value.chunk(3)):
                    result[f'{block}attention.attention.{part}.{rest.split(".")[-1]}'] = piece
            else:
                ours, theirs = next(pair for pair in HUGGING_FACE_BLOCK if rest.startswith(pair[0]))
                result[block + rest.replace(ours, theirs, 1)] = value
        else:
            ours, theirs = next(pair for pair in HUGGING_FACE if name.startswith(pair[0]))
            result[prefix + name.replace(ours, theirs, 1)] = value
    return result


def from_hugging_face(state, distilled, names):
    """The way back, for the names that the module has."""
    renamed = to_hugging_face({name: name for name in names if '.attn.qkv.' not in name}, distilled)
    result = {ours: state[theirs] for theirs, ours in renamed.items()}
    for name in names:
        if '.attn.qkv.' in name:
            _, index, _, _, kind = name.split('.')
            block = f'{"deit" if distilled else "vit"}.encoder.layer.{index}.attention.attention.'
            result[name] = torch.cat([state[f'{block}{part}.{kind}'] for part in ('query', 'key', 'value')])
    return result


def hugging_face_config(sizes, distilled):
    """What transformers writes for ViTConfig and DeiTConfig, where it matters."""
    return {
        'architectures': ['DeiTForImageClassificationWithTeacher' if distilled else 'ViTForImageClassification'],
        'attention_probs_dropout_prob': 0.0, 'hidden_act': 'gelu', 'hidden_dropout_prob': 0.0, 'hidden_size': sizes['dim'],
        'id2label': {str(i): f'LABEL_{i}' for i in range(sizes['numClasses'])}, 'image_size': sizes['imageSize'], 'initializer_range': 0.02,
        'intermediate_size': 4 * sizes['dim'], 'label2id': {f'LABEL_{i}': i for i in range(sizes['numClasses'])}, 'layer_norm_eps': 1e-6,
        'model_type': 'deit' if distilled else 'vit', 'num_attention_heads': sizes['numHeads'], 'num_channels': sizes['channels'],
        'num_hidden_layers': sizes['depth'], 'patch_size': sizes['patchSize'], 'qkv_bias': True, 'transformers_version': '4.46.3',
    }


def timm_config(sizes, distilled):
    """As timm writes it, with all sizes among the model's arguments."""
    return {
        'architecture': 'deit_tiny_distilled_patch16_224' if distilled else 'vit_tiny_patch16_224', 'num_classes': sizes['numClasses'], 'num_features': sizes['dim'],
        'model_args': {'img_size': sizes['imageSize'], 'patch_size': sizes['patchSize'], 'in_chans': sizes['channels'], 'embed_dim': sizes['dim'], 'depth': sizes['depth'], 'num_heads': sizes['numHeads']},
    }


def to_entry(tensor):
    flat = tensor.detach().reshape(-1).tolist()
    return Entry('F32', tuple(tensor.shape), struct.pack(f'<{len(flat)}f', *flat))


def from_entry(entry):
    return torch.frombuffer(bytearray(entry.data), dtype=torch.float32).reshape(entry.shape).clone()


def make(distilled, generator):
    """A model whose every part moves the logits visibly."""
    model = VisionTransformer(SIZES, distilled)
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            is_gain = name.endswith('norm.weight') or '.norm' in name and name.endswith('weight')
            value.copy_(1 + 0.1 * noise if is_gain else (0.1 if name.endswith('bias') else 0.25) * noise)
    return model


def golden(model, distilled, generator):
    images = golden_file.decimals((3, SIZES['channels'], SIZES['imageSize'], SIZES['imageSize']), generator)
    labels = torch.randint(SIZES['numClasses'], (3,), generator=generator)
    exact = VisionTransformer(SIZES, distilled).double()
    exact.load_state_dict(model.state_dict())
    cls, dist = exact(images)
    loss = nn.functional.cross_entropy(cls, labels)
    if distilled:
        loss = 0.5 * loss + 0.5 * nn.functional.cross_entropy(dist, labels)
    loss.backward()
    return {
        'header': golden_file.header('vit.py', SEED, note='images stored b h w c; logits, loss and gradients in float64 from float32 weights; the loss of a distilled model is the mean over its two heads; gradients by timm name and layout.'),
        'sizes': {**SIZES, 'distilled': distilled},
        'images': golden_file.values(images.permute(0, 2, 3, 1)), 'labels': labels.tolist(),
        'cls': golden_file.values(cls), **({'dist': golden_file.values(dist)} if distilled else {}),
        'loss': golden_file.rounded(loss.item(), 12),
        'gradients': {name: golden_file.values(value.grad, 7) for name, value in exact.named_parameters()},
    }


def write_directory(path, config, entries):
    folder = golden_file.target(path)
    if '--check' in sys.argv:
        if safetensors_lite.load(os.path.join(folder, 'model.safetensors')) != entries:
            raise SystemExit(f'{path} is stale; rewrite it with: python3 tools/golden/vit.py')
        return print(f'{path}: up to date')
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'config.json'), 'w', encoding='utf-8') as file:
        file.write(json.dumps(config, indent=2, sort_keys=True) + '\n')
    safetensors_lite.save(os.path.join(folder, 'model.safetensors'), entries)
    print(f'{path}: {sum(len(entry.data) for entry in entries.values())} bytes of tensors')


def main():
    generator = torch.Generator().manual_seed(SEED)
    for name, distilled in (('vit', False), ('deit', True)):
        model = make(distilled, generator)
        state = {key: value for key, value in model.state_dict().items()}
        golden_file.write(f'{GOLDEN}/{name}.json', golden(model, distilled, generator), 150_000)
        write_directory(f'{GOLDEN}/{name}-timm', timm_config(SIZES, distilled), {key: to_entry(value) for key, value in state.items()})
        write_directory(f'{GOLDEN}/{name}-hf', hugging_face_config(SIZES, distilled), {key: to_entry(value) for key, value in to_hugging_face(state, distilled).items()})


if __name__ == '__main__':
    main()
