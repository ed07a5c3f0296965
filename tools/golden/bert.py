"""BERT and RoBERTa in plain PyTorch modules with Hugging Face's names, and the golden files of packages/models-bert.

    python3 tools/golden/bert.py            writes them
    python3 tools/golden/bert.py --check    says whether they are what this script would write

The modules are those of `BertForPreTraining`, `BertForMaskedLM`, `BertForSequenceClassification`, `BertForTokenClassification`,
`BertForQuestionAnswering` and their RoBERTa relatives without dropout, so that the names in `state_dict()` are theirs; the decoder tied to
the word embeddings has no parameter of its own.
"""

import json
import math
import os
import struct
import sys

import torch
from torch import nn

import golden_file
import safetensors_lite
from safetensors_lite import Entry

SEED = 20262
GOLDEN = 'packages/models-bert/test/golden'

TINY = {
    'architectures': ['BertForPreTraining'], 'attention_probs_dropout_prob': 0.1, 'hidden_act': 'gelu', 'hidden_dropout_prob': 0.1,
    'hidden_size': 8, 'initializer_range': 0.02, 'intermediate_size': 12, 'layer_norm_eps': 1e-12, 'max_position_embeddings': 16,
    'model_type': 'bert', 'num_attention_heads': 2, 'num_hidden_layers': 2, 'pad_token_id': 0, 'position_embedding_type': 'absolute',
    'type_vocab_size': 2, 'vocab_size': 29,
}
ROBERTA = {**TINY, 'architectures': ['RobertaForMaskedLM'], 'model_type': 'roberta', 'layer_norm_eps': 1e-5, 'pad_token_id': 1, 'type_vocab_size': 1}


