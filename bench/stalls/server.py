"""Answers requests, and holds its loop when one asks for it: server.py

"GET /KIND/MS". For each stall the truth goes to standard output: kind, when it began and ended
(CLOCK_MONOTONIC, ms).
"""
import asyncio
import hashlib
import os
import subprocess
import time


def now():
    return time.monotonic() * 1000


def hold_processor(ms):
    until = time.monotonic() + ms / 1000
    while time.monotonic() < until: pass  # processor


def hold_sleep(ms):
    time.sleep(ms / 1000)  # sleep


def hold_child(ms):
    subprocess.run(["/bin/sleep", str(ms / 1000)], check=True)  # child


def hold_library(ms):
    until = time.monotonic() + ms / 1000
    while time.monotonic() < until: hashlib.pbkdf2_hmac("sha512", b"a", b"b", 2000)  # library


holds = {"processor": hold_processor, "sleep": hold_sleep, "child": hold_child,
         "library": hold_library}


async def on_client(reader, writer):
    line = await reader.readline()
    while (await reader.readline()).strip():
        pass
    _, kind, *rest = line.split()[1].decode().split("/")
    if kind == "quit":
        os._exit(0)
    if kind in holds:
        began = now()
        holds[kind](float(rest[0]))
        os.write(1, b"stall %s %.3f %.3f\n" % (kind.encode(), began, now()))
    writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
    await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(on_client, "127.0.0.1", 0)
    os.write(1, b"listening %d %d\n" % (server.sockets[0].getsockname()[1], os.getpid()))
    async with server:
        await server.serve_forever()


asyncio.run(main())
