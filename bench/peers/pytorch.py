"""PyTorch as a contender of `pnpm bench:peers`: one JSON request per line on standard input, the times in ms on standard output.

    {"workload": "reference", "warmup": 5, "samples": 20, "sizes": {...}, "adam": {...}}  ->  {"times": [...], "about": "..."} or {"error": "..."}

The first argument is the number of threads. The models are the same as ours: GPT-2, ViT or BERT, GELU.
"""
import json
import math
import os
import sys
import time

# Its OpenMP threads would spin while those of OpenBLAS compute: on few cores a step with several threads then takes two to three times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    """Pre-norm, or post-norm as BERT has it."""

    def __init__(self, dim, heads, post=False):
        super().__init__()
        self.heads, self.post = heads, post
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def attend(self, x, hidden):
        B, T, C = x.shape
        q, k, v = [z.view(B, T, self.heads, -1).transpose(1, 2) for z in self.qkv(x).split(C, 2)]
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(C // self.heads)
        if hidden is not None:
            scores = scores.masked_fill(hidden, float("-inf"))
        return self.proj((F.softmax(scores, -1) @ v).transpose(1, 2).reshape(B, T, C))

    def forward(self, x, hidden=None):
        if self.post:
            x = self.norm1(x + self.attend(x, hidden))
            return self.norm2(x + self.down(F.gelu(self.up(x))))
        x = x + self.attend(self.norm1(x), hidden)
        return x + self.down(F.gelu(self.up(self.norm2(x))))


def small(module):
    """Weights start as ours do."""
    for each in module.modules():
        if isinstance(each, (nn.Embedding, nn.Linear)):
            nn.init.normal_(each.weight, std=0.02)


class Gpt(nn.Module):
    def __init__(self, vocabSize, contextLength, depth, dim, numHeads, batchSize):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabSize, dim), nn.Embedding(contextLength, dim)
        self.blocks = nn.ModuleList(Block(dim, numHeads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.register_buffer("hidden", torch.ones(contextLength, contextLength).triu(1).bool())
        small(self)
        self.inputs, self.targets = torch.randint(0, vocabSize, (2, batchSize, contextLength))

    def loss(self):
        x = self.tokens(self.inputs) + self.positions.weight
        for block in self.blocks:
            x = block(x, self.hidden)
        logits = self.norm(x) @ self.tokens.weight.t()
        return F.cross_entropy(logits.flatten(0, 1), self.targets.flatten())


class Vit(nn.Module):
    def __init__(self, imageSize, patchSize, numClasses, depth, dim, numHeads, batchSize):
        super().__init__()
        self.patches = nn.Conv2d(3, dim, patchSize, patchSize)
        self.token, self.positions = nn.Embedding(1, dim), nn.Embedding(1 + (imageSize // patchSize) ** 2, dim)
        self.blocks = nn.ModuleList(Block(dim, numHeads) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, numClasses)
        small(self)
        self.images, self.targets = torch.rand(batchSize, 3, imageSize, imageSize) * 2 - 1, torch.randint(0, numClasses, (batchSize,))

    def loss(self):
        x = self.patches(self.images).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.weight.expand(len(x), 1, -1), x], 1) + self.positions.weight
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy(self.head(self.norm(x)[:, 0]), self.targets)


class Bert(nn.Module):
    """Masked language modelling: the head computes the masked tokens alone, as ours does."""

    def __init__(self, vocabSize, contextLength, depth, dim, numHeads, batchSize, masked):
        super().__init__()
        self.words, self.positions, self.types = nn.Embedding(vocabSize, dim), nn.Embedding(contextLength, dim), nn.Embedding(2, dim)
        self.norm = nn.LayerNorm(dim)
        self.blocks = nn.ModuleList(Block(dim, numHeads, post=True) for _ in range(depth))
        self.dense, self.head_norm, self.bias = nn.Linear(dim, dim), nn.LayerNorm(dim), nn.Parameter(torch.zeros(vocabSize))
        small(self)
        self.ids = torch.randint(0, vocabSize, (batchSize, contextLength))
        self.rows = torch.arange(batchSize * masked) // masked * contextLength + torch.arange(batchSize * masked) % masked * (contextLength // masked)
        self.labels = torch.randint(0, vocabSize, (batchSize * masked,))

    def loss(self):
        x = self.norm(self.words(self.ids) + self.positions.weight + self.types.weight[0])
        for block in self.blocks:
            x = block(x)
        x = self.head_norm(F.gelu(self.dense(x.flatten(0, 1)[self.rows])))
        return F.cross_entropy(x @ self.words.weight.t() + self.bias, self.labels)


def training_step(sizes, adam):
    ((kind, given),) = sizes.items()
    model = {"gpt": Gpt, "vit": Vit, "bert": Bert}[kind](**given)
    betas = adam["beta1"], adam["beta2"]
    optimizer = torch.optim.AdamW(model.parameters(), adam["learningRate"], betas, adam["epsilon"], adam["weightDecay"])

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = model.loss()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return step


def peak_bytes(sizes, adam):
    """The most bytes of tensors alive at once in three steps of a model of its own; what BLAS allocates for itself is not seen."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step = training_step(sizes, adam)
        for _ in range(3):
            step()
    events = sorted((event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"), key=lambda event: event.start_us())
    alive = peak = 0
    for event in events:
        alive += event.nbytes()
        peak = max(peak, alive)
    return peak


def product(size):
    a, b = torch.rand(size, size), torch.rand(size, size)
    wanted = (a.double() * b.double().t()).sum(1)
    if not torch.allclose((a @ b).diagonal().double(), wanted, rtol=1e-4):
        raise ValueError("wrong product")

    def run():
        a @ b

    return run


def attention():
    q, k, v = torch.randn(3, 1, 6, 1024, 64, requires_grad=True)
    hidden = torch.ones(1024, 1024).triu(1).bool()

    def forward(a, b, c):
        return F.softmax((a @ b.transpose(-2, -1) / 8).masked_fill(hidden, float("-inf")), -1) @ c

    def run():
        return torch.autograd.grad(forward(q, k, v).sum(), (q, k, v))

    with torch.no_grad():
        wanted = forward(q.double(), k.double(), v.double())
        if not torch.allclose(forward(q, k, v).double(), wanted, atol=1e-4):
            raise ValueError("wrong attention")
    run_result = run()[2].sum().item()  # every query shares out a gradient of ones
    if abs(run_result / (1024 * 384) - 1) > 1e-3:
        raise ValueError("wrong gradient of attention")
    return run


def make(request):
    name = request["workload"]
    if name.startswith("matmul-"):
        return product(int(name.split("-")[1]))
    return training_step(request["sizes"], request["adam"]) if "sizes" in request else attention()


def timed(run, losses, warmup, samples):
    times = []
    for i in range(warmup + samples):
        start = time.perf_counter()
        loss = run()
        if i >= warmup:
            times.append((time.perf_counter() - start) * 1000)
        if isinstance(loss, float):
            losses.append(loss)
    if losses and not losses[-1] < losses[0]:
        raise ValueError(f"the loss must fall, got {losses[0]} at first and {losses[-1]} at last")
    return times


def main():
    threads = int(sys.argv[1])
    torch.manual_seed(1)
    torch.set_num_threads(threads)
    made, peaks = {}, {}
    for line in sys.stdin:
        request = json.loads(line)
        name = request["workload"]
        try:  # what goes wrong is the answer, not the end of the process
            if name not in made:
                peaks[name] = peak_bytes(request["sizes"], request["adam"]) if "sizes" in request else None
                made[name] = (make(request), [])
            times = timed(*made[name], request["warmup"], request["samples"])
            answer = {"times": times, "peakBytes": peaks[name], "about": f"PyTorch {torch.__version__}, {threads} thread(s), OMP_WAIT_POLICY={os.environ['OMP_WAIT_POLICY']}"}
        except Exception as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


main()
