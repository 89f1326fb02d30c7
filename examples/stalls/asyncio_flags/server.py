#!/usr/bin/env python3
"""A server on asyncio whose every request looks up a feature flag.

    server.py

Most answers come at once; some keep everybody waiting. docs/stalls.md finds out why. The service of
flags is a process of its own, as slow as a service on the other side of a busy network.
"""
import asyncio
import signal
import socket
import subprocess
import sys
import time

from flags import Flags

SERVICE_S = 0.08


def run_service():
    """Answers each question after a while; ends when its client does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        client, _ = listener.accept()
    with client:
        while client.recv(100):
            time.sleep(SERVICE_S)
            client.sendall(b"on\n")


def greeting(flags):
    return b"hello\n" if flags.is_on("long-greeting") else b"hi\n"


async def serve(flags):
    async def on_client(reader, writer):
        await reader.readline()
        writer.write(greeting(flags))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(on_client, "127.0.0.1", 0)
    print("listening on 127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()


def main():
    if sys.argv[1:] == ["--service"]:
        return run_service()
    with subprocess.Popen([sys.executable, __file__, "--service"],
                          stdout=subprocess.PIPE) as service:
        flags = Flags(("127.0.0.1", int(service.stdout.readline())))
        asyncio.run(serve(flags))
        flags.connection.close()


if __name__ == "__main__":
    main()
