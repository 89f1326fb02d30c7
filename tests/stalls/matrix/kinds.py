"""Holds a loop of asyncio or uvloop in each way, some times: kinds.py LOOP COUNT DELAY_MS KIND...

The line that a report must name ends in the mark of its function. A process of our own does to the
loop what others would: it takes the lock, or answers late.
"""
import asyncio
import fcntl
import os
import socket
import sqlite3
import sys
import tempfile
import threading
import time

HELD_S = 0.08
folder = tempfile.mkdtemp()
FIFO, LOCKED, BASE = (os.path.join(folder, name) for name in ("fifo", "locked", "base"))


def hold_processor():
    until = time.perf_counter() + HELD_S
    while time.perf_counter() < until: pass  # processor


def hold_sleep():
    time.sleep(HELD_S)  # sleep


def hold_getaddrinfo():
    try:
        socket.getaddrinfo("slow.example", 80)  # getaddrinfo
    except socket.gaierror:
        pass


lock = threading.Lock()


def keep_lock(has_begun):
    with lock:
        has_begun.set()
        time.sleep(HELD_S)


def hold_lock():
    has_begun = threading.Event()
    threading.Thread(target=keep_lock, args=(has_begun,)).start()
    has_begun.wait()
    with lock:  # lock
        pass


def hold_fifo():
    ask("fifo")
    open(FIFO, "rb").close()  # fifo


def hold_flock():
    ask("flock")
    with open(LOCKED, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # flock


def hold_recv():
    with socket.create_connection(address) as connection:
        connection.recv(10)  # recv


base = sqlite3.connect(BASE, timeout=5, isolation_level=None)
base.execute("CREATE TABLE t (n)")


def hold_sqlite():
    ask("sqlite")
    base.execute("INSERT INTO t VALUES (1)")  # sqlite


def help_out(commands, answers):
    """In a process of its own: does what it is told, tells that it has begun, and ends it later."""
    other = sqlite3.connect(BASE, isolation_level=None)
    while command := os.read(commands, 1):
        locked = open(LOCKED, "rb")
        if command == b"l":
            fcntl.flock(locked, fcntl.LOCK_EX)
        if command == b"s":
            other.execute("BEGIN EXCLUSIVE")
        os.write(answers, b"x")
        time.sleep(HELD_S)
        if command == b"f":
            open(FIFO, "wb").close()
        if command == b"s":
            other.execute("COMMIT")
        locked.close()


def answer_late(listener):
    while True:
        connection, _ = listener.accept()
        time.sleep(HELD_S)
        connection.close()


def ask(kind):
    os.write(to_helper, {"fifo": b"f", "flock": b"l", "sqlite": b"s"}[kind])
    os.read(from_helper, 1)


def start_child(function, *arguments):
    pid = os.fork()
    if pid == 0:
        function(*arguments)
        os._exit(0)
    return pid


async def hold_all(kinds):
    await asyncio.sleep(delay_s)
    for kind in kinds:
        for _ in range(count):
            globals()["hold_" + kind]()
            await asyncio.sleep(0.03)


loop_name, count, delay_s, names = \
    sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / 1000, sys.argv[4:]
os.mkfifo(FIFO)
open(LOCKED, "wb").close()
command_ends, answer_ends = os.pipe(), os.pipe()
to_helper, from_helper = command_ends[1], answer_ends[0]
server = socket.create_server(("127.0.0.1", 0))
address = server.getsockname()
children = [start_child(answer_late, server)]
helper = os.fork()
if helper == 0:
    os.close(to_helper)
    help_out(command_ends[0], answer_ends[1])
    os._exit(0)
children.append(helper)
if loop_name == "uvloop":
    import uvloop
    uvloop.install()
try:
    if loop_name == "threads":
        threads = [threading.Thread(target=asyncio.run, args=(hold_all(names),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        asyncio.run(hold_all(names))
finally:
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    os.rmdir(folder)