class Embeddings(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config['hidden_size']
        self.word_embeddings = nn.Embedding(config['vocab_size'], width)
        self.position_embeddings = nn.Embedding(config['max_position_embeddings'], width)
        self.token_type_embeddings = nn.Embedding(config['type_vocab_size'], width)
        self.LayerNorm = nn.LayerNorm(width, eps=config['layer_norm_eps'])
        self.padding = config['pad_token_id'] if config['model_type'] == 'roberta' else None

    def forward(self, ids, types, mask):
        if self.padding is None:
            positions = torch.arange(ids.shape[1])[None].expand_as(ids)
        else:  # tokens are counted from one behind the padding's own position
            positions = torch.cumsum(mask, dim=1) * mask + self.padding
        return self.LayerNorm(self.word_embeddings(ids) + self.position_embeddings(positions) + self.token_type_embeddings(types))


class SelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, self.heads = config['hidden_size'], config['num_attention_heads']
        self.query, self.key, self.value = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x, mask):
        b, t, c = x.shape
        q, k, v = (part(x).reshape(b, t, self.heads, c // self.heads).transpose(1, 2) for part in (self.query, self.key, self.value))
        scores = q @ k.transpose(2, 3) / math.sqrt(c // self.heads)  # b h t t
        weights = torch.softmax(scores.masked_fill(mask[:, None, None, :] == 0, float('-inf')), dim=-1)
        return (weights @ v).transpose(1, 2).reshape(b, t, c)


class SumAndNorm(nn.Module):
    def __init__(self, inside, config):
        super().__init__()
        self.dense = nn.Linear(inside, config['hidden_size'])
        self.LayerNorm = nn.LayerNorm(config['hidden_size'], eps=config['layer_norm_eps'])

    def forward(self, branch, x):
        return self.LayerNorm(self.dense(branch) + x)


class Dense(nn.Module):
    def __init__(self, inside, outside):
        super().__init__()
        self.dense = nn.Linear(inside, outside)


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.self = SelfAttention(config)
        self.output = SumAndNorm(config['hidden_size'], config)


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Dense(config['hidden_size'], config['intermediate_size'])
        self.output = SumAndNorm(config['intermediate_size'], config)

    def forward(self, x, mask):
        h = self.attention.output(self.attention.self(x, mask), x)
        return self.output(nn.functional.gelu(self.intermediate.dense(h)), h)


class Encoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config['num_hidden_layers']))


class Model(nn.Module):
    def __init__(self, config, pooler):
        super().__init__()
        self.embeddings, self.encoder = Embeddings(config), Encoder(config)
        if pooler:
            self.pooler = Dense(config['hidden_size'], config['hidden_size'])

    def forward(self, ids, types, mask):
        x = self.embeddings(ids, types, mask)
        for layer in self.encoder.layer:
            x = layer(x, mask)
        return x

    def pooled(self, hidden):
        return torch.tanh(self.pooler.dense(hidden[:, 0]))


class Transform(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config['hidden_size'], config['hidden_size'])
        self.LayerNorm = nn.LayerNorm(config['hidden_size'], eps=config['layer_norm_eps'])


class Predictions(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.transform = Transform(config)
        self.bias = nn.Parameter(torch.zeros(config['vocab_size']))

    def forward(self, hidden, words):
        return self.transform.LayerNorm(nn.functional.gelu(self.transform.dense(hidden))) @ words.T + self.bias


class Cls(nn.Module):
    def __init__(self, config, pairs):
        super().__init__()
        self.predictions = Predictions(config)
        if pairs:
            self.seq_relationship = nn.Linear(config['hidden_size'], 2)


class RobertaLmHead(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config['hidden_size'], config['hidden_size'])
        self.layer_norm = nn.LayerNorm(config['hidden_size'], eps=config['layer_norm_eps'])
        self.bias = nn.Parameter(torch.zeros(config['vocab_size']))

    def forward(self, hidden, words):
        return self.layer_norm(nn.functional.gelu(self.dense(hidden))) @ words.T + self.bias


class RobertaClassifier(nn.Module):
    def __init__(self, config, labels):
        super().__init__()
        self.dense = nn.Linear(config['hidden_size'], config['hidden_size'])
        self.out_proj = nn.Linear(config['hidden_size'], labels)

    def forward(self, hidden):
        return self.out_proj(torch.tanh(self.dense(hidden[:, 0])))


class ForTask(nn.Module):
    """The model of `config['architectures']`; `forward` gives a dict of outputs."""

    def __init__(self, config):
        super().__init__()
        (architecture,) = config['architectures']
        self.family, self.task = architecture.split('For')
        roberta = self.family == 'Roberta'
        pooler = not roberta and self.task in ('PreTraining', 'SequenceClassification')
        setattr(self, config['model_type'], Model(config, pooler))
        labels = len(config.get('id2label', {'0': '', '1': ''}))
        if self.task in ('PreTraining', 'MaskedLM'):
            if roberta:
                self.lm_head = RobertaLmHead(config)
            else:
                self.cls = Cls(config, self.task == 'PreTraining')
        elif self.task == 'QuestionAnswering':
            self.qa_outputs = nn.Linear(config['hidden_size'], 2)
        elif self.task == 'SequenceClassification' and roberta:
            self.classifier = RobertaClassifier(config, labels)
        else:
            self.classifier = nn.Linear(config['hidden_size'], labels)

    def forward(self, ids, types, mask):
        model = getattr(self, 'bert' if self.family == 'Bert' else 'roberta')
        hidden = model(ids, types, mask)
        words = model.embeddings.word_embeddings.weight
        if self.task in ('PreTraining', 'MaskedLM'):
            tokens = self.cls.predictions(hidden, words) if self.family == 'Bert' else self.lm_head(hidden, words)
            return {'tokens': tokens, **({'nextSentence': self.cls.seq_relationship(model.pooled(hidden))} if self.task == 'PreTraining' else {})}
        if self.task == 'QuestionAnswering':
            starts, ends = self.qa_outputs(hidden).unbind(-1)
            return {'starts': starts, 'ends': ends}
        if self.task == 'SequenceClassification':
            return {'classes': self.classifier(model.pooled(hidden) if self.family == 'Bert' else hidden)}
        return {'classes': self.classifier(hidden)}


def draw(model, generator):
    """Larger than BERT's own initialisation, so that every part of the model moves the outputs visibly."""
    for name, value in model.named_parameters():
        noise = torch.randn(value.shape, generator=generator)
        gain = '.LayerNorm.weight' in name or 'layer_norm.weight' in name
        value.data = 1 + 0.1 * noise if gain else 0.1 * noise if name.endswith('bias') else 0.3 * noise
    return model


def to_entry(tensor):
    flat = tensor.detach().reshape(-1).tolist()
    dtype, code = ('I64', 'q') if tensor.dtype == torch.int64 else ('F32', 'f')
    return Entry(dtype, tuple(tensor.shape), struct.pack(f'<{len(flat)}{code}', *flat))


def inputs(config, generator):
    ids = torch.randint(3, config['vocab_size'], (3, 7), generator=generator)
    lengths = torch.tensor([7, 4, 5])
    mask = (torch.arange(7)[None] < lengths[:, None]).long()
    types = ((torch.arange(7)[None] >= 3).long() if config['type_vocab_size'] > 1 else torch.zeros(3, 7).long()) * mask
    return torch.where(mask == 1, ids, torch.full_like(ids, config['pad_token_id'])), types.expand(3, 7).contiguous(), mask


def pre_training(model, config, generator):
    """Outputs, loss and gradients in float64."""
    ids, types, mask = inputs(config, generator)
    labels = torch.where((torch.rand(ids.shape, generator=generator) < 0.5) & (mask == 1), torch.randint(3, config['vocab_size'], ids.shape, generator=generator), -100)
    exact = model.double()
    exact.zero_grad()
    out = exact(ids, types, mask)
    loss = nn.functional.cross_entropy(out['tokens'].reshape(-1, config['vocab_size']), labels.reshape(-1))
    content = {'ids': ids.tolist(), 'tokenTypes': types.tolist(), 'mask': mask.tolist(), 'labels': labels.tolist()}
    if 'nextSentence' in out:
        content['nextSentence'] = [0, 1, 1]
        loss = loss + nn.functional.cross_entropy(out['nextSentence'], torch.tensor(content['nextSentence']))
    loss.backward()
    gradients = {name: golden_file.values(value.grad) for name, value in exact.named_parameters()}
    return {**content, 'outputs': {name: golden_file.values(value) for name, value in out.items()}, 'loss': golden_file.rounded(loss.item(), 12), 'gradients': gradients}


def write_directory(path, config, entries):
    folder = golden_file.target(path)
    if '--check' in sys.argv:
        if safetensors_lite.load(os.path.join(folder, 'model.safetensors')) != entries:
            raise SystemExit(f'{path} is stale; rewrite it with: python3 tools/golden/bert.py')
        return print(f'{path}: up to date')
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'config.json'), 'w', encoding='utf-8') as file:
        file.write(json.dumps(config, indent=2, sort_keys=True) + '\n')
    safetensors_lite.save(os.path.join(folder, 'model.safetensors'), entries)
    print(f'{path}: {sum(len(entry.data) for entry in entries.values())} bytes of tensors')


