"""Instructions: what a message costs the whole server process in user space, counted by valgrind.

Two runs that differ by the number of messages alone; the difference has no start-up in it.
"""
import os
import re
import shutil
import subprocess
import tempfile

from .figures import Figure, Report
from .programs import SERVER_CPU, Failed, load, note

LABELS = ("epoll by hand", "hark epoll", "hark epoll pool", "hark epoll ready", "libev", "libuv",
          "libevent", "bufferevent")
CONNECTIONS, BYTES = 64, 64
FEW, MANY = 20000, 60000
TARGET = 180
PROFILE_LINES = 14


def totals(path):
    """Instructions in all, and the calls of the functions that matter, of a callgrind file."""
    names, calls, called, total = {}, {}, None, None
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            match = re.match(r"c?fn=\((\d+)\)(?: (.*))?", line)
            if match:
                if match[2]:
                    names[match[1]] = match[2].strip()
                if line.startswith("cfn="):
                    called = names.get(match[1], "?")
            elif line.startswith("calls="):
                calls[called] = calls.get(called, 0) + int(line[6:].split()[0])
            elif line.startswith(("summary:", "totals:")):
                total = int(line.split()[1])
    if total is None:
        raise Failed("callgrind wrote no total")
    return total, calls


def count(build, command, messages, out):
    prefix = ("valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}")
    # On one processor the client sends all that it can before the server looks: equal batches.
    answers = load(build, command, prefix, client_cpu=SERVER_CPU, connections=CONNECTIONS,
                   bytes=BYTES, messages=messages, windows=0)
    return answers["verified"]["messages"], *totals(out)


def calls_like(calls, pattern):
    return sum(number for name, number in calls.items() if re.fullmatch(pattern, name))


def measure(build, command, folder):
    """Instructions a message; messages and clock calls a visit of the kernel."""
    out = [os.path.join(folder, name) for name in ("few", "many")]
    few, many = count(build, command, FEW, out[0]), count(build, command, MANY, out[1])
    messages = many[0] - few[0]

    def more(pattern):
        return calls_like(many[2], pattern) - calls_like(few[2], pattern)
    waits = more(r"epoll_p?wait2?(@.*)?")
    clocks = more(r"(__)?clock_gettime(@.*)?")
    return {"instructions": (many[1] - few[1]) / messages, "messages": messages,
            "messages_a_wait": messages / waits if waits else None,
            "clocks_a_wait": clocks / waits if waits else None}


def profile(path, messages):
    """Where the instructions go, by function: the lines of callgrind_annotate, a message each."""
    done = subprocess.run(["callgrind_annotate", path], stdout=subprocess.PIPE, text=True)
    rows = []
    for line in done.stdout.splitlines():
        match = re.match(r"\s*([\d,]+) \([ \d.]+%\)\s+(.*)", line)
        if match and "PROGRAM TOTALS" not in line:
            name = re.sub(r"^\S*/(\S+:)", r"\1", match[2])
            rows.append([f"{int(match[1].replace(',', '')) / messages:.1f}", name.split(" [")[0]])
    return rows[:PROFILE_LINES]


def run(build, options):
    report = Report("instructions: user space, a message, "
                    f"{CONNECTIONS} connections, {BYTES} bytes")
    if shutil.which("valgrind") is None:
        report.say("valgrind: not installed; nothing was counted")
        return report
    taken, rows = {}, []
    with tempfile.TemporaryDirectory(prefix="hark-bench-") as folder:
        for label, command in build.servers(LABELS).items():
            note(f"instructions: {label}")
            taken[label] = measure(build, command, folder)
            if label == "hark epoll":
                rows = profile(os.path.join(folder, "many"), MANY)
    report.table(["server", "instructions a message", "messages a wait", "clock calls a wait"],
                 [[label, f"{t['instructions']:.1f}", shown(t["messages_a_wait"]),
                   shown(t["clocks_a_wait"])] for label, t in taken.items()])
    report.say("hark epoll, by function (start-up included):")
    report.table(["instructions a message", "function"], rows)
    report.data = taken
    judge(report, taken)
    return report


def shown(value):
    return f"{value:.2f}" if value is not None else "-"


def judge(report, taken):
    peers = {label: t["instructions"] for label, t in taken.items() if not label.startswith("hark")}
    ours = taken["hark epoll"]["instructions"]
    report.judge(Figure("hark epoll: instructions", ours, peers, None, f"<= {TARGET}",
                        ours <= TARGET, 0))
    if "libev" in peers:
        report.judge(Figure("hark epoll: instructions", ours, {"libev": peers["libev"]},
                            ours / peers["libev"], "below libev", ours < peers["libev"], 0))
    for label in ("hark epoll pool", "hark epoll ready"):
        report.judge(Figure(f"{label}: instructions", taken[label]["instructions"], {}, None, "-",
                            None, 0))
    clocks = taken["hark epoll"]["clocks_a_wait"]
    if clocks is not None:
        report.judge(Figure("hark epoll: clock calls a turn", clocks, {}, None, "<= 1",
                            clocks <= 1.01))
