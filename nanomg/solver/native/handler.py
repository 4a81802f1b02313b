"""The foreign function of XLA that runs a kernel, in LLVM's text: it reads XLA's frame, and shares the lanes among idle cores.

It is code of the machine, not of Python: no exception and no Ctrl-C can arise between XLA and a kernel, and nothing waits for
Python's lock. Places in memory are those of XLA's C interface (xla/ffi/api/c_api.h), whose version it states when asked.

Further threads are XLA's own. A call asks for as many as have lanes to take and a core to run on; calls side by side share the
cores by a count of busy threads. A thread that comes too late finds the work closed, and touches no array.
"""

from __future__ import annotations

import ctypes

from nanomg.compute import process

VERSION = 0, 3  # of the interface
SUFFIX = "_call"  # of the name of a kernel's foreign function

# numbers that all kernels of a process share
busy_threads = ctypes.c_int64(0)
cores = ctypes.c_int64(process.threads())
SHARED = {"nanomg_busy_threads": busy_threads, "nanomg_cores": cores}

# Of what the threads of a call share: next lane, threads at work with a mark when the work is closed, holders, arguments.
_COMMON = r"""
@nanomg_busy_threads = external global i64
@nanomg_cores = external global i64

declare ptr @malloc(i64)
declare void @free(ptr)
declare i32 @sched_yield()

define internal ptr @nanomg_pointer(ptr %base, i64 %offset) {
  %place = getelementptr i8, ptr %base, i64 %offset
  %pointer = load ptr, ptr %place
  ret ptr %pointer
}

define internal void @nanomg_addresses(ptr %buffers, i64 %count, ptr %addresses) {
entry:
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %next, label %done
next:
  %i = phi i64 [0, %entry], [%after, %next]
  %place = shl i64 %i, 3
  %buffer = call ptr @nanomg_pointer(ptr %buffers, i64 %place)
  %data = call ptr @nanomg_pointer(ptr %buffer, i64 24)
  %to = getelementptr i8, ptr %addresses, i64 %place
  store ptr %data, ptr %to
  %after = add i64 %i, 1
  %more = icmp slt i64 %after, %count
  br i1 %more, label %next, label %done
done:
  ret void
}

define internal void @nanomg_release(ptr %shared) {
  %holders = getelementptr i8, ptr %shared, i64 16
  %before = atomicrmw sub ptr %holders, i64 1 acq_rel
  %last = icmp eq i64 %before, 1
  br i1 %last, label %free, label %done
free:
  call void @free(ptr %shared)
  br label %done
done:
  ret void
}
"""

