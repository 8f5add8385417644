#!/usr/bin/env python3
"""Makes the memory snapshots of this folder: synthetic runs of a third, plain model of PyTorch's
caching allocator (default options), written by Python's own pickle in the form that PyTorch writes.
Deterministic; the results are committed. Usage: make_snapshots.py [FOLDER]"""
import pickle
import random
import sys

MIB = 1 << 20
FORWARD = [{"name": "forward", "filename": "net/model.py", "line": 12},
           {"name": "_call_impl", "filename": "torch/nn/modules/module.py", "line": 1},
           {"name": "forward", "filename": "net/model.py", "line": 40}]
STEP = [{"name": "step", "filename": "torch/optim/adamw.py", "line": 7}]
LOAD = [{"name": "_apply", "filename": "torch/nn/modules/module.py", "line": 3}]
NONE = []


class Device:
    def __init__(self, number):
        self.number, self.next, self.time = number, 0x7F0000000000 + (number << 40), 1000
        self.segments = {}  # address -> [stream, small, blocks]; block = [address, size, requested, state, frames]
        self.trace = []

    def log(self, action, address, size, stream, frames):
        self.time += 3
        self.trace.append({"action": action, "addr": address, "size": size, "stream": stream,
                           "time_us": self.time, "frames": frames})

    def alloc(self, size, stream, frames):
        rounded = max(512, -(-size // 512) * 512)
        small = rounded <= MIB
        free = [(b[1], b[0], s, b) for s in self.segments.values() for b in s[2]
                if b[3] == "inactive" and s[0] == stream and s[1] == small and b[1] >= rounded]
        if free:
            _, _, segment, block = min(free, key=lambda f: f[:2])
        else:
            total = 2 * MIB if small else 20 * MIB if rounded < 10 * MIB else -(-rounded // (2 * MIB)) * 2 * MIB
            address, self.next = self.next, self.next + total
            block = [address, total, 0, "inactive", NONE]
            segment = self.segments[address] = [stream, small, [block]]
            self.log("segment_alloc", address, total, stream, frames)
        rest = block[1] - rounded
        if rest >= 512 if small else rest > MIB:
            at = segment[2].index(block)
            segment[2].insert(at + 1, [block[0] + rounded, rest, 0, "inactive", NONE])
            block[1] = rounded
        block[2:] = [size, "active_allocated", frames]
        self.log("alloc", block[0], size, stream, frames)
        return segment, block

    def request(self, held, frames):
        segment, block = held
        block[3] = "active_pending_free"
        self.log("free_requested", block[0], block[2], segment[0], frames)

    def complete(self, held, frames):
        segment, block = held
        self.log("free_completed", block[0], block[2], segment[0], frames)
        block[3] = "inactive"
        blocks = segment[2]
        at = blocks.index(block)
        for low, high in ((at, at + 1), (at - 1, at)):
            if low >= 0 and high < len(blocks) and blocks[low][3] == blocks[high][3] == "inactive":
                blocks[low][1] += blocks[high][1]
                del blocks[high]

    def empty_cache(self):
        for small in (False, True):
            whole = [(s[0], s[2][0][1], a) for a, s in self.segments.items()
                     if s[1] == small and len(s[2]) == 1 and s[2][0][3] == "inactive"]
            for stream, size, address in sorted(whole):
                del self.segments[address]
                self.log("segment_free", address, size, stream, NONE)

    def rows(self):
        out = []
        for address, (stream, small, blocks) in sorted(self.segments.items()):
            live = [b for b in blocks if b[3] == "active_allocated"]
            active = [b for b in blocks if b[3] != "inactive"]
            out.append({"device": self.number, "address": address, "total_size": sum(b[1] for b in blocks),
                        "allocated_size": sum(b[1] for b in live), "active_size": sum(b[1] for b in active),
                        "requested_size": sum(b[2] for b in live), "stream": stream, "frames": NONE,
                        "segment_type": "small" if small else "large", "segment_pool_id": (0, 0),
                        "is_expandable": False,
                        "blocks": [{"address": b[0], "size": b[1], "requested_size": b[2], "state": b[3],
                                    "frames": b[4]} for b in blocks]})
        return out


def run(device, streams, events, chance):
    live, pending = [], []
    while len(device.trace) < events:
        what = chance.random()
        if what < 0.5 or not live:
            size = chance.choice([chance.randint(1, 4000), chance.randint(1, 3 * MIB), chance.randint(1, 40 * MIB)])
            live.append(device.alloc(size, chance.choice(streams), chance.choice([FORWARD, STEP, LOAD])))
        elif what < 0.9:
            held = live.pop(chance.randrange(len(live)))
            device.request(held, chance.choice([FORWARD, NONE]))
            if len(streams) > 1 and chance.random() < 0.3:
                pending.append(held)
            else:
                device.complete(held, FORWARD)
        elif what < 0.97:
            if pending:
                device.complete(pending.pop(0), NONE)
        else:
            while pending:  # PyTorch waits for all streams first
                device.complete(pending.pop(0), NONE)
            device.empty_cache()


def snapshot(seed, devices, streams, events, keep):
    chance = random.Random(seed)
    made = [Device(number) for number in devices]
    for device in made:
        run(device, streams, events, chance)
    traces = [[] for _ in range(max(devices) + 1)]
    for device in made:
        traces[device.number] = device.trace[-keep:]
    return {"segments": [row for device in made for row in device.rows()], "device_traces": traces,
            "allocator_settings": {"PYTORCH_CUDA_ALLOC_CONF": "", "max_split_size": -1,
                                   "garbage_collection_threshold": 0.0, "expandable_segments": False,
                                   "roundup_power2_divisions": {str(1 << i): 0 for i in range(16)}},
            "external_annotations": []}


folder = sys.argv[1] if len(sys.argv) > 1 else "."
for name, protocol, content in (
        ("cold", 2, snapshot(1, [0], [0], 300, 10**6)),
        ("warm", 4, snapshot(2, [0], [0], 900, 400)),
        ("two_devices", 5, snapshot(3, [0, 2], [0, 7, 9], 500, 300))):
    with open(f"{folder}/{name}.pickle", "wb") as file:
        pickle.dump(content, file, protocol)
