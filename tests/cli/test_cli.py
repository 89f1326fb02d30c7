"""What the hark command promises at the shell, tried on the finished program.

    python3 tests/cli/test_cli.py /path/to/hark [unittest's options]

Every port is free by the kernel's choice, every wait is for something that is announced, and every
process ends by itself or with its test.
"""
import contextlib
import ctypes
import errno
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

HARK = "hark"
PATIENCE_S = 120  # for what should take a second or two, on a slow machine under a sanitizer
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMMANDS = ["idle", "backends", "echo", "load"]
SVG = "{http://www.w3.org/2000/svg}"


def environment(**more):
    """The tester's environment, without what would choose a backend."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HARK_")}
    return {**kept, **more}


def hark(*arguments, env=None, **more):
    """Runs the command to its end."""
    more.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([HARK, *arguments], env=env or environment(), stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, **more)


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
        process = subprocess.Popen([HARK, *arguments], env=environment(), text=True,
                                   start_new_session=True, cwd=self.folder, **more)
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
        for command in COMMANDS:
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
            (["idle", "--backend", "epol"], "did you mean 'epoll'"),
            (["idle", "--backend", "epoll,"], "takes"), (["idle", "--backend="], "takes"),
            (["idle", "--backend", "poll,poll"], "poll twice"), (["idle", "--picture="], "FILE"),
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
        ]
        for arguments, word in mistakes:
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
            for arguments in (["--help"], ["--version"], ["idle", "--help"], ["backends"]):
                self.assert_complains(hark(*arguments, stdout=full), 1, "No space left")

    def test_a_closed_standard_output_is_a_failure_and_no_socket(self):
        quick = ["--connections", "5", "--duration", "5ms", "--no-picture", "--backend", "epoll"]
        for arguments in (["--help"], ["backends", "--json"], ["echo"], ["idle", *quick]):
            with self.subTest(arguments=arguments):
                ran = hark(*arguments, stdout=None, preexec_fn=lambda: os.close(1))
                self.assert_complains(ran, 1, "cannot write the output")


class Backends(Case):
    def test_each_has_a_line_and_one_is_chosen(self):
        ran = hark("backends")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        lines = [line.split() for line in ran.stdout.splitlines()]
        self.assertTrue({"epoll", "poll", "select", "auto"} <= {line[0] for line in lines})
        for name in ("epoll", "poll", "select"):
            self.assertIn([name, "works"], [line[:2] for line in lines])
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
        ran = hark("backends", "--json", env=environment(HARK_BACKEND="poll"))
        data = json.loads(ran.stdout)
        self.assertEqual((data["HARK_BACKEND"], data["used"]), ("poll", "poll"))
        self.assertEqual(data["auto"], before["auto"])
        ran = hark("backends", env=environment(HARK_BACKEND="pol"))
        self.assertEqual(ran.returncode, 1)
        self.assertIn("it names no backend", ran.stdout)

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
            for size, depth in (("1", "100"), ("999", "3"), ("1m", "2")):
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
        for signal_number in (signal.SIGINT, signal.SIGTERM):
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


class Idle(Case):
    QUICK = ("--connections", "50", "--duration", "30ms")

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
        self.assertTrue(data["machine"]["system"].startswith("Linux "))
        self.assertEqual(data["machine"]["processors"], len(os.sched_getaffinity(0)))
        for row in data["backends"]:
            self.assertEqual((row["refused"], row["failure"]), (None, None))
            self.assertEqual([level["idle"] for level in row["levels"]], [5, 50])
            for level in row["levels"]:
                self.assertTrue(level["measured"], level)
                self.assertGreater(level["round_trips"], 7)
                self.assertGreater(level["processor_us"], 0)
                self.assertGreaterEqual(level["p99_us"], level["p50_us"])
                self.assertGreater(level["p50_us"], 0)
                if row["untraced"] is None:
                    # A receive, a send and a wait; a ring does several in one call.
                    self.assertTrue(0.9 < level["calls"] < 4.1, level)

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
        data = self.idle_data("--connections", "1", "--duration", "5ms", "--backend", "epoll")
        self.assertRegex(data["verdict"],
                         r"^a round trip at 1 idle: epoll [\d.]+ us$")
        self.texts_of("hark-idle.svg")

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
        ran = self.idle("--connections", "1", "--duration", "1ms", "--backend", "epoll",
                        "--picture", "/dev/full", code=1)
        self.assert_complains(ran, 1, "/dev/full", "No space left")
        self.assertIn("epoll", ran.stdout)

    def test_options_are_kept_to(self):
        data = self.idle_data("--connections", "120", "--active", "7", "--size", "70000",
                              "--duration", "10ms", "--backend", "epoll")
        self.assertEqual((data["active"], data["message_bytes"]), (7, 70000))
        self.assertEqual([level["idle"] for level in data["backends"][0]["levels"]], [100, 120])
        self.assertAlmostEqual(data["seconds"], 0.01)

    def test_select_ends_at_its_limit_and_says_so(self):
        data = self.idle_data("--connections", "1100", "--duration", "5ms", "--backend",
                              "select,epoll")
        limited, epoll = data["backends"]
        self.assertEqual([level["measured"] for level in limited["levels"]], [True, True, False])
        self.assertIn("1,024", limited["levels"][2]["note"])
        self.assertEqual([level["measured"] for level in epoll["levels"]], [True, True, True])

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

    def test_a_limit_of_1024_measures_up_to_1000(self):
        data = self.idle_data("--duration", "5ms", preexec_fn=limit_descriptors(1024))
        for row in data["backends"]:
            self.assertEqual([(level["idle"], level["measured"]) for level in row["levels"]],
                             [(100, True), (1000, True)])

    def test_no_descriptors_at_all_is_told(self):
        ran = self.idle(code=1, preexec_fn=limit_descriptors(18))
        self.assert_complains(ran, 1, "18 open descriptors")
        self.assertEqual(os.listdir(self.folder), [])

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
        folder, name = os.path.split(os.path.abspath(HARK))
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
        for command in COMMANDS:
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

    def test_nothing_is_offered_where_nothing_is_known(self):
        self.assertEqual(self.complete("load", "127"), set())


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: test_cli.py /path/to/hark [unittest's options]")
    HARK = sys.argv.pop(1)
    unittest.main()
