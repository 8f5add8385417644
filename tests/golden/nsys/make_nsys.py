#!/usr/bin/env python3
"""Makes the Nsight Systems export of this folder: two steps of a program on two devices, with NVTX
ranges, calls, kernels and copies, in the tables of `nsys export --type sqlite` (2024). The numbers of
the enumerations are not the usual ones on purpose: readers must go by the labels.
Usage: make_nsys.py [FOLDER]"""
import os
import sqlite3
import sys

PROCESS, THREAD = 0x1000000 * 77, 0x1000000 * 77 + 5
file = (sys.argv[1] if len(sys.argv) > 1 else ".") + "/training.sqlite"
if os.path.exists(file):
    os.remove(file)
db = sqlite3.connect(file)
db.executescript("""
PRAGMA page_size = 512;
CREATE TABLE StringIds (id INTEGER NOT NULL PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE ENUM_CUDA_MEM_KIND (id INTEGER NOT NULL PRIMARY KEY, name TEXT, label TEXT);
CREATE TABLE ENUM_CUDA_DEV_MEM_EVENT_OPER (id INTEGER NOT NULL PRIMARY KEY, name TEXT, label TEXT);
CREATE TABLE ENUM_CUDA_MEMCPY_OPER (id INTEGER NOT NULL PRIMARY KEY, name TEXT, label TEXT);
CREATE TABLE ENUM_NSYS_EVENT_TYPE (id INTEGER NOT NULL PRIMARY KEY, name TEXT, label TEXT);
CREATE TABLE NVTX_EVENTS (start INTEGER NOT NULL, end INTEGER, eventType INTEGER NOT NULL, text TEXT,
  textId INTEGER, globalTid INTEGER);
CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME (start INTEGER NOT NULL, end INTEGER NOT NULL,
  eventClass INTEGER NOT NULL, globalTid INTEGER, correlationId INTEGER, nameId INTEGER NOT NULL);
CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INTEGER NOT NULL, end INTEGER NOT NULL,
  deviceId INTEGER NOT NULL, contextId INTEGER NOT NULL, streamId INTEGER NOT NULL,
  correlationId INTEGER, globalPid INTEGER, demangledName INTEGER NOT NULL, shortName INTEGER NOT NULL);
CREATE TABLE CUPTI_ACTIVITY_KIND_MEMCPY (start INTEGER NOT NULL, end INTEGER NOT NULL,
  deviceId INTEGER NOT NULL, streamId INTEGER NOT NULL, correlationId INTEGER, globalPid INTEGER,
  bytes INTEGER NOT NULL, copyKind INTEGER NOT NULL);
CREATE TABLE CUDA_GPU_MEMORY_USAGE_EVENTS (start INTEGER NOT NULL, globalPid INTEGER NOT NULL,
  deviceId INTEGER NOT NULL, contextId INTEGER NOT NULL, address INTEGER NOT NULL, pc INTEGER NOT NULL,
  bytes INTEGER NOT NULL, memKind INTEGER NOT NULL, memoryOperationType INTEGER NOT NULL, name TEXT,
  correlationId INTEGER);
INSERT INTO StringIds VALUES (1, 'sgemm'), (2, 'cudaMalloc'), (3, 'optimizer');
INSERT INTO ENUM_CUDA_MEM_KIND VALUES (71, 'CUDA_MEMOPR_MEMORY_KIND_PINNED', 'Pinned'),
  (72, 'CUDA_MEMOPR_MEMORY_KIND_DEVICE', 'Device'),
  (75, 'CUDA_MEMOPR_MEMORY_KIND_DEVICE_STATIC', 'Device Static');
INSERT INTO ENUM_CUDA_DEV_MEM_EVENT_OPER VALUES
  (14, 'CUDA_DEV_MEM_EVENT_OPR_ALLOCATION', 'Allocation'),
  (15, 'CUDA_DEV_MEM_EVENT_OPR_DEALLOCATION', 'Deallocation');
INSERT INTO ENUM_CUDA_MEMCPY_OPER VALUES (1, 'CUDA_MEMCPY_KIND_HTOD', 'Host-to-Device');
INSERT INTO ENUM_NSYS_EVENT_TYPE VALUES (59, 'NvtxPushPopRange', 'NVTX Push/Pop Range'),
  (34, 'NvtxMark', 'NVTX Mark');
""")
now, correlation = 1_000_000, 0


def tick(ns=10):
    global now
    now += ns
    return now


def call():
    global correlation
    correlation += 1
    db.execute("INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME VALUES (?, ?, 0, ?, ?, 2)",
               (tick(), tick(5), THREAD, correlation))
    return correlation


def memory(operation, kind, device, address, size, name=None, with_call=True):
    db.execute("INSERT INTO CUDA_GPU_MEMORY_USAGE_EVENTS VALUES (?, ?, ?, 1, ?, 0, ?, ?, ?, ?, ?)",
               (tick(), PROCESS, device, address, size, kind, operation, name,
                call() if with_call else 0))


def span(text, body, text_id=None):
    begin = tick()
    body()
    db.execute("INSERT INTO NVTX_EVENTS VALUES (?, ?, 59, ?, ?, ?)", (begin, tick(), text, text_id, THREAD))


def forward():
    memory(14, 72, 0, 0x7000, 4096)
    c = call()
    db.execute("INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (?, ?, 0, 1, 7, ?, ?, 1, 1)",
               (now + 3, now + 500, c, PROCESS))
    db.execute("INSERT INTO CUPTI_ACTIVITY_KIND_MEMCPY VALUES (?, ?, 0, 13, ?, ?, 4096, 1)",
               (now + 10, now + 90, c, PROCESS))
    tick(600)
    memory(15, 72, 0, 0x7000, 4096)


def optimizer():
    memory(14, 72, 1, 0x9000 + now, 2048)


memory(14, 75, 0, 0x100, 128, "__table", with_call=False)
memory(14, 71, 0, 0x5000, 8192)
for step in (0, 1):
    span(f"step {step}", lambda: (span("forward", lambda: span("block0, seq = 3", forward)),
                                  span(None, optimizer, 3)))
memory(15, 72, 0, 0x6000, 1024)  # allocated before the recording
db.execute("INSERT INTO NVTX_EVENTS VALUES (?, NULL, 34, 'a mark', NULL, ?)", (tick(), THREAD))
db.commit()
db.execute("VACUUM")
db.close()
