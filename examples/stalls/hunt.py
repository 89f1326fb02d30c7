#!/usr/bin/env python3
"""Runs one of the servers of this folder under `hark stalls`, with clients that keep it busy.

    hunt.py BUILD_DIR node|asyncio|c [options of hark stalls]
    hunt.py --check BUILD_DIR node|asyncio|c   exit code 1 if the planted cause is not on top
    hunt.py --bare BUILD_DIR node|asyncio|c    without hark: does the server serve?

BUILD_DIR is where hark was built, such as build/release. docs/stalls.md tells what is seen.
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

FOLDER = os.path.relpath(os.path.dirname(os.path.abspath(__file__)))
CLIENTS, HUNT_S, PATIENCE_S = 4, 5, 60

# name: (command, the guilty function and the end of its file's name, the system call or None)
HUNTS = {
    "node": (["node", FOLDER + "/node_audit/server.js"], ("rotate", "lib/audit.js"), None),
    "asyncio": (["/usr/bin/python3", FOLDER + "/asyncio_flags/server.py"],
                ("ask", "flags.py"), "recvfrom"),
    "c": (["{build}/examples/epoll_lock"], ("count_request", "epoll_lock.c"), "futex"),
}


def ask(port):
    """One request and its whole answer."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        connection.sendall(b"GET /order HTTP/1.0\r\n\r\n")
        answer = b""
        while part := connection.recv(4096):
            answer += part
        return answer


def keep_busy(port, until, answers):
    while time.monotonic() < until:
        answers.append(ask(port))
        time.sleep(0.002)


def serve_clients(port):
    """Asks from several threads for some seconds; gives the number of answers."""
    until, answers = time.monotonic() + HUNT_S, []
    clients = [threading.Thread(target=keep_busy, args=(port, until, answers))
               for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return sum(map(bool, answers))


def run(command):
    """Runs the server to its end and passes its output on; gives exit code and answers."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        answers = 0
        first = server.stdout.readline()
        found = re.fullmatch(r"listening on .*:(\d+)\n", first)
        if found:
            answers = serve_clients(int(found[1]))
        else:
            print(first, end="")
        server.send_signal(signal.SIGTERM)  # hark passes it on
        print(server.stdout.read(), end="")
        return server.wait(PATIENCE_S), answers


def is_found(report, guilty, call):
    top = report["groups"][0] if report["groups"] else {"guilty": None, "call": None}
    frame = top["guilty"] or {"function": "nothing", "file": ""}
    function, file = guilty
    print("blamed: %s in %s, call %s" % (frame["function"], frame["file"], top["call"]))
    return frame["function"].split(".")[-1] == function and (frame["file"] or "").endswith(file) \
        and call in (None, top["call"])


def main():
    words = sys.argv[1:]
    mode = words.pop(0) if words and words[0] in ("--check", "--bare") else None
    if len(words) < 2 or words[1] not in HUNTS:
        sys.exit(__doc__)
    build, name, options = words[0], words[1], words[2:]
    command, guilty, call = HUNTS[name]
    command = [word.format(build=build) for word in command]
    stalls = [build + "/src/cli/hark", "stalls"]
    if mode == "--bare":
        code, answers = run(command)
        print("%d answers, exit code %d" % (answers, code))
        return code != 0 or answers == 0
    if mode is None:
        return run([*stalls, *options, "--", *command])[0]
    with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
        code, answers = run([*stalls, *options, "--json", file.name, "--", *command])
        report = json.load(file) if code == 0 else {"groups": []}
        return code != 0 or answers == 0 or not is_found(report, guilty, call)


if __name__ == "__main__":
    sys.exit(main())
