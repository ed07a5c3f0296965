"""PyTorch as a contender of `pnpm bench:peers`: one JSON request per line on standard input, the times in ms on standard output.

    {"workload": "reference", "warmup": 5, "samples": 20, "sizes": {...}, "adam": {...}}  ->  {"times": [...], "about": "..."} or {"error": "..."}

The first argument is the number of threads. The model is the same as ours: pre-norm GPT-2, tied head, GELU.
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
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x, hidden):
        B, T, C = x.shape
        q, k, v = [z.view(B, T, self.heads, -1).transpose(1, 2) for z in self.qkv(self.norm1(x)).split(C, 2)]
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(C // self.heads)
        mixed = F.softmax(scores.masked_fill(hidden, float("-inf")), -1) @ v
        x = x + self.proj(mixed.transpose(1, 2).reshape(B, T, C))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Gpt(nn.Module):
    def __init__(self, vocabulary, context, layers, dim, heads):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, dim), nn.Embedding(context, dim)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.register_buffer("hidden", torch.ones(context, context).triu(1).bool())
        for weight in (self.tokens.weight, self.positions.weight):
            nn.init.normal_(weight, std=0.02)

    def loss(self, inputs, targets):
        x = self.tokens(inputs) + self.positions.weight
        for block in self.blocks:
            x = block(x, self.hidden)
        logits = self.norm(x) @ self.tokens.weight.t()
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def training_step(sizes, adam):
    vocabulary, context = sizes["vocabSize"], sizes["contextLength"]
    model = Gpt(vocabulary, context, sizes["depth"], sizes["dim"], sizes["numHeads"])
    betas = adam["beta1"], adam["beta2"]
    optimizer = torch.optim.AdamW(model.parameters(), adam["learningRate"], betas, adam["epsilon"], adam["weightDecay"])
    inputs, targets = torch.randint(0, vocabulary, (2, sizes["batchSize"], context))

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = model.loss(inputs, targets)
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
