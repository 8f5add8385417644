#!/usr/bin/env python3
"""One PyTorch training run beside bench_trainer: same model, shapes, optimizer.

    pytorch_step.py CONFIG.json [--steps N]   time N steps, print one JSON object
    pytorch_step.py CONFIG.json --serve       print facts as a JSON line, then for each line on
                                              stdin do one step and print its milliseconds

Times are CPU time of the process with one thread (the default), wall time with --threads above 1.

CONFIG.json is the configuration that Tidemark stores in a trace (RunConfig, sim/config.h);
accumulation, dropout and clipping are left out. The GPT-2 is written as most PyTorch code writes it
(nanoGPT's form): tied head, GELU in its tanh form, and scaled_dot_product_attention where this
PyTorch has it and --composite is not given.

peak_bytes: parameters, optimizer state and batch, plus the largest sum of what PyTorch's allocator
handed out and not yet took back during one steady step (its profiler's memory events).
"""
import argparse
import json
import math
import os
import sys
import time

def asked_threads():
    """Of the command line: libraries read the count when they are loaded."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_known_args()[0].threads


THREADS = asked_threads()
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(THREADS)

import torch  # noqa: E402  (after the thread counts)
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402


class Attention(nn.Module):
    def __init__(self, channels, heads, positions, flash):
        super().__init__()
        self.heads, self.flash = heads, flash
        self.qkv = nn.Linear(channels, 3 * channels)
        self.projection = nn.Linear(channels, channels)
        mask = torch.tril(torch.ones(positions, positions, dtype=torch.bool))
        self.register_buffer("mask", mask[None, None])

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (p.view(b, t, self.heads, c // self.heads).transpose(1, 2)
                   for p in self.qkv(x).split(c, dim=2))
        if self.flash:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            a = (q @ k.transpose(-2, -1)) * (1 / math.sqrt(c // self.heads))
            a = a.masked_fill(~self.mask[:, :, :t, :t], float("-inf"))
            y = F.softmax(a, dim=-1) @ v
        return self.projection(y.transpose(1, 2).contiguous().view(b, t, c))


class Block(nn.Module):
    def __init__(self, g, flash):
        super().__init__()
        c = g["channels"]
        self.norm1, self.norm2 = nn.LayerNorm(c), nn.LayerNorm(c)
        self.attention = Attention(c, g["heads"], g["positions"], flash)
        self.expand, self.contract = nn.Linear(c, 4 * c), nn.Linear(4 * c, c)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.contract(F.gelu(self.expand(self.norm2(x)), approximate="tanh"))


class Gpt2(nn.Module):
    def __init__(self, g, flash):
        super().__init__()
        self.wte = nn.Embedding(g["vocabulary"], g["channels"])
        self.wpe = nn.Embedding(g["positions"], g["channels"])
        self.blocks = nn.ModuleList(Block(g, flash) for _ in range(g["layers"]))
        self.norm = nn.LayerNorm(g["channels"])
        self.apply(self.initialise)

    @staticmethod
    def initialise(module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)

    def forward(self, tokens):
        positions = torch.arange(tokens.shape[1])
        x = self.wte(tokens) + self.wpe(positions)
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.wte.weight).flatten(0, 1)


def mlp(model):
    activations = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU,
                   "gelu": lambda: nn.GELU(approximate="tanh")}
    layers = []
    for inputs, outputs in zip(model["widths"], model["widths"][1:]):
        layers += [nn.Linear(inputs, outputs), activations[model["activation"]]()]
    return nn.Sequential(*layers[:-1])


def lenet(model):
    rows, columns = model["height"], model["width"]
    features = 16 * ((rows // 2 - 4) // 2) * ((columns // 2 - 4) // 2)
    return nn.Sequential(
        nn.Conv2d(model["channels"], 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(features, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, model["classes"]))


class ResidualBlock(nn.Module):
    def __init__(self, inputs, filters, stride):
        super().__init__()

        def unit(channels, kernel, step):
            return nn.Sequential(
                nn.Conv2d(channels, filters, kernel, step, kernel // 2, bias=False),
                nn.BatchNorm2d(filters))
        self.first, self.second = unit(inputs, 3, stride), unit(filters, 3, 1)
        same = inputs == filters and stride == 1
        self.shortcut = nn.Identity() if same else unit(inputs, 1, stride)

    def forward(self, x):
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


def resnet(model):
    filters = model["filters"]
    layers = [nn.Conv2d(model["channels"], filters, 3, padding=1, bias=False),
              nn.BatchNorm2d(filters), nn.ReLU()]
    inputs = filters
    for stage in range(3):
        for i in range(model["blocks"]):
            stride = 2 if stage > 0 and i == 0 else 1
            layers.append(ResidualBlock(inputs, filters << stage, stride))
            inputs = filters << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(inputs, model["classes"]))


def build(config, flash):
    """Module, input and target of one batch."""
    model, batch = config["model"], config["batch"]
    if model["family"] == "gpt2":
        shape = (batch, config["sequence"])
        tokens = torch.randint(0, model["vocabulary"], shape)
        return Gpt2(model, flash), tokens, torch.randint(0, model["vocabulary"], shape).flatten()
    if model["family"] in ("lenet", "resnet"):
        x = torch.rand(batch, model["channels"], model["height"], model["width"])
        module = lenet(model) if model["family"] == "lenet" else resnet(model)
        return module, x, torch.randint(0, model["classes"], (batch,))
    if model["family"] == "mlp":
        widths = model["widths"]
        return (mlp(model), torch.rand(batch, widths[0]),
                torch.randint(0, widths[-1], (batch,)))
    sys.exit(f"pytorch_step.py: no family '{model['family']}' here")


def optimizer_of(config, parameters):
    o = config["optimizer"]
    if o["kind"] not in ("sgd", "adamw"):
        sys.exit(f"pytorch_step.py: no optimizer '{o['kind']}' here")
    if o["kind"] == "sgd":
        return torch.optim.SGD(parameters, lr=o["learning_rate"],
                               weight_decay=o["weight_decay"])
    return torch.optim.AdamW(parameters, lr=o["learning_rate"], betas=(o["beta1"], o["beta2"]),
                             eps=o["epsilon"], weight_decay=o["weight_decay"])


class Trainer:
    def __init__(self, config, flash, bf16):
        torch.manual_seed(1)
        torch.set_num_threads(THREADS)
        self.module, self.x, self.target = build(config, flash)
        self.optimizer = optimizer_of(config, self.module.parameters())
        self.bf16 = bf16

    def step(self):
        """Milliseconds of one step."""
        now = time.process_time if THREADS == 1 else time.perf_counter
        begin = now()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            loss = F.cross_entropy(self.module(self.x).float(), self.target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        loss.item()
        return (now() - begin) * 1e3

    def persistent_bytes(self):
        tensors = [self.x, self.target, *self.module.parameters(), *self.module.buffers()]
        tensors += [t for state in self.optimizer.state.values() for t in state.values()
                    if torch.is_tensor(t)]
        return sum(t.numel() * t.element_size() for t in tensors)

    def peak_bytes(self):
        """Of a steady step: one that begins without gradients."""
        self.optimizer.zero_grad(set_to_none=True)
        before = self.persistent_bytes()
        with torch.autograd.profiler.profile(profile_memory=True) as profile:
            self.step()
            self.optimizer.zero_grad(set_to_none=True)
        live = peak = 0
        for event in memory_events(profile):
            live += event
            peak = max(peak, live)
        return before + peak


def memory_events(profile):
    """Bytes handed out (+) and taken back (-), in order of time."""
    events = [e for e in profile.kineto_results.events() if e.name() == "[memory]"]
    start = "start_ns" if hasattr(events[0], "start_ns") else "start_us"
    events.sort(key=lambda e: getattr(e, start)())
    return [e.nbytes() for e in events]


def blas_name():
    """What PyTorch multiplies by: MKL inside PyPI's wheel, or the system's BLAS that is loaded."""
    if "BLAS_INFO=mkl" in torch.__config__.show():
        return "MKL"
    loaded = set()
    with open("/proc/self/maps", encoding="ascii", errors="replace") as maps:
        for line in maps:
            path = line.split()[-1]
            if "blas" in os.path.basename(path) and "cublas" not in path:
                loaded.add(os.path.realpath(path))
    return ", ".join(sorted(loaded)) or "unknown"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--composite", action="store_true", help="attention as single operations")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    arguments = parser.parse_args()
    with open(arguments.config, encoding="utf-8") as file:
        flash = hasattr(F, "scaled_dot_product_attention") and not arguments.composite
        trainer = Trainer(json.load(file), flash, arguments.bf16)
    trainer.step()
    trainer.step()
    facts = {"version": torch.__version__, "blas": blas_name(), "threads": torch.get_num_threads(),
             "attention": "flash" if flash else "composite", "peak_bytes": trainer.peak_bytes()}
    if not arguments.serve:
        facts["step_ms"] = min(trainer.step() for _ in range(arguments.steps))
        print(json.dumps(facts, indent=2))
        return
    print(json.dumps(facts), flush=True)
    for _ in sys.stdin:
        print(trainer.step(), flush=True)


if __name__ == "__main__":
    main()
