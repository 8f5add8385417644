#!/usr/bin/env python3
"""Makes the profiler trace of this folder: two training steps of two modules in the form in which
PyTorch's profiler exports them (profile_memory, with_modules), begun in the middle of a run.
Deterministic; the result is committed. Usage: make_kineto.py [FOLDER]"""
import json
import sys

MAIN, ENGINE, PROCESS = 100, 101, 4964
events, live, total, at, next_address, correlation = [], {}, 3 << 20, 1_700_000_000_000_000, 0x7F0000000000, 10


def tick(us=1):
    global at
    at += us


def span(category, name, thread, body, args=None):
    begin = at
    tick()
    body()
    tick()
    events.append({"ph": "X", "cat": category, "name": name, "pid": PROCESS, "tid": thread,
                   "ts": begin, "dur": at - begin, **({"args": args} if args else {})})


def memory(bytes_, address, thread):
    global total
    total += bytes_
    events.append({"ph": "i", "cat": "cpu_instant_event", "s": "t", "name": "[memory]", "pid": PROCESS,
                   "tid": thread, "ts": at, "args": {
                       "Total Reserved": 20 << 20, "Total Allocated": total, "Bytes": bytes_, "Addr": address,
                       "Device Id": 0, "Device Type": 1, "Ev Idx": len(events)}})
    tick()


def alloc(bytes_, thread=MAIN):
    global next_address
    next_address += 1 << 20
    live[next_address] = bytes_
    memory(bytes_, next_address, thread)
    return next_address


def free(address, thread=MAIN):
    memory(-live.pop(address), address, thread)


def kernel(name):
    global correlation
    correlation += 1
    events.append({"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": PROCESS, "tid": MAIN,
                   "ts": at, "dur": 1, "args": {"correlation": correlation}})
    events.append({"ph": "X", "cat": "kernel", "name": name, "pid": 0, "tid": 7, "ts": at + 5, "dur": 2.5,
                   "args": {"correlation": correlation, "stream": 7, "device": 0}})
    tick(8)


def module(name, body):
    span("python_function", "nn.Module: " + name, MAIN, body)


def step(number, state):
    kept = []

    def linear():
        def op():
            kept.append(alloc(65536))
            kernel("sgemm")
        span("cpu_op", "aten::linear", MAIN, op, {"Sequence number": number, "Fwd thread id": 0})

    def scratch():
        address = alloc(4096)
        kernel("gelu")
        free(address)

    def model():
        module("Linear_0", linear)
        module("GELU_0", lambda: (scratch(), linear()))

    def batch():
        state["input"] = alloc(8192)

    def backward():
        for address in reversed(kept):
            grad = alloc(32768, ENGINE)
            free(address, ENGINE)
            state.setdefault("grads", []).append(grad)

    def optimizer():
        if "state" not in state:
            state["state"] = alloc(131072)

    def whole():
        span("user_annotation", "enumerate(DataLoader)#_Iter.__next__", MAIN, batch)
        module("Model_0", model)
        span("cpu_op", "autograd::engine::evaluate_function: AddmmBackward0", ENGINE, backward)
        span("user_annotation", "Optimizer.step#AdamW.step", MAIN, optimizer)
        for address in state.pop("grads"):
            free(address)
        free(state.pop("input"))

    span("user_annotation", f"ProfilerStep#{number}", MAIN, whole)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "."
    live[0x7E0000000000] = 1 << 20  # of the 3 MiB that live already, this one is freed
    state = {}
    step(3, state)
    memory(-live.pop(0x7E0000000000), 0x7E0000000000, MAIN)
    step(4, state)
    events.append({"ph": "M", "name": "process_name", "pid": PROCESS, "tid": 0, "args": {"name": "python"}})
    with open(folder + "/training.json", "w") as f:
        json.dump({"schemaVersion": 1, "profile_memory": 1, "displayTimeUnit": "ms",
                   "deviceProperties": [{"id": 0, "name": "GPU"}], "traceEvents": events}, f, indent=1)


main()
