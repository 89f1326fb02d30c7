"""What the hark command promises at the shell, tried on the finished program.

    python3 tests/cli/test_cli.py /path/to/hark [unittest's options]

TEST_LAUNCHER in the environment is put in front of it: a program that runs those of another system.

Every port is free by the kernel's choice, every wait is for something that is announced, and every
process ends by itself or with its test.
"""
import contextlib
import ctypes
import errno
import functools
import json
import os
import platform
import pty
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import xml.etree.ElementTree as ElementTree

HARK = ["hark"]
LAUNCHED = os.environ.get("TEST_LAUNCHER", "").split()
FLAT = "iocp" if LAUNCHED else "epoll"  # a backend that idle connections cost nothing
PATIENCE_S = 120  # for what should take a second or two, on a slow machine under a sanitizer
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMMANDS = ["stalls", "idle", "backends", "echo", "load"]
SVG = "{http://www.w3.org/2000/svg}"


def environment(**more):
    """The tester's environment, without what would choose a backend."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HARK_")}
    return {**kept, **more}


def hark(*arguments, env=None, **more):
    """Runs the command to its end."""
    more.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([*HARK, *arguments], env=env or environment(), stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, **more)


def here_only(what):
    """For a test that needs what only this system has."""
    return unittest.skipIf(LAUNCHED, "needs %s of this system" % what)


@functools.cache
def has(command):
    """Whether it was built; else it only says what is missing."""
    return "left out of this build" not in hark(command, "--help").stderr


def built_commands():
    return [command for command in COMMANDS if has(command)]


def working_backends():
    found = json.loads(hark("backends", "--json").stdout)["backends"]
    return [backend["name"] for backend in found if backend["works"]]


def limit_descriptors(count):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def forbid(call):
    """A preexec_fn under which one system call is refused with EPERM, by seccomp."""
    numbers = {"x86_64": {"ptrace": 101, "io_uring_setup": 425},
               "aarch64": {"ptrace": 117, "io_uring_setup": 425}}
    number = numbers.get(platform.machine(), {}).get(call)
    if number is None:
        raise unittest.SkipTest("system call numbers of this machine are not known here")
    load, jump_equal, answer, allow = 0x20, 0x15, 0x06, 0x7FFF0000
    steps = [(load, 0, 0, 0), (jump_equal, 0, 1, number), (answer, 0, 0, 0x00050000 | errno.EPERM),
             (answer, 0, 0, allow)]
    program = b"".join(struct.pack("HBBI", *step) for step in steps)
    libc = ctypes.CDLL(None, use_errno=True)

    def refuse():
        code = ctypes.create_string_buffer(program)
        header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps),
                                                         ctypes.addressof(code)))
        set_seccomp, set_no_new_privileges, filter_mode = 22, 38, 2
        if libc.prctl(set_no_new_privileges, 1, 0, 0, 0) != 0:
            os._exit(77)
        if libc.prctl(set_seccomp, filter_mode, ctypes.c_void_p(ctypes.addressof(header)), 0, 0):
            os._exit(77)
    return refuse


class PeerServer:
    """Serves each connection with a function, for what an echo server should not do."""

    def __init__(self, handle):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.handle = handle
        self.served = threading.Event()  # set by handle() at the moment that its test waits for
        self.open, self.threads = [], []
        self.accepting = threading.Thread(target=self.accept, daemon=True)
        self.accepting.start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                thread = threading.Thread(target=self.serve, args=(peer,), daemon=True)
                self.open.append(peer)
                self.threads.append(thread)
                thread.start()

    def serve(self, peer):
        with contextlib.suppress(OSError):
            self.handle(self, peer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # A descriptor is closed when no thread can still use its number, soon another one's.
        self.end([self.listener], [self.accepting])
        self.end(self.open, self.threads)

    @staticmethod
    def end(sockets, threads):
        for one in sockets:
            with contextlib.suppress(OSError):  # its peer may be gone
                one.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(PATIENCE_S)
        for one in sockets:
            one.close()


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="hark-cli.")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, *arguments, **more):
        """Starts the command in a process group of its own, which is ended with the test."""
        more.setdefault("stdout", subprocess.PIPE)
        more.setdefault("stderr", subprocess.PIPE)
        more.setdefault("env", environment())
        process = subprocess.Popen([*HARK, *arguments], text=True, start_new_session=True,
                                   cwd=self.folder, **more)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()

    def start_echo(self, *arguments):
        """Starts an echo server. Gives it, its address and its backend."""
        process = self.start("echo", *arguments)
        line = process.stdout.readline()
        found = re.fullmatch(r"listening on (\S+:\d+) \((\w+)\)\n", line)
        self.assertTrue(found, "instead of its address it printed %r" % line)
        return process, found.group(1), found.group(2)

    def interrupt(self, process, code=0):
        """Sends Ctrl-C as a terminal does, to the whole group. Gives what was printed."""
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
        self.assertEqual(process.returncode, code, err)
        with self.assertRaises(ProcessLookupError):
            os.killpg(process.pid, 0)  # nothing of it is left behind
        return out, err

    def assert_complains(self, ran, code, *words):
        self.assertEqual(ran.returncode, code, ran.stderr)
        self.assertEqual(ran.stderr.count("\n"), 1, ran.stderr)
        self.assertRegex(ran.stderr, r"\Ahark( \w+)?: [ -~]+\n\Z")
        for word in words:
            self.assertIn(word, ran.stderr)


class HelpAndMistakes(Case):
    def test_help_names_every_command(self):
        ran = hark("--help")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        for command in COMMANDS:
            self.assertRegex(ran.stdout, r"(?m)^  %s +\w" % command)
        self.assertEqual(hark("-h").stdout, ran.stdout)
        self.assertEqual(hark("help").stdout, ran.stdout)

    def test_help_of_a_command_comes_three_ways(self):
        for command in built_commands():
            ran = hark("help", command)
            self.assertEqual((ran.returncode, ran.stderr), (0, ""))
            self.assertTrue(ran.stdout.startswith("hark %s: " % command))
            self.assertIn("usage: hark %s" % command, ran.stdout)
            self.assertEqual(hark(command, "--help").stdout, ran.stdout)
            self.assertEqual(hark(command, "-h").stdout, ran.stdout)
            self.assertLessEqual(max(map(len, ran.stdout.splitlines())), 100)

    def test_version_is_the_library_s(self):
        with open(os.path.join(ROOT, "include/hark/api.h"), encoding="ascii") as header:
            version = re.search(r'#define HARK_VERSION "(.*)"', header.read()).group(1)
        ran = hark("--version")
        self.assertEqual((ran.returncode, ran.stdout, ran.stderr), (0, "hark %s\n" % version, ""))

    def test_each_mistake_is_one_line_and_exit_code_2(self):
        mistakes = [
            ([], "hark --help"), (["ilde"], "did you mean 'idle'"), (["frobnicate"], "hark --help"),
            (["--verison"], "did you mean '--version'"), (["help", "eco"], "did you mean 'echo'"),
            (["help", "idle", "load"], "'load'"), (["--version", "x"], "'x'"),
            (["--help", "x"], "'x'"), (["idle", "--conections", "5"], "mean '--connections'"),
            (["idle", "--wildly-unknown"], "hark idle --help"), (["idle", "5"], "'5'"),
            (["idle", "--connections"], "--connections needs a N"),
            (["idle", "--connections", "--json"], "--connections needs a N"),
            (["idle", "--connections", "0"], "from 1 to 1,000,000"),
            (["idle", "--connections", "-5"], "whole number"),
            (["idle", "--connections", "5x"], "whole number"),
            (["idle", "--connections", "1000001"], "from 1 to 1,000,000"),
            (["idle", "--connections", "99999999999999999999"], "whole number"),
            (["idle", "--active", "65"], "from 1 to 64"), (["idle", "--size", "2m"], "to 1m"),
            (["idle", "--duration", "5"], "500ms"), (["idle", "--duration", "1d"], "500ms"),
            (["idle", "--duration", "0"], "from 1ms"), (["idle", "--json=yes"], "takes no value"),
            (["idle", "--backend", FLAT[:-1]], "did you mean '%s'" % FLAT),
            (["idle", "--backend", FLAT + ","], "takes"), (["idle", "--backend="], "takes"),
            (["idle", "--backend", "%s,%s" % (FLAT, FLAT)], "%s twice" % FLAT),
            (["idle", "--picture="], "FILE"),
            (["idle", "line\nfeed\x1b[2J"], "line?feed?[2J"), (["backends", "x"], "'x'"),
            (["backends", "--jsn"], "did you mean '--json'"), (["echo", "127.0.0.1:1"], "--"),
            (["echo", "--listen", "nonsense"], "HOST:PORT"),
            (["echo", "--listen", "127.0.0.1:70000"], "HOST:PORT"),
            (["echo", "--listen", "::1:7000"], "[::1]:7000"),
            (["echo", "--buffers", "0"], "from 1"),
            (["echo", "--size", "1g"], "64, 16k or 1m"), (["load"], "hark load 127.0.0.1:7000"),
            (["load", "127.0.0.1"], "HOST:PORT"), (["load", "127.0.0.1:"], "HOST:PORT"),
            (["load", ":7000"], "HOST:PORT"), (["load", "a:1", "b:2"], "second"),
            (["load", "a:1", "--depth", "0"], "from 1"),
            (["load", "a:1", "--rate", "1.5"], "whole number"),
            (["stalls"], "hark stalls -- node server.js"), (["stalls", "--"], "-p PID"),
            (["stalls", "-p", "77", "--", "true"], "not both"),
            (["stalls", "-p77", "true"], "not both"), (["stalls", "-p"], "-p needs a PID"),
            (["stalls", "-p", "seven"], "whole number"), (["stalls", "-p", "0"], "from 1"),
            (["stalls", "-p", "-1"], "whole number"), (["stalls", "-px"], "not 'x'"),
            (["stalls", "-p", "4294967297"], "to 2,147,483,647"),
            (["stalls", "--pid", "77"], "did you mean '-p'"),
            (["stalls", "--threshold", "999us", "true"], "from 1ms to 1m"),
            (["stalls", "--threshold", "61s", "true"], "from 1ms to 1m"),
            (["stalls", "--threshold", "20", "true"], "500ms"),
            (["stalls", "--duration", "0", "true"], "from 1ms"),
            (["stalls", "--mode", "bfp", "true"], "did you mean 'bpf'"),
            (["stalls", "--mode", "preload", "-p", "77"], "not with -p"),
            (["stalls", "--json", "--fold", "x", "true"], "--json needs a FILE"),
            (["stalls", "--json", "-", "--svg=-", "true"], "standard output"),
            (["stalls", "--svg=", "true"], "FILE"), (["stalls", "--quite", "true"], "'--quiet'"),
        ]
        for arguments, word in mistakes:
            if arguments[:1] in (["stalls"], ["idle"]) and not has(arguments[0]):
                continue
            with self.subTest(arguments=arguments):
                ran = hark(*arguments, cwd=self.folder)
                self.assert_complains(ran, 2, word)
                self.assertEqual(ran.stdout, "")
        self.assertEqual(os.listdir(self.folder), [])

    def test_an_unknown_backend_in_the_environment_is_told(self):
        ran = hark("echo", env=environment(HARK_BACKEND="epol"))
        self.assert_complains(ran, 2, "HARK_BACKEND", "epol", "hark backends")

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            for arguments in (["--help"], ["--version"], ["echo", "--help"], ["backends"]):
                self.assert_complains(hark(*arguments, stdout=full), 1, "No space left")

    def test_a_closed_standard_output_is_a_failure_and_no_socket(self):
        quick = ["--connections", "5", "--duration", "5ms", "--no-picture", "--backend", FLAT]
        for arguments in (["--help"], ["backends", "--json"], ["echo"], ["idle", *quick]):
            if not has(arguments[0]):
                continue
            with self.subTest(arguments=arguments):
                ran = hark(*arguments, stdout=None, preexec_fn=lambda: os.close(1))
                self.assert_complains(ran, 1, "cannot write the output")


class Backends(Case):
    def test_each_has_a_line_and_one_is_chosen(self):
        ran = hark("backends")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        lines = [line.split() for line in ran.stdout.splitlines()]
        built = ["iocp"] if LAUNCHED else ["epoll", "poll", "select"]
        for name in built:
            self.assertIn([name, "works"], [line[:2] for line in lines])
        names = {"io_uring", "epoll", "kqueue", "poll", "select", "iocp"}
        self.assertEqual({line[0] for line in lines[:-1]}, names)
        for line in lines[:-1]:
            self.assertIn(line[1], ["works", "refused", "absent"])
            if line[1] == "absent":
                self.assertNotIn(line[0], built)
                self.assertEqual(line[2:6], ["not", "in", "this", "build:"])
        self.assertIn(lines[-1][1], [line[0] for line in lines if line[1] == "works"])

    def test_json_says_the_same(self):
        data = json.loads(hark("backends", "--json").stdout)
        text = hark("backends").stdout
        for backend in data["backends"]:
            state = "works" if backend["works"] else "refused"
            self.assertRegex(text, r"(?m)^%s +%s\b" % (backend["name"], state))
        self.assertRegex(text, r"(?m)^auto +%s$" % data["auto"])
        self.assertEqual((data["used"], data["HARK_BACKEND"]), (data["auto"], None))

    def test_an_override_is_shown_with_what_auto_would_pick(self):
        before = json.loads(hark("backends", "--json").stdout)
        other = working_backends()[-1]
        ran = hark("backends", "--json", env=environment(HARK_BACKEND=other))
        data = json.loads(ran.stdout)
        self.assertEqual((data["HARK_BACKEND"], data["used"]), (other, other))
        self.assertEqual(data["auto"], before["auto"])
        ran = hark("backends", env=environment(HARK_BACKEND=other[:-1]))
        self.assertEqual(ran.returncode, 1)
        self.assertIn("it names no backend", ran.stdout)

    @here_only("a limit of descriptors")
    def test_the_refused_say_why(self):
        ran = hark("backends", preexec_fn=limit_descriptors(4))
        self.assertEqual(ran.returncode, 0)
        self.assertRegex(ran.stdout, r"(?m)^epoll +refused ")
        for line in ran.stdout.splitlines():
            if " refused " in line:
                self.assertRegex(line, r" refused +Too many open files$")
        self.assertRegex(ran.stdout, r"(?m)^auto +poll$")  # needs no descriptor but its wake-up

    def test_a_forbidden_ring_is_refused_and_epoll_chosen(self):
        if "io_uring" not in working_backends():
            self.skipTest("io_uring does not work here anyway")
        data = json.loads(hark("backends", "--json", preexec_fn=forbid("io_uring_setup")).stdout)
        ring = next(backend for backend in data["backends"] if backend["name"] == "io_uring")
        self.assertFalse(ring["works"])
        self.assertRegex(ring["detail"], r"\w+ \w+")
        self.assertEqual(data["auto"], "epoll")


class EchoAndLoad(Case):
    def measure(self, address, *arguments):
        ran = hark("load", address, "--json", *arguments)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        return json.loads(ran.stdout)

    def test_they_work_together_on_every_backend(self):
        for backend in working_backends():
            with self.subTest(backend=backend):
                server, address, own = self.start_echo("--backend", backend)
                self.assertEqual(own, backend)
                data = self.measure(address, "--backend", backend, "--connections", "20",
                                    "--duration", "150ms")
                self.assertEqual(data["target"], address)
                self.assertEqual(data["backend"], backend)
                self.assertEqual((data["connections"], data["message_bytes"], data["depth"]),
                                 (20, 64, 1))
                self.assertEqual((data["mode"], data["interrupted"]), ("closed loop", False))
                self.assertEqual(data["unanswered"], 0)
                self.assertGreaterEqual(data["messages"], 20)
                self.assertGreaterEqual(data["seconds"], 0.15)
                rate = data["messages"] / data["seconds"]
                self.assertAlmostEqual(data["messages_per_second"] / rate, 1, 3)
                self.assertAlmostEqual(data["bytes_per_second"] / (rate * 64), 1, 3)
                times = [data["latency_us"][share] for share in
                         ("p50", "p90", "p99", "p99.9", "max")]
                self.assertEqual(times, sorted(times))
                self.assertGreater(times[0], 0)
                out, _ = self.interrupt(server)
                self.assertIn("20 connections, ", out)
                self.assertNotIn("ended by an error", out)
                self.assertNotIn("refused", out)

    def test_each_size_and_depth_comes_back_whole(self):
        for backend in working_backends():
            server, address, _ = self.start_echo("--backend", backend, "--size", "1000",
                                                 "--buffers", "7")
            large = "100k" if LAUNCHED else "1m"  # there a receive is slow, and 1m takes many
            for size, depth in (("1", "100"), ("999", "3"), (large, "2")):
                with self.subTest(backend=backend, size=size, depth=depth):
                    data = self.measure(address, "--backend", backend, "--size", size, "--depth",
                                        depth, "--connections", "3", "--duration", "100ms")
                    self.assertGreaterEqual(data["messages"], 3 * int(depth))
            self.interrupt(server)

    def test_a_rate_is_kept_to(self):
        server, address, _ = self.start_echo()
        data = self.measure(address, "--rate", "1000", "--duration", "300ms")
        self.assertEqual((data["mode"], data["rate"]), ("rate", 1000))
        self.assertEqual(data["messages"] + data["unanswered"], 300)
        self.assertGreaterEqual(data["seconds"], 0.3)
        self.interrupt(server)

    def test_the_text_says_what_was_measured(self):
        server, address, backend = self.start_echo()
        ran = hark("load", address, "--duration", "50ms", "--connections", "2")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        lines = ran.stdout.splitlines()
        self.assertRegex(lines[0], r"^%s +2 connections, messages of 64 bytes" % re.escape(address))
        self.assertIn("on " + backend, lines[0])
        self.assertRegex(lines[1], r"^messages  [\d,]+, [\d,.]+ a second")
        self.assertRegex(lines[2], r"^latency   p50 .*p90 .*p99 .*p99.9 .*max ")
        self.assertIn("closed loop", lines[3])
        ran = hark("load", address, "--duration", "50ms", "--rate", "100")
        self.assertIn("from the moment a message was due", ran.stdout)
        self.interrupt(server)

    def test_ipv6_works(self):
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError as error:
            self.skipTest("no IPv6 here: %s" % error)
        server, address, _ = self.start_echo("--listen", "[::1]:0")
        self.assertTrue(address.startswith("[::1]:"))
        self.assertGreater(self.measure(address, "--duration", "20ms")["messages"], 0)
        self.interrupt(server)

    def test_echo_ends_by_itself_after_its_duration(self):
        ran = hark("echo", "--duration", "50ms")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertRegex(ran.stdout, r"\Alistening on .*\n0 connections, 0 messages, 0 bytes, ")

    def test_echo_counts_what_it_did(self):
        server, address, _ = self.start_echo()
        host, port = address.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as client:
            for _ in range(3):
                client.sendall(b"ten bytes.")
                self.assertEqual(client.recv(10, socket.MSG_WAITALL), b"ten bytes.")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(client.recv(1), b"")
        out, _ = self.interrupt(server)
        self.assertRegex(out, r"\A1 connection, 3 messages, 30 bytes, .* of processor time")

    def test_a_port_in_use_is_told(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            ran = hark("echo", "--listen", "127.0.0.1:%d" % taken.getsockname()[1])
        self.assert_complains(ran, 1, "cannot listen", "in use")

    def test_a_refused_connection_is_told(self):
        with socket.socket() as unheard:
            unheard.bind(("127.0.0.1", 0))
            ran = hark("load", "127.0.0.1:%d" % unheard.getsockname()[1])
        self.assert_complains(ran, 1, "cannot connect", "refused")

    @here_only("a limit of descriptors")
    def test_more_connections_than_descriptors_is_told(self):
        ran = hark("load", "127.0.0.1:1", "--connections", "64", preexec_fn=limit_descriptors(64))
        self.assert_complains(ran, 1, "64 open descriptors")

    def test_a_wrong_byte_is_found(self):
        def flip(_, peer):
            data = bytearray(peer.recv(64, socket.MSG_WAITALL))
            data[41] ^= 1
            peer.sendall(data)
            peer.recv(1)
        with PeerServer(flip) as server:
            ran = hark("load", server.address, "--connections", "1")
        self.assert_complains(ran, 1, "byte 41 ", "wrong")

    def test_more_than_was_sent_is_found(self):
        def add(_, peer):
            peer.sendall(peer.recv(64, socket.MSG_WAITALL) + b"x")
            peer.recv(1)
        with PeerServer(add) as server:
            ran = hark("load", server.address, "--connections", "1", "--duration", "1ms")
        self.assertEqual(ran.returncode, 1)
        self.assertRegex(ran.stderr, "more back than it had sent|wrong")

    def test_a_lost_connection_is_told(self):
        def leave(_, peer):
            peer.recv(64, socket.MSG_WAITALL)
            peer.shutdown(socket.SHUT_RDWR)
        with PeerServer(leave) as server:
            ran = hark("load", server.address, "--connections", "1")
        self.assert_complains(ran, 1, "ended a connection")

    def test_a_server_that_says_nothing_is_told(self):
        def swallow(_, peer):
            while peer.recv(65536):
                pass
        with PeerServer(swallow) as server:
            ran = hark("load", server.address, "--duration", "10ms")
        self.assert_complains(ran, 1, "no echo came")

    def test_a_stall_delays_all_that_was_due_meanwhile(self):
        def stall(server, peer):
            while data := peer.recv(65536):
                if not server.served.is_set():
                    server.served.set()
                    time.sleep(0.4)  # the stall itself: nothing is waited for
                peer.sendall(data)
        with PeerServer(stall) as server:
            data = self.measure(server.address, "--connections", "1", "--rate", "200", "--depth",
                                "4", "--duration", "1s")
        # Of 200 messages the first 80 come due within the stall; a closed loop would see one late.
        self.assertEqual(data["messages"], 200)
        self.assertGreaterEqual(data["latency_us"]["max"], 390000)
        self.assertGreaterEqual(data["latency_us"]["p90"], 250000)

    def test_what_never_came_back_counts_as_late(self):
        def echo_some(_, peer):
            for _ in range(10):
                peer.sendall(peer.recv(64, socket.MSG_WAITALL))
            while peer.recv(65536):
                pass
        with PeerServer(echo_some) as server:
            data = self.measure(server.address, "--connections", "1", "--rate", "100",
                                "--duration", "500ms")
        self.assertEqual((data["messages"], data["unanswered"]), (10, 40))
        self.assertGreaterEqual(data["latency_us"]["p50"], 1000000)
        self.assertGreaterEqual(data["seconds"], 0.5)

    def test_interrupting_load_prints_what_it_has(self):
        def echo(server, peer):
            for count in range(1 << 30):
                data = peer.recv(65536)
                if not data:
                    return
                peer.sendall(data)
                if count == 100:
                    server.served.set()
        for signal_number in [signal.SIGINT] if LAUNCHED else [signal.SIGINT, signal.SIGTERM]:
            with PeerServer(echo) as server:
                load = self.start("load", server.address, "--connections", "1", "--json",
                                  "--duration", "1h")
                self.assertTrue(server.served.wait(PATIENCE_S))
                os.kill(load.pid, signal_number)
                out, err = load.communicate(timeout=PATIENCE_S)
            self.assertEqual((load.returncode, err), (0, ""))
            data = json.loads(out)
            self.assertTrue(data["interrupted"])
            self.assertGreaterEqual(data["messages"], 100)
            self.assertLess(data["seconds"], 3000)

    def test_interrupting_load_before_any_echo_says_130(self):
        def swallow(server, peer):
            while peer.recv(65536):
                server.served.set()
        with PeerServer(swallow) as server:
            load = self.start("load", server.address, "--duration", "1h")
            self.assertTrue(server.served.wait(PATIENCE_S))
            self.assertEqual(self.interrupt(load, 130), ("", ""))


class StallsLeftOut(Case):
    def test_what_to_install_is_told(self):
        if has("stalls"):
            self.skipTest("built with libdw")
        self.assert_complains(hark("stalls", "--help"), 1, "libdw-dev", "libelf-dev")


class Stalls(Case):
    """The command line only; what is seen of programs has tests of its own, in tests/stalls/."""

    def setUp(self):
        super().setUp()
        if not has("stalls"):
            self.skipTest("built without libdw")

    def test_a_file_that_cannot_be_written_is_told_before_anything_is_started(self):
        for option in ("--json", "--fold", "--svg"):
            target = self.path("nowhere/file")
            ran = hark("stalls", option, target, "--", "touch", self.path("started"))
            self.assert_complains(ran, 1, target, "No such file or directory")
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_process_that_is_not_there_is_told(self):
        gone = subprocess.Popen(["true"])
        gone.wait()
        ran = hark("stalls", "--json", self.path("json"), "-p", str(gone.pid))
        self.assert_complains(ran, 1)
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_process_of_another_user_is_told(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become somebody else")

        def become_nobody():
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)

        with subprocess.Popen(["sleep", "60"]) as other:
            ran = hark("stalls", "-p", str(other.pid), preexec_fn=become_nobody)
            other.kill()
        self.assert_complains(ran, 1, str(other.pid), "another user")

    def test_a_process_that_ends_under_the_watch_ends_it(self):
        with subprocess.Popen(["sleep", "0.5"]) as short:
            ran = hark("stalls", "-p", str(short.pid))
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertRegex(ran.stdout, r"(?m)^Process %d ended\.$" % short.pid)

    def test_a_program_without_a_loop_is_told_with_what_was_seen_instead(self):
        with subprocess.Popen(["sleep", "3600"]) as asleep:  # the last look is not at its end
            ran = hark("stalls", "--duration", "1s", "-p", str(asleep.pid))
            asleep.kill()
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertIn("No event loop was seen", ran.stdout)
        self.assertIn("last seen in clock_nanosleep", " ".join(ran.stdout.split()))

    def test_a_command_that_cannot_be_started_is_told_as_by_a_shell(self):
        ran = hark("stalls", "--", self.path("nothing"))
        self.assert_complains(ran, 127, self.path("nothing"), "No such file")
        with open(self.path("text"), "w", encoding="utf-8") as file:
            file.write("no program")
        self.assert_complains(hark("stalls", "--", self.path("text")), 126, "Permission denied")

    def test_a_full_disk_is_told_and_the_command_is_not_touched_by_it(self):
        ran = hark("stalls", "--json", "/dev/full", "--", "sh", "-c", "echo done; sleep 0.1")
        self.assert_complains(ran, 1, "/dev/full", "No space left on device")
        self.assertTrue(ran.stdout.startswith("done\n"), ran.stdout)
        with open("/dev/full", "w", encoding="utf-8") as full:
            ran = hark("stalls", "--", "sh", "-c", "exit 7", stdout=full)
        self.assert_complains(ran, 7, "No space left on device")

    def test_commands_that_end_while_their_names_are_read_end_the_watch(self):
        for milliseconds in range(0, 80, 2):
            script = f"sleep 0.0{milliseconds:02}; exit 7"
            ran = hark("stalls", "--", "sh", "-c", script)
            self.assertEqual(ran.returncode, 7, ran.stderr)

    def test_a_command_that_cannot_be_watched_as_asked_for_is_not_started(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become somebody else")
        os.chmod(self.folder, 0o777)
        ran = hark("stalls", "--mode", "bpf", "--", "touch", self.path("started"),
                   user=65534, group=65534, extra_groups=[])
        self.assert_complains(ran, 1)
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_command_that_is_not_ours_to_look_at_is_waited_for(self):
        if os.geteuid() != 0 or not os.stat("/usr/bin/mount").st_mode & 0o4000:
            self.skipTest("needs a program that changes its user, and one to start it")
        ran = hark("stalls", "--mode", "procfs", "--", "/usr/bin/mount", "--no-such-option",
                   user=65534, group=65534, extra_groups=[])
        self.assertIn("hark stalls: nothing is watched: ", ran.stderr)
        self.assertEqual(ran.returncode, 1)
        self.assertIn("Exit code 1.", ran.stdout)

    def test_an_exit_code_is_passed_on_though_ends_of_children_are_ignored(self):
        def ignore():
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)

        tell = "import signal, sys; print(int(signal.getsignal(signal.SIGCHLD))); sys.exit(7)"
        ran = hark("stalls", "--", sys.executable, "-c", tell, preexec_fn=ignore)
        self.assertEqual((ran.returncode, ran.stdout.splitlines()[0]), (7, "1"))

    def test_the_exit_code_of_the_command_is_passed_on(self):
        for end, code in (("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 128 + signal.SIGKILL)):
            self.assertEqual(hark("stalls", "--quiet", "--", "sh", "-c", end).returncode, code)


class IdleLeftOut(Case):
    def test_where_it_measures_is_told(self):
        if has("idle"):
            self.skipTest("built in")
        self.assert_complains(hark("idle"), 1, "left out of this build", "Linux")


class Idle(Case):
    QUICK = ("--connections", "50", "--duration", "30ms")

    def setUp(self):
        super().setUp()
        if not has("idle"):
            self.skipTest("left out of this build")

    def idle(self, *arguments, code=0, **more):
        ran = hark("idle", *arguments, cwd=self.folder, **more)
        self.assertEqual(ran.returncode, code, ran.stderr)
        return ran

    def idle_data(self, *arguments, **more):
        return json.loads(self.idle(*arguments, "--json", **more).stdout)

    def texts_of(self, picture):
        root = ElementTree.parse(self.path(picture)).getroot()
        self.assertEqual(root.tag, SVG + "svg")
        return root, ["".join(text.itertext()) for text in root.iter(SVG + "text")]

    def test_every_backend_is_measured_at_every_level(self):
        data = self.idle_data(*self.QUICK)
        self.assertEqual({row["backend"] for row in data["backends"]}, set(working_backends()))
        self.assertEqual((data["connections"], data["active"], data["message_bytes"]), (50, 3, 64))
        self.assertEqual((data["interrupted"], data["scaled"]), (False, None))
        system = "Windows " if LAUNCHED else "Linux "
        self.assertTrue(data["machine"]["system"].startswith(system))
        self.assertEqual(data["machine"]["processors"], len(os.sched_getaffinity(0)))
        for row in data["backends"]:
            self.assertEqual((row["refused"], row["failure"]), (None, None))
            self.assertEqual([level["idle"] for level in row["levels"]], [5, 50])
            for level in row["levels"]:
                self.assertTrue(level["measured"], level)
                self.assertGreater(level["round_trips"], 0 if LAUNCHED else 7)
                # A clock that advances by a 64th of a second may have stood still.
                self.assertGreater(level["processor_us"], -1 if LAUNCHED else 0)
                self.assertGreaterEqual(level["p99_us"], level["p50_us"])
                self.assertGreater(level["p50_us"], 0)
                if LAUNCHED:
                    self.assertIn("Windows", row["untraced"])
                    self.assertIsNone(level["calls"])
                elif row["untraced"] is None:
                    # A receive, a send and a wait; a ring does several in one call.
                    self.assertTrue(0.9 < level["calls"] < 4.1, level)

    @unittest.skipUnless(LAUNCHED, "system calls can be counted here")
    def test_the_text_says_that_calls_are_not_counted_and_time_is_coarse(self):
        lines = self.idle(*self.QUICK).stdout.splitlines()
        header = next(line for line in lines if line.startswith("backend"))
        rows = lines[lines.index(header) + 1:]
        self.assertEqual([row.split()[:2] for row in rows[:2]], [["iocp", "5"], ["iocp", "50"]])
        for row in rows[:2]:
            self.assertEqual(len(row), len(header))
            self.assertEqual(row.split()[3], "-")
        self.assertRegex(rows[2], "^iocp +system calls are not counted: ")
        self.assertTrue(any(re.match(r"us advance by steps of [\d.]+ ms", row) for row in rows))

    @here_only("poll and epoll")
    def test_the_text_is_a_verdict_and_an_aligned_table(self):
        ran = self.idle(*self.QUICK, "--backend", "poll,epoll")
        self.assertEqual(ran.stderr, "")
        lines = ran.stdout.splitlines()
        self.assertRegex(lines[0], r"^(poll|epoll)( and epoll)? (stay|stays|climb|climbs)\b")
        self.assertRegex(lines[0], r"at 50 idle against 5: poll x[\d.]+, epoll x[\d.]+$")
        header = next(line for line in lines if line.startswith("backend"))
        self.assertRegex(header, r"^backend +idle +us/round trip +calls/round trip +p50 us +p99 us"
                                 r" +memory/idle$")
        rows = lines[lines.index(header) + 1:][:4]
        self.assertEqual([row.split()[:2] for row in rows],
                         [["poll", "5"], ["poll", "50"], ["epoll", "5"], ["epoll", "50"]])
        self.assertEqual({len(row) for row in rows}, {len(header)})
        self.assertRegex(ran.stdout, r"every byte of [\d,]+ echoes was compared")
        self.assertTrue(lines[-1].endswith("hark-idle.svg"))

    @here_only("select and epoll")
    def test_the_verdict_follows_from_the_figures(self):
        data = self.idle_data("--connections", "1000", "--duration", "150ms", "--backend",
                              "select,epoll")
        flat, climbing, factors = [], [], {}
        for row in data["backends"]:
            first, last = (level["processor_us"] for level in row["levels"])
            factors[row["backend"]] = last / first
            (flat if last / first <= 1.5 else climbing).append(row["backend"])
        self.assertIn("select", climbing)  # ten times as many to look at, six times the cost
        verdict = data["verdict"]
        for name in flat:
            self.assertRegex(verdict, r"^%s stays flat, " % name)
        for name in climbing:
            self.assertRegex(verdict, r"\b%s( and \w+)? climbs?: |and %s climb: " % (name, name))
        for name, factor in factors.items():
            stated = float(re.search(name + r" x([\d.]+)", verdict).group(1))
            self.assertAlmostEqual(stated / factor, 1, 2)

    def test_the_picture_shows_it_all(self):
        data = self.idle_data(*self.QUICK)
        root, texts = self.texts_of("hark-idle.svg")
        self.assertEqual(data["picture"], "hark-idle.svg")
        everything = "\n".join(texts)
        for row in data["backends"]:
            self.assertRegex(everything, r"(?m)^%s [\d.,]+ \u00b5s$" % row["backend"])
        self.assertIn(data["machine"]["system"], everything)
        self.assertIn(data["machine"]["processor"], everything)
        self.assertIn("idle connections (both axes logarithmic)", texts)
        self.assertTrue(any("processor time" in text and "\u00b5s" in text for text in texts))
        self.assertIn("50", texts)
        self.assertEqual(root.find(SVG + "desc").text, data["verdict"])
        self.assertTrue(root.find(SVG + "title").text)
        self.assertIn("prefers-color-scheme: dark", root.find(SVG + "style").text)
        lines = [path for path in root.iter(SVG + "path")
                 if path.get("class", "").startswith("line")]
        self.assertEqual(len(lines), len(data["backends"]))
        for line in lines:
            self.assertRegex(line.get("d"), r"^M[\d.]+ [\d.]+L[\d.]+ [\d.]+$")
        width, height = map(float, root.get("viewBox").split()[2:])
        for text in root.iter(SVG + "text"):
            if text.get("x"):
                self.assertTrue(0 < float(text.get("x")) < width)
                self.assertTrue(0 < float(text.get("y")) < height)

    def test_one_level_makes_a_picture_too(self):
        data = self.idle_data("--connections", "1", "--duration", "5ms", "--backend", FLAT)
        self.assertRegex(data["verdict"],
                         r"^a round trip at 1 idle: %s [\d.,]+ us$" % FLAT)
        self.texts_of("hark-idle.svg")

    @here_only("file names in UTF-8")
    def test_the_picture_goes_where_it_is_asked_for(self):
        quick = ("--connections", "1", "--duration", "1ms", "--backend", "epoll")
        data = self.idle_data(*quick, "--picture", "ein Bild \u00fc&<.svg")
        self.assertEqual(data["picture"], "ein Bild \u00fc&<.svg")
        self.assertEqual(os.listdir(self.folder), [data["picture"]])
        os.remove(self.path(data["picture"]))
        self.assertIsNone(self.idle_data(*quick, "--no-picture")["picture"])
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_picture_that_cannot_be_written_is_told_before_measuring(self):
        ran = self.idle("--picture", "missing/folder.svg", code=1)
        self.assert_complains(ran, 1, "missing/folder.svg", "--picture FILE")
        self.assertEqual(ran.stdout, "")

    @here_only("/dev/full")
    def test_a_picture_that_does_not_fit_is_told_after_the_figures(self):
        ran = self.idle("--connections", "1", "--duration", "1ms", "--backend", "epoll",
                        "--picture", "/dev/full", code=1)
        self.assert_complains(ran, 1, "/dev/full", "No space left")
        self.assertIn("epoll", ran.stdout)

    def test_options_are_kept_to(self):
        data = self.idle_data("--connections", "120", "--active", "7", "--size", "70000",
                              "--duration", "10ms", "--backend", FLAT)
        self.assertEqual((data["active"], data["message_bytes"]), (7, 70000))
        self.assertEqual([level["idle"] for level in data["backends"][0]["levels"]], [100, 120])
        self.assertAlmostEqual(data["seconds"], 0.01)

    @here_only("select and epoll")
    def test_select_ends_at_its_limit_and_says_so(self):
        data = self.idle_data("--connections", "1100", "--duration", "5ms", "--backend",
                              "select,epoll")
        limited, epoll = data["backends"]
        self.assertEqual([level["measured"] for level in limited["levels"]], [True, True, False])
        self.assertIn("1,024", limited["levels"][2]["note"])
        self.assertEqual([level["measured"] for level in epoll["levels"]], [True, True, True])

    @here_only("a limit of descriptors")
    def test_few_descriptors_scale_it_down_and_it_says_so(self):
        data = self.idle_data("--connections", "500", "--duration", "5ms",
                              preexec_fn=limit_descriptors(200))
        self.assertIn("200", data["scaled"])
        self.assertLess(data["connections"], 200)
        for row in data["backends"]:
            levels = row["levels"]
            self.assertEqual([level["measured"] for level in levels], [True] * len(levels))
            self.assertEqual(levels[-1]["idle"], data["connections"])
        ran = self.idle("--connections", "500", "--duration", "1ms", "--backend", "epoll",
                        preexec_fn=limit_descriptors(64))
        self.assertIn("instead of 500: the limit of open descriptors is 64", ran.stdout)

    @here_only("a limit of descriptors")
    def test_a_limit_of_1024_measures_up_to_1000(self):
        data = self.idle_data("--duration", "5ms", preexec_fn=limit_descriptors(1024))
        for row in data["backends"]:
            self.assertEqual([(level["idle"], level["measured"]) for level in row["levels"]],
                             [(100, True), (1000, True)])

    @here_only("a limit of descriptors")
    def test_no_descriptors_at_all_is_told(self):
        ran = self.idle(code=1, preexec_fn=limit_descriptors(18))
        self.assert_complains(ran, 1, "18 open descriptors")
        self.assertEqual(os.listdir(self.folder), [])

    @here_only("ptrace")
    def test_refused_tracing_is_told_and_the_rest_measured(self):
        # A sanitizer's search for leaks traces too.
        calm = environment(ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
        data = self.idle_data(*self.QUICK, preexec_fn=forbid("ptrace"), env=calm)
        for row in data["backends"]:
            self.assertIn("ptrace", row["untraced"])
            for level in row["levels"]:
                self.assertTrue(level["measured"])
                self.assertIsNone(level["calls"])

    def test_a_refused_backend_is_told_and_the_rest_measured(self):
        if "io_uring" not in working_backends():
            self.skipTest("io_uring does not work here anyway")
        data = self.idle_data(*self.QUICK, preexec_fn=forbid("io_uring_setup"))
        rows = {row["backend"]: row for row in data["backends"]}
        self.assertTrue(rows["io_uring"]["refused"])
        self.assertTrue(rows["epoll"]["levels"][1]["measured"])
        ran = self.idle(*self.QUICK, "--backend", "io_uring", code=1,
                        preexec_fn=forbid("io_uring_setup"))
        self.assert_complains(ran, 1, "nothing could be measured on io_uring")

    def on_terminal(self, *arguments):
        """Starts hark idle with its standard error on a terminal of its own."""
        if LAUNCHED:
            self.skipTest("needs a terminal of this system")
        own, terminal = pty.openpty()
        self.addCleanup(os.close, own)
        process = self.start("idle", *arguments, stderr=terminal)
        os.close(terminal)
        return process, own

    def read_until(self, terminal, words):
        seen = ""
        with contextlib.suppress(OSError):  # how a terminal says that its last user is gone
            while words not in seen:
                ready, _, _ = select.select([terminal], [], [], PATIENCE_S)
                self.assertTrue(ready, "after %r nothing came" % seen)
                seen += os.read(terminal, 4096).decode()
        return seen

    def test_progress_is_shown_on_a_terminal_only(self):
        quick = ("--connections", "5", "--duration", "1ms", "--backend", "epoll", "--no-picture")
        process, terminal = self.on_terminal(*quick)
        seen = self.read_until(terminal, "never printed")
        self.assertEqual(process.wait(PATIENCE_S), 0)
        self.assertIn("epoll, 5 idle connections: timing", seen)
        self.assertTrue(seen.endswith("\r\x1b[K"))
        process, terminal = self.on_terminal(*quick, "--quiet")
        self.assertEqual(self.read_until(terminal, "never printed"), "")
        self.assertEqual(self.idle(*quick).stderr, "")

    def test_interrupting_prints_what_it_has(self):
        process, terminal = self.on_terminal("--connections", "50", "--duration", "200ms",
                                             "--backend", "epoll,select", "--json")
        self.read_until(terminal, "select: starting")
        out, _ = self.interrupt(process)
        data = json.loads(out)
        self.assertTrue(data["interrupted"])
        self.assertTrue(all(level["measured"] for level in data["backends"][0]["levels"]))
        self.assertEqual(len(data["backends"]), 2)
        self.texts_of("hark-idle.svg")

    def test_interrupting_a_long_timing_does_not_wait_for_it(self):
        process, terminal = self.on_terminal("--connections", "1", "--duration", "10m",
                                             "--backend", "poll")
        self.read_until(terminal, "timing")
        self.interrupt(process, 130)
        self.assertEqual(os.listdir(self.folder), [])

    def test_interrupting_while_tracing_keeps_the_times(self):
        process, terminal = self.on_terminal("--connections", "1", "--duration", "5ms", "--backend",
                                             "epoll", "--json", "--size", "1m")
        self.read_until(terminal, "counting system calls")
        out, _ = self.interrupt(process)
        data = json.loads(out)
        self.assertTrue(data["backends"][0]["levels"][0]["measured"])

    def test_a_lost_server_is_a_failure_and_the_rest_measured(self):
        process, terminal = self.on_terminal("--connections", "2", "--duration", "500ms",
                                             "--backend", "epoll,poll", "--json")
        self.read_until(terminal, "epoll, 2 idle connections: timing")
        try:
            with open("/proc/%d/task/%d/children" % (process.pid, process.pid)) as children:
                server = int(children.read().split()[0])
        except FileNotFoundError:
            self.skipTest("this kernel does not list children")
        os.kill(server, signal.SIGKILL)
        said = self.read_until(terminal, "never printed")
        out, _ = process.communicate(timeout=PATIENCE_S)
        self.assertEqual(process.returncode, 1)
        self.assertIn("hark idle: epoll: no echo", said)
        lost, kept = json.loads(out)["backends"]
        self.assertIn("no echo", lost["failure"])
        self.assertFalse(lost["levels"][0]["measured"])
        self.assertTrue(kept["levels"][0]["measured"])
        self.assertIsNone(kept["failure"])

    def start_marked(self):
        """Starts a long run, and waits until its children are at work. Gives it and a word in the
        environment of all three."""
        mark = "MARKED=%s" % self.folder
        process = self.start("idle", "--connections", "5", "--duration", "10m", "--backend",
                             FLAT, env=environment(MARKED=self.folder))
        # The coordinator itself takes next to nothing.
        self.await_marked(mark, lambda found: sum(ticks > 30 for ticks in found.values()) == 2)
        return process, mark

    def await_marked(self, mark, is_reached):
        end = time.monotonic() + PATIENCE_S
        while not is_reached(found := self.marked(mark)):
            self.assertLess(time.monotonic(), end, found)
            time.sleep(0.01)

    @staticmethod
    def marked(mark):
        """The processes of a run, and the processor time that each has taken."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            # Not there any more, or somebody else's.
            with contextlib.suppress(OSError), open("/proc/%s/environ" % pid) as environ:
                if mark in environ.read().split("\0"):
                    with open("/proc/%s/stat" % pid) as stat:
                        found[pid] = sum(map(int, stat.read().rpartition(")")[2].split()[11:13]))
        return found

    def test_interrupting_ends_its_children(self):
        process, mark = self.start_marked()
        self.interrupt(process, 130)
        self.await_marked(mark, lambda found: not found)

    def test_killing_it_ends_its_children(self):
        process, mark = self.start_marked()
        process.kill()
        process.wait()
        self.await_marked(mark, lambda found: not found)

    def test_nothing_outlives_it(self):
        process, terminal = self.on_terminal("--connections", "50", "--duration", "10m",
                                             "--backend", "epoll")
        self.read_until(terminal, "timing")
        process.kill()
        process.wait()
        end = time.monotonic() + PATIENCE_S
        with self.assertRaises(ProcessLookupError):  # the kernel ends the children of the killed
            while time.monotonic() < end:
                os.killpg(process.pid, 0)
                time.sleep(0.01)


