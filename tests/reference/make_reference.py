#!/usr/bin/env python3
"""Writes pytorch.json beside this file: losses, gradients and saved bytes as PyTorch has them. With names of models
as arguments only those are made again; the rest of the file stays.

Needs PyTorch (Debian's python3-torch or the package from PyPI). Nothing else needs it: the tests read the
committed file. Both sides make weights and data by the same formula, so that none are stored:
    u(stream, i) = mix(mix(stream) + i) >> 40, mix = SplitMix64's finaliser
    weight       = offset + scale * (u(1000 + row of the parameter, element) * 2^-23 - 1), rounded to f32
    input        = (u(7, element) % 17) / 16, row 0 all 1; class = u(8, row) % classes; byte = u(9, i) % vocabulary
"""
import json
import math
import os
import sys

import torch
import torch.nn.functional as F

MASK = (1 << 64) - 1
STEPS, SAMPLES, ROWS, BATCH = 20, 40, 64, 8


def mix(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def u(stream, i):
    return mix((mix(stream) + i) & MASK) >> 40


class Parameters:
    """Tensors by name, in the order of the program's parameters."""

    def __init__(self, shapes, dtype):
        self.rows, self.tensors, self.balance = [], {}, []
        for row, (name, shape) in enumerate(shapes):
            count = math.prod(shape)
            norm = len(shape) == 1 and "norm" in name and name.endswith(".w")
            scale = 0.1 if len(shape) == 1 else math.sqrt(3 / (count // shape[0]))
            offset = 1.0 if norm else 0.0
            values = [offset + scale * (u(1000 + row, i) * 2.0**-23 - 1) for i in range(count)]
            t = torch.tensor(values, dtype=torch.float64).to(torch.float32).to(dtype).reshape(shape)
            self.tensors[name] = t.requires_grad_(True)
            self.rows.append({"name": name, "shape": list(shape), "scale": scale, "offset": offset})

    def __getitem__(self, name):
        return self.tensors[name]


def table(columns, classes, step, dtype):
    first = step * BATCH % ROWS
    x = [[1.0 if r == 0 else (u(7, r * columns + c) % 17) / 16 for c in range(columns)]
         for r in range(first, first + BATCH)]
    return torch.tensor(x, dtype=dtype), torch.tensor([u(8, r) % classes for r in range(first, first + BATCH)])


# ---- models as plain functions of parameters by our names

def linear(p, name, x):
    return F.linear(x, p[name + ".w"], p[name + ".b"])


def mlp(p, x, _):
    return linear(p, "linear1", F.relu(linear(p, "linear0", x)))


def lenet(p, x, _):
    x = F.max_pool2d(F.relu(F.conv2d(x, p["conv1.w"], p["conv1.b"], padding=2)), 2)
    x = F.max_pool2d(F.relu(F.conv2d(x, p["conv2.w"], p["conv2.b"])), 2).flatten(1)
    x = F.relu(linear(p, "linear1", x))
    return linear(p, "linear3", F.relu(linear(p, "linear2", x)))


def resnet_units(channels, filters, blocks):
    """Name, input channels, filters, kernel, stride of every convolution, in our order."""
    yield "stem", channels, filters, 3, 1
    width = filters
    for stage in range(3):
        for i in range(blocks):
            out, stride = filters << stage, 2 if stage > 0 and i == 0 else 1
            name = f"stage{stage}.block{i}"
            yield name + ".first", width, out, 3, stride
            yield name + ".second", out, out, 3, 1
            if out != width:
                yield name + ".shortcut", width, out, 1, stride
            width = out


def resnet(p, x, statistics, blocks=1):
    def unit(name, x, kernel, stride):
        x = F.conv2d(x, p[name + ".convolution.w"], stride=stride, padding=kernel // 2)
        n = name + ".norm"
        if n not in statistics:
            c = x.shape[1]
            statistics[n] = (torch.zeros(c, dtype=x.dtype), torch.ones(c, dtype=x.dtype))
        mean, variance = statistics[n]
        return F.batch_norm(x, mean, variance, p[n + ".w"], p[n + ".b"], training=True)

    x = F.relu(unit("stem", x, 3, 1))
    for stage in range(3):
        for i in range(blocks):
            name, stride = f"stage{stage}.block{i}", 2 if stage > 0 and i == 0 else 1
            h = unit(name + ".second", F.relu(unit(name + ".first", x, 3, stride)), 3, 1)
            has = name + ".shortcut.convolution.w" in p.tensors
            x = F.relu(h + (unit(name + ".shortcut", x, 1, stride) if has else x))
    return linear(p, "head", x.mean((2, 3)))


def gpt2(p, tokens, shape, softmax=None):
    layers, heads = shape
    b, t = tokens.shape
    x = F.embedding(tokens, p["embedding.wte"]) + F.embedding(torch.arange(t), p["embedding.wpe"])
    c = x.shape[-1]
    causal = torch.tril(torch.ones(t, t)).view(1, 1, t, t)
    norm = lambda n, x: F.layer_norm(x, (c,), p[n + ".w"], p[n + ".b"])
    for i in range(layers):
        n = f"block{i}."
        q, k, v = [a.view(b, t, heads, c // heads).transpose(1, 2)
                   for a in linear(p, n + "qkv", norm(n + "norm1", x)).split(c, dim=2)]
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(c // heads))
        att = F.softmax(att.masked_fill(causal == 0, float("-inf")), dim=-1)
        y = (att @ v).transpose(1, 2).contiguous().view(b, t, c)
        x = x + linear(p, n + "projection", y)
        x = x + linear(p, n + "contract", F.gelu(linear(p, n + "expand", norm(n + "norm2", x)), approximate="tanh"))
    return F.linear(norm("norm", x), p["embedding.wte"])


def gpt2_shapes(layers, c, vocabulary, positions):
    out = [("embedding.wte", (vocabulary, c)), ("embedding.wpe", (positions, c))]
    for i in range(layers):
        n = f"block{i}."
        for name, shape in [("norm1", c), ("qkv", (3 * c, c)), ("projection", (c, c)), ("norm2", c),
                            ("expand", (4 * c, c)), ("contract", (c, 4 * c))]:
            w = shape if isinstance(shape, tuple) else (shape,)
            out += [(n + name + ".w", w), (n + name + ".b", (w[0],))]
    return out + [("norm.w", (c,)), ("norm.b", (c,))]


def gated(x, gate_up, down):
    gate, up = F.linear(x, gate_up).chunk(2, dim=-1)
    return F.linear(F.silu(gate) * up, down)


def experts(p, n, x, choices=2, factor=1.25):
    """As transformers' MixtralSparseMoeBlock, but an expert takes the first of those who choose it, up to its room."""
    shape, x = x.shape, x.reshape(-1, x.shape[-1])
    weights = F.softmax(F.linear(x, p[n + "router.w"]), dim=-1)
    gates, chosen = torch.topk(weights, choices, dim=-1)
    gates = gates / gates.sum(-1, keepdim=True)
    count = weights.shape[1]
    room = math.ceil(factor * len(x) * choices / count)
    # Fedus et al. 2022, equations 4 to 6, with all choices of a token; `train` takes what is asked for.
    share = F.one_hot(chosen, count).to(x.dtype).mean((0, 1))
    p.balance.append(count * (share * weights.mean(0)).sum())
    y = torch.zeros_like(x)
    for e in range(count):
        token, choice = torch.where(chosen == e)  # in the order of the tokens
        token, choice = token[:room], choice[:room]
        out = gated(x[token], p[n + "gate_up.w"][e], p[n + "down.w"][e])
        y = y.index_add(0, token, out * gates[token, choice, None])
    return y.reshape(shape)


def llama(p, tokens, shape):
    layers, heads, groups, base = shape
    b, t = tokens.shape
    x = F.embedding(tokens, p["embedding.w"])
    d = x.shape[-1] // heads
    causal = torch.tril(torch.ones(t, t)).view(1, 1, t, t)
    norm = lambda n, x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * p[n + ".w"]
    # In double, then rounded: as transformers does in f32, with more digits.
    angle = torch.outer(torch.arange(t, dtype=torch.float64), base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d))
    cos, sin = [torch.cat((f(angle), f(angle)), -1).to(x.dtype) for f in (torch.cos, torch.sin)]
    rotate = lambda x: x * cos + torch.cat((-x[..., d // 2:], x[..., :d // 2]), -1) * sin
    for i in range(layers):
        n = f"block{i}."
        qkv = F.linear(norm(n + "norm1", x), p[n + "qkv.w"]).view(b, t, heads + 2 * groups, d).transpose(1, 2)
        q, k, v = qkv.split([heads, groups, groups], dim=1)
        k, v = [a.repeat_interleave(heads // groups, dim=1) for a in (rotate(k), v)]
        att = (rotate(q) @ k.transpose(-2, -1)) * (1.0 / math.sqrt(d))
        att = F.softmax(att.masked_fill(causal == 0, float("-inf")), dim=-1)
        x = x + F.linear((att @ v).transpose(1, 2).reshape(b, t, heads * d), p[n + "projection.w"])
        h = norm(n + "norm2", x)
        x = x + (experts(p, n, h) if n + "router.w" in p.tensors else gated(h, p[n + "gate_up.w"], p[n + "down.w"]))
    return F.linear(norm("norm", x), p["head.w"])


def llama_shapes(layers, heads, groups, c, hidden, vocabulary, count=0):
    out = [("embedding.w", (vocabulary, c))]
    each = (count,) if count else ()
    for i in range(layers):
        n = f"block{i}."
        out += [(n + "norm1.w", (c,)), (n + "qkv.w", (c // heads * (heads + 2 * groups), c)), (n + "projection.w", (c, c)),
                (n + "norm2.w", (c,))] + ([(n + "router.w", (count, c))] if count else []) + \
            [(n + "gate_up.w", (*each, 2 * hidden, c)), (n + "down.w", (*each, c, hidden))]
    return out + [("norm.w", (c,)), ("head.w", (vocabulary, c))]


def linear_shapes(*layers):
    return [(name + s, shape) for name, n, k in layers for s, shape in ((".w", (n, k)), (".b", (n,)))]


def lenet_shapes(features, classes):
    return [("conv1.w", (6, 1, 5, 5)), ("conv1.b", (6,)), ("conv2.w", (16, 6, 5, 5)), ("conv2.b", (16,))] + \
        linear_shapes(("linear1", 120, features), ("linear2", 84, 120), ("linear3", classes, 84))


def resnet_shapes(channels, filters, blocks, classes):
    out = []
    for name, inputs, outputs, kernel, _ in resnet_units(channels, filters, blocks):
        out += [(name + ".convolution.w", (outputs, inputs, kernel, kernel)),
                (name + ".norm.w", (outputs,)), (name + ".norm.b", (outputs,))]
    return out + linear_shapes(("head", classes, 4 * filters))


# ---- runs

def cases():
    def images(side, classes):
        def load(step, dtype):
            x, target = table(side * side, classes, step, dtype)
            return x.view(BATCH, 1, side, side), target
        return load

    def text(step, dtype):
        width, vocabulary = 12, 32
        windows = (ROWS * width + 1 - 1) // width
        starts = [(step * BATCH + b) % windows * width for b in range(BATCH)]
        rows = [[u(9, s + i) % vocabulary for i in range(width + 1)] for s in starts]
        t = torch.tensor(rows)
        return t[:, :-1], t[:, 1:]

    yield "mlp", linear_shapes(("linear0", 24, 20), ("linear1", 5, 24)), mlp, None, \
        lambda s, d: table(20, 5, s, d), {"kind": "momentum", "learning_rate": 0.05, "weight_decay": 0.01}
    yield "lenet", lenet_shapes(16, 4), lenet, None, images(12, 4), \
        {"kind": "adam", "learning_rate": 1e-3, "epsilon": 1e-4, "weight_decay": 0.01}
    yield "resnet", resnet_shapes(1, 4, 1, 3), resnet, {}, images(8, 3), {"kind": "sgd", "learning_rate": 0.02}
    yield "gpt2", gpt2_shapes(2, 16, 32, 16), gpt2, (2, 2), text, \
        {"kind": "adamw", "learning_rate": 1e-3, "epsilon": 1e-4, "weight_decay": 0.1, "clip_norm": 0.5}
    yield "llama", llama_shapes(2, 4, 2, 16, 20, 32), llama, (2, 4, 2, 100.0), text, \
        {"kind": "adamw", "learning_rate": 1e-3, "epsilon": 1e-4, "weight_decay": 0.1, "clip_norm": 0.5}
    for name, balance in (("moe", 0), ("moe_balanced", 0.1)):
        yield name, llama_shapes(2, 4, 2, 16, 20, 32, 4), llama, (2, 4, 2, 100.0), text, \
            {"kind": "adamw", "learning_rate": 1e-3, "epsilon": 1e-4, "weight_decay": 0.1, "clip_norm": 0.5,
             **({"balance": balance} if balance else {})}


def optimizer(o, tensors):
    lr, decay = o["learning_rate"], o.get("weight_decay", 0)
    if o["kind"] == "momentum":
        return torch.optim.SGD(tensors, lr=lr, momentum=0.9, weight_decay=decay)
    if o["kind"] == "sgd":
        return torch.optim.SGD(tensors, lr=lr, weight_decay=decay)
    kind = torch.optim.Adam if o["kind"] == "adam" else torch.optim.AdamW
    return kind(tensors, lr=lr, betas=(0.9, 0.999), eps=o["epsilon"], weight_decay=decay)


def train(shapes, model, extra, load, o, dtype):
    p = Parameters(shapes, dtype)
    extra = {} if isinstance(extra, dict) else extra
    tensors = list(p.tensors.values())
    update = optimizer(o, tensors)
    losses, gradients = [], []
    for step in range(STEPS):
        x, target = load(step, dtype)
        update.zero_grad()
        p.balance.clear()
        logits = model(p, x, extra)
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1))
        (loss + o["balance"] * sum(p.balance) if "balance" in o else loss).backward()
        losses.append(loss.item())
        if step == 0:
            for row in p.rows:
                g = p[row["name"]].grad.reshape(-1)
                stride = -(-g.numel() // SAMPLES)
                gradients.append({**row, "norm": g.norm().item(), "stride": stride,
                                  "values": [float(f"{v:.9g}") for v in g[::stride].tolist()]})
        if "clip_norm" in o:
            torch.nn.utils.clip_grad_norm_(tensors, o["clip_norm"])
        update.step()
    return losses, gradients, extra


# ---- bytes that autograd saves

def saved_bytes(run, parameters):
    """Of one forward pass: each storage once, parameters left out."""
    known = {t.untyped_storage().data_ptr() for t in parameters}
    seen = {}

    def pack(t):
        s = t.untyped_storage()
        if s.data_ptr() not in known:
            seen[s.data_ptr()] = (t.numel() * t.element_size() if s.nbytes() < t.numel() * t.element_size() else s.nbytes(), t)
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        loss = run()
    del loss
    return sum(n for n, _ in seen.values())


class Random:
    def __init__(self, shapes):
        self.tensors = {n: torch.randn(s).mul_(0.02).requires_grad_(True) for n, s in shapes}

    def __getitem__(self, name):
        return self.tensors[name]


def saved():
    out = {}

    def add(name, shapes, model, extra, x, target):
        p = Random(shapes)

        def run():
            logits = model(p, x, extra)
            return F.cross_entropy(logits.view(-1, logits.shape[-1]), target.view(-1))

        out[name] = saved_bytes(run, p.tensors.values())

    for name, layers, heads, c, t, b, v in [("gpt-small", 4, 4, 128, 64, 12, 256), ("gpt-baby", 6, 6, 384, 256, 4, 256),
                                            ("gpt2-124M", 12, 12, 768, 64, 4, 50257)]:
        add(name, gpt2_shapes(layers, c, v, t), gpt2, (layers, heads),
            torch.randint(v, (b, t)), torch.randint(v, (b, t)))
    add("lenet5", lenet_shapes(400, 10), lenet, None, torch.randn(64, 1, 28, 28), torch.randint(10, (64,)))
    add("resnet20", resnet_shapes(3, 16, 3, 10), lambda p, x, e: resnet(p, x, e, 3), {},
        torch.randn(32, 3, 32, 32), torch.randint(10, (32,)))
    for name, widths, b in [("mlp-tiny", [64, 32, 10], 64), ("mlp", [64, 512, 256, 10], 512), ("mlp-wide", [784, 2048, 2048, 2048, 2048, 10], 256)]:
        layers = [(f"linear{i}", widths[i + 1], widths[i]) for i in range(len(widths) - 1)]

        def deep(p, x, _, count=len(layers)):
            for i in range(count - 1):
                x = F.relu(linear(p, f"linear{i}", x))
            return linear(p, f"linear{count - 1}", x)

        add(name, linear_shapes(*layers), deep, None, torch.randn(b, widths[0]), torch.randint(10, (b,)))
    return out


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pytorch.json")
    out = {"pytorch": torch.__version__, "steps": STEPS, "rows": ROWS, "batch": BATCH, "models": {}}
    if len(sys.argv) > 1:
        out = json.load(open(path))
    for name, shapes, model, extra, load, o in cases():
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        narrow, _, _ = train(shapes, model, extra, load, o, torch.float32)
        wide, gradients, statistics = train(shapes, model, extra, load, o, torch.float64)
        entry = {"optimizer": o, "losses_f32": narrow, "losses_f64": wide, "gradients": gradients}
        if isinstance(statistics, dict):
            entry["statistics"] = {f"{n}.running_{kind}": t.tolist() for n, pair in statistics.items()
                                   for kind, t in zip(("mean", "variance"), pair)}
        entry["pytorch"] = torch.__version__
        out["models"][name] = entry
    if len(sys.argv) == 1:
        out["saved_bytes"] = saved()
    with open(path, "w") as f:
        json.dump(out, f, separators=(",", ":"))
        f.write("\n")
    print(path, os.path.getsize(path), "bytes", out["saved_bytes"], file=sys.stderr)


if __name__ == "__main__":
    main()