def older(name):
    """As the published files name it: LayerNorm's gamma and beta."""
    return name.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta')


def main():
    generator = torch.Generator().manual_seed(SEED)
    model = draw(ForTask(TINY), generator)
    entries = {name: to_entry(value) for name, value in model.state_dict().items()}
    positions = {'bert.embeddings.position_ids': to_entry(torch.arange(16)[None])}
    tied = {'cls.predictions.decoder.weight': entries['bert.embeddings.word_embeddings.weight'], 'cls.predictions.decoder.bias': entries['cls.predictions.bias']}
    write_directory(f'{GOLDEN}/bert-tiny', TINY, {**entries, **positions, **tied})
    old = {older(name.removeprefix('bert.')): entry for name, entry in entries.items()}
    write_directory(f'{GOLDEN}/bert-tiny-old', {key: value for key, value in TINY.items() if key != 'position_embedding_type'}, old)
    roberta = draw(ForTask(ROBERTA), generator)
    write_directory(f'{GOLDEN}/roberta-tiny', ROBERTA, {name: to_entry(value) for name, value in roberta.state_dict().items()})
    content = {
        'header': golden_file.header('bert.py', SEED, weights='bert-tiny/model.safetensors, roberta-tiny/model.safetensors', note=(
            'float64 from float32 weights; the loss is the mean over labels that are not -100, plus that of nextSentence where there is one')),
        'bert': pre_training(model, TINY, generator), 'roberta': pre_training(roberta, ROBERTA, generator),
    }
    golden_file.write(f'{GOLDEN}/bert-tiny.json', content, 100_000)


if __name__ == '__main__':
    main()
