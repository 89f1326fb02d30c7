"""The programs: where they were built, which peers there are, and how a server and its client run.

The server has the second processor to itself and the client mostly the first, so that neither
moves.
"""
import contextlib
import glob
import json
import os
import subprocess
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PEERS = ("libev", "libuv", "libevent")
SERVER_CPU, CLIENT_CPU = 1, 0

# label: program, arguments. The labels are those of the tables.
SERVERS = {
    "epoll by hand": ("echo_server_epoll",),
    "hark epoll": ("echo_server_hark", "epoll", "recv"),
    "hark epoll pool": ("echo_server_hark", "epoll", "pool"),
    "hark epoll ready": ("echo_server_hark", "epoll", "ready"),
    "libev": ("echo_server_libev",),
    "libuv": ("echo_server_libuv",),
    "libevent": ("echo_server_libevent", "event"),
    "bufferevent": ("echo_server_libevent", "bufferevent"),
    "ring by hand": ("echo_server_uring",),
    "hark ring": ("echo_server_hark", "io_uring", "recv"),
    "hark epoll fiber": ("echo_server_hark", "epoll", "fiber"),
    "hark ring fiber": ("echo_server_hark", "io_uring", "fiber"),
    "hark ring pool": ("echo_server_hark", "io_uring", "pool"),
}


class Failed(Exception):
    """A benchmark program did not do what it should; the text says which and what."""


def note(text):
    """Tells how far it is, on the standard error."""
    print(text, file=sys.stderr, flush=True)


class Build:
    """The folder that holds the built programs."""

    def __init__(self, folder):
        pattern = os.path.join(SOURCE, "build", "**", "echo_client")
        found = sorted(glob.glob(pattern, recursive=True), key=os.path.getmtime)
        self.folder = folder or (os.path.dirname(found[-1]) if found else "")
        if not os.path.exists(self.path("echo_client")):
            raise Failed("not built: run cmake --preset release, then "
                         "cmake --build build/release --target bench; "
                         "or name the folder: --build DIR")
        probe = [self.path("post_hark"), "bulk", "1", "one", "io_uring"]
        done = subprocess.run(probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.has_ring = done.returncode == 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def has(self, name):
        return os.path.exists(self.path(name))

    def missing(self):
        """What is left out: peers that were not there when this was built, and the ring."""
        names = [peer for peer in PEERS if not self.has(f"echo_server_{peer}")]
        names += [] if self.has("echo_server_uring") else ["liburing"]
        return [f"{name}: not installed" for name in names] + (
            [] if self.has_ring else ["io_uring: not in this build of hark, or refused here"])

    def servers(self, labels):
        """Those of the labels that can run, with their command lines."""
        return {label: (self.path(SERVERS[label][0]), *SERVERS[label][1:])
                for label in labels if self.has(SERVERS[label][0])
                and (self.has_ring or "ring" not in label)}


def pinned(cpu):
    """For preexec_fn: keeps a program on one processor, where there are two."""
    def pin():
        if (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(0, {cpu})
    return pin


@contextlib.contextmanager
def serving(command, prefix=()):
    """A server that runs; gives the process and its port. It ends with its last connection."""
    server = subprocess.Popen([*prefix, *command], stdout=subprocess.PIPE, text=True,
                              preexec_fn=pinned(SERVER_CPU))
    try:
        words = server.stdout.readline().split()
        if len(words) != 2 or words[0] != "port":
            raise Failed(f"{' '.join(command)}: the server did not start")
        yield server, words[1]
        if server.wait(timeout=60) != 0:
            raise Failed(f"{' '.join(command)}: the server ended with {server.returncode}")
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
        server.stdout.close()


def client_command(build, server, port, options):
    """options: of echo_client, with _ for - and without the dashes in front."""
    command = [build.path("echo_client"), "--port", port, "--server", str(server.pid)]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    return command


def load(build, command, prefix=(), client_cpu=CLIENT_CPU, **options):
    """Runs a server and its client; gives what the client printed, by the kind of window."""
    with serving(command, prefix) as (server, port):
        client = subprocess.run(client_command(build, server, port, options), text=True,
                                stdout=subprocess.PIPE, preexec_fn=pinned(client_cpu))
    if client.returncode != 0:
        raise Failed(f"{' '.join(command)}: the client ended with {client.returncode}")
    answers = [json.loads(line) for line in client.stdout.splitlines()]
    return {answer["window"]: answer for answer in answers}


def answer_of(command):
    """Runs a program that prints one line of JSON."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: ended with {done.returncode}")
    return json.loads(done.stdout)