@here_only("bash")
@unittest.skipUnless(shutil.which("bash"), "there is no bash here")
class Completion(Case):
    def complete(self, *words):
        """What bash would offer for the last word."""
        script = """
            source "$1"; shift
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
            "$(complete -p hark | sed 's/.*-F \\([^ ]*\\).*/\\1/')" "$1" "${!#}" "${@: -2:1}"
            printf '%s\\n' "${COMPREPLY[@]}"
        """
        folder, name = os.path.split(os.path.abspath(HARK[-1]))
        self.assertEqual(name, "hark")
        ran = subprocess.run(
            ["bash", "--norc", "-c", script, "bash", os.path.join(ROOT, "src/cli/completion.bash"),
             "hark", *words], env=environment(PATH=folder + ":" + os.environ["PATH"]), text=True,
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE_S)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        return set(ran.stdout.split())

    def test_commands_are_offered(self):
        self.assertEqual(self.complete(""), {*COMMANDS, "help", "--help", "--version"})
        self.assertEqual(self.complete("id"), {"idle"})
        self.assertTrue(set(COMMANDS) <= self.complete("help", ""))

    def test_every_option_of_every_command_is_offered(self):
        for command in built_commands():
            listed = re.findall(r"(?m)^  (--[a-z-]+)", hark(command, "--help").stdout)
            self.assertGreaterEqual(len(listed), 2)
            self.assertEqual(self.complete(command, "--"), set(listed))
        self.assertEqual(self.complete("load", "--ra"), {"--rate"})

    def test_backends_are_offered(self):
        self.assertEqual(self.complete("idle", "--backend", ""), set(working_backends()))
        self.assertEqual(self.complete("echo", "--backend", "=", "ep"), {"epoll"})
        self.assertEqual(self.complete("echo", "--backend", "="), set(working_backends()))

    def test_files_are_offered_for_the_picture(self):
        for name in ("one.svg", "other.svg"):
            with open(self.path(name), "w", encoding="ascii"):
                pass
        self.assertEqual(self.complete("idle", "--picture", "on"), {"one.svg"})

    def test_files_modes_and_processes_are_offered_for_stalls(self):
        with open(self.path("one.json"), "w", encoding="ascii"):
            pass
        for option in ("--json", "--fold", "--svg"):
            self.assertEqual(self.complete("stalls", option, "on"), {"one.json"})
        self.assertEqual(self.complete("stalls", "--mode", "p"), {"preload", "procfs"})
        self.assertIn(str(os.getpid()), self.complete("stalls", "-p", ""))
        if has("stalls"):
            self.assertIn("--quiet", self.complete("stalls", "-"))

    def test_nothing_is_offered_where_nothing_is_known(self):
        self.assertEqual(self.complete("load", "127"), set())
        self.assertEqual(self.complete("idle", "--json", ""), set())


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: test_cli.py /path/to/hark [unittest's options]")
    HARK = [*LAUNCHED, os.path.abspath(sys.argv.pop(1))]
    unittest.main()