_OF_ONE = r"""
define internal void @NAME_help(ptr %shared) {
  %active = getelementptr i8, ptr %shared, i64 8
  %before = atomicrmw add ptr %active, i64 1 acq_rel
  %open = icmp slt i64 %before, CLOSED
  br i1 %open, label %work, label %done
work:
  %operands = call ptr @nanomg_pointer(ptr %shared, i64 24)
  %results = call ptr @nanomg_pointer(ptr %shared, i64 32)
  %sizes = call ptr @nanomg_pointer(ptr %shared, i64 40)
  call void @NAME(ptr %operands, ptr %results, ptr %sizes, ptr %shared)
  br label %done
done:
  %b = atomicrmw sub ptr @nanomg_busy_threads, i64 1 acq_rel
  %a = atomicrmw sub ptr %active, i64 1 acq_rel
  call void @nanomg_release(ptr %shared)
  ret void
}

define ptr @NAME_call(ptr %frame) {
entry:
  %extension = call ptr @nanomg_pointer(ptr %frame, i64 8)
  %extended = icmp ne ptr %extension, null
  br i1 %extended, label %asked, label %arguments
asked:
  %kind.at = getelementptr i8, ptr %extension, i64 8
  %kind = load i32, ptr %kind.at
  %about.version = icmp eq i32 %kind, 1
  br i1 %about.version, label %version, label %arguments
version:
  %metadata = call ptr @nanomg_pointer(ptr %extension, i64 24)
  %major = getelementptr i8, ptr %metadata, i64 24
  store i32 MAJOR, ptr %major
  %minor = getelementptr i8, ptr %metadata, i64 28
  store i32 MINOR, ptr %minor
  %traits = getelementptr i8, ptr %metadata, i64 32
  store i32 0, ptr %traits
  %state = getelementptr i8, ptr %metadata, i64 40
  store i64 0, ptr %state
  ret ptr null

arguments:
  %operand.count.at = getelementptr i8, ptr %frame, i64 56
  %operand.count = load i64, ptr %operand.count.at
  %operands = alloca ptr, i64 %operand.count
  %operand.buffers = call ptr @nanomg_pointer(ptr %frame, i64 72)
  call void @nanomg_addresses(ptr %operand.buffers, i64 %operand.count, ptr %operands)
  %result.count.at = getelementptr i8, ptr %frame, i64 96
  %result.count = load i64, ptr %result.count.at
  %results = alloca ptr, i64 %result.count
  %result.buffers = call ptr @nanomg_pointer(ptr %frame, i64 112)
  call void @nanomg_addresses(ptr %result.buffers, i64 %result.count, ptr %results)
  %attributes = call ptr @nanomg_pointer(ptr %frame, i64 160)
  %attribute = load ptr, ptr %attributes
  %sizes = call ptr @nanomg_pointer(ptr %attribute, i64 16)

  %lanes = load i64, ptr %sizes
  %lanes.up = add i64 %lanes, ROUND
  %groups = sdiv i64 %lanes.up, WIDTH
  %wanted = sub i64 %groups, 1
  %busy = atomicrmw add ptr @nanomg_busy_threads, i64 1 acq_rel
  %cores = load i64, ptr @nanomg_cores
  %others = sub i64 %cores, %busy
  %idle = sub i64 %others, 1
  %few = call i64 @llvm.smin.i64(i64 %wanted, i64 %idle)
  %helpers = call i64 @llvm.smax.i64(i64 %few, i64 0)
  %alone = icmp eq i64 %helpers, 0
  br i1 %alone, label %single, label %several

single:
  %queue = alloca i64
  store i64 0, ptr %queue
  call void @NAME(ptr %operands, ptr %results, ptr %sizes, ptr %queue)
  br label %end

several:
  %b0 = atomicrmw add ptr @nanomg_busy_threads, i64 %helpers acq_rel
  %shared = call ptr @malloc(i64 48)
  %active = getelementptr i8, ptr %shared, i64 8
  %holders = getelementptr i8, ptr %shared, i64 16
  %operands.at = getelementptr i8, ptr %shared, i64 24
  %results.at = getelementptr i8, ptr %shared, i64 32
  %sizes.at = getelementptr i8, ptr %shared, i64 40
  %held = add i64 %helpers, 1
  store i64 0, ptr %shared
  store i64 0, ptr %active
  store i64 %held, ptr %holders
  store ptr %operands, ptr %operands.at
  store ptr %results, ptr %results.at
  store ptr %sizes, ptr %sizes.at
  fence release
  %api = call ptr @nanomg_pointer(ptr %frame, i64 16)
  %context = call ptr @nanomg_pointer(ptr %frame, i64 24)
  %schedule = call ptr @nanomg_pointer(ptr %api, i64 136)
  %destroy = call ptr @nanomg_pointer(ptr %api, i64 64)
  %task = alloca [5 x ptr]
  %task.context = getelementptr i8, ptr %task, i64 16
  %task.function = getelementptr i8, ptr %task, i64 24
  %task.data = getelementptr i8, ptr %task, i64 32
  br label %ask
ask:
  %i = phi i64 [0, %several], [%after, %asked.one]
  store ptr inttoptr (i64 40 to ptr), ptr %task
  %task.extension = getelementptr i8, ptr %task, i64 8
  store ptr null, ptr %task.extension
  store ptr %context, ptr %task.context
  store ptr @NAME_help, ptr %task.function
  store ptr %shared, ptr %task.data
  %error = call ptr %schedule(ptr %task)
  %refused = icmp ne ptr %error, null
  br i1 %refused, label %here, label %asked.one
here:
  %refusal = alloca [3 x ptr]
  store ptr inttoptr (i64 24 to ptr), ptr %refusal
  %refusal.extension = getelementptr i8, ptr %refusal, i64 8
  store ptr null, ptr %refusal.extension
  %refusal.error = getelementptr i8, ptr %refusal, i64 16
  store ptr %error, ptr %refusal.error
  call void %destroy(ptr %refusal)
  call void @NAME_help(ptr %shared)
  br label %asked.one
asked.one:
  %after = add i64 %i, 1
  %more = icmp slt i64 %after, %helpers
  br i1 %more, label %ask, label %work
work:
  call void @NAME(ptr %operands, ptr %results, ptr %sizes, ptr %shared)
  %closing = atomicrmw add ptr %active, i64 CLOSED acq_rel
  br label %wait
wait:
  %at.work = load atomic i64, ptr %active acquire, align 8
  %through = icmp eq i64 %at.work, CLOSED
  br i1 %through, label %release, label %yield
yield:
  %y = call i32 @sched_yield()
  br label %wait
release:
  call void @nanomg_release(ptr %shared)
  br label %end
end:
  %b1 = atomicrmw sub ptr @nanomg_busy_threads, i64 1 acq_rel
  ret ptr null
}
"""


def with_handlers(ir: str, widths: dict[str, int]) -> str:
    """LLVM's text of kernels with their foreign functions; `widths` are lanes that each kernel takes at a time, by its name."""
    texts = [ir, _COMMON]
    for name, width in widths.items():
        values = {"MAJOR": VERSION[0], "MINOR": VERSION[1], "CLOSED": 1 << 62, "ROUND": width - 1, "WIDTH": width}
        text = _OF_ONE.replace("NAME", name)
        for word, value in values.items():
            text = text.replace(word, str(value))
        texts.append(text)
    return "\n".join(texts)
