#!/usr/bin/env python3
"""Starts an echo server that listens on port 7000 of every address, in a network namespace of its
own, and talks to it:  talk.py PROGRAM. Exit code 77 where namespaces are not allowed."""
import os
import socket
import subprocess
import sys
import time

if "HARK_TALK_INSIDE" not in os.environ:
    inside = ["unshare", "-rn", sys.executable, os.path.abspath(__file__), *sys.argv[1:]]
    allowed = subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0
    if not allowed:
        print("skipped: no network namespaces here")
        sys.exit(77)
    sys.exit(subprocess.run(inside, env={**os.environ, "HARK_TALK_INSIDE": "1"}).returncode)

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
server = subprocess.Popen(sys.argv[1:2])
try:
    for _ in range(500):
        try:
            client = socket.create_connection(("127.0.0.1", 7000), timeout=10)
            break
        except ConnectionRefusedError:
            time.sleep(0.02)  # until it listens
    else:
        sys.exit("the server does not listen")
    for size in (1, 64, 4096, 100000):
        message = os.urandom(size)
        client.sendall(message)
        got = b""
        while len(got) < size:
            part = client.recv(65536)
            if not part:
                sys.exit("the server closed the connection")
            got += part
        if got != message:
            sys.exit("the echo differs")
    client.close()
finally:
    server.kill()
    server.wait()
print("talk: ok")
