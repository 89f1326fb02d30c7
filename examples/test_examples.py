#!/usr/bin/env python3
"""Runs each example on every backend and checks what it does: test_examples.py BUILD_DIR/examples

TEST_LAUNCHER in the environment is put in front of each program: it runs those of another system,
on the backend of that one, and what was not built for it is skipped.

The programs listen on a free port and say which; nothing here waits by sleeping. A backend that
this machine refuses is skipped, with the reason."""
import fcntl
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

LAUNCHED = os.environ.get("TEST_LAUNCHER", "").split()
BUILD_DIR = "."
PATIENCE_S = 60  # only a test that fails waits so long
MEGABYTE = 1 << 20

# Starts a process whose parent ends before it does, waits until somebody has reaped it, runs a
# command if there is one, and stays.
LEAVES_AN_ORPHAN = """
import os, sys, time
reading, writing = os.pipe()
telling, told = os.pipe()
if os.fork() == 0:
    orphan = os.fork()
    if orphan == 0:
        os.close(writing)
        os.read(reading, 1)  # until the parent has gone
        os._exit(4)
    os.write(told, str(orphan).encode())
    os._exit(0)
os.close(writing)
orphan = int(os.read(telling, 20))
os.write(1, b"orphan %d\\n" % orphan)  # one write: others write there, too
os.wait()
try:
    while True:
        os.kill(orphan, 0)
        time.sleep(0.001)
except ProcessLookupError:
    pass
if sys.argv[1:]:
    os.system(sys.argv[1])
os.execvp("sleep", ["sleep", "1000"])
"""


def path_of(name):
    path = os.path.join(os.path.abspath(BUILD_DIR), name + (".exe" if LAUNCHED else ""))
    if LAUNCHED and not os.path.exists(path):
        raise unittest.SkipTest(name + " is left out on that system")
    return path


def here_only(what):
    """For a test that needs what only this system has."""
    return unittest.skipIf(LAUNCHED, "needs %s of this system" % what)


class Program:
    """A running example; its first line of output tells that it is ready."""

    def __init__(self, backend, name, *arguments, stdin=subprocess.DEVNULL):
        environment, path = dict(os.environ, HARK_BACKEND=backend), path_of(name)
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [*LAUNCHED, path, *arguments], env=environment, bufsize=0,
            stdin=stdin, stdout=subprocess.PIPE, stderr=self.errors)
        self.output = b""
        self.first_line = self.line()

    def line(self):
        while b"\n" not in self.output:
            if not select.select([self.process.stdout], [], [], PATIENCE_S)[0]:
                raise AssertionError("the example says nothing")
            part = self.process.stdout.read(4096)
            if not part:
                return None
            self.output += part
        line, _, self.output = self.output.partition(b"\n")
        return line.decode().rstrip("\r")

    def address(self):
        found = re.fullmatch(r"listening on (.*):(\d+)", self.first_line or "")
        if found is None:
            raise AssertionError(f"not listening: {self.first_line!r} {self.complaints()!r}")
        return found[1].strip("[]"), int(found[2])

    def connect(self):
        connection = socket.create_connection(self.address(), PATIENCE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def complaints(self):
        self.errors.seek(0)
        return self.errors.read()

    def most_memory(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def end(self, number):
        """Sends a signal; gives exit code and what was complained about."""
        self.process.send_signal(signal.SIGINT if LAUNCHED else number)
        code = self.process.wait(PATIENCE_S)
        return code, self.complaints()

    def discard(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def receive_exactly(connection, count):
    parts = []
    while count > 0:
        part = connection.recv(min(count, 65536))
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


class Chatter:
    """A chat client."""

    def __init__(self, test, program, name=None):
        self.connection = program.connect()
        self.file = self.connection.makefile("rb")
        test.addCleanup(self.close)
        if name is not None:
            self.say(name)

    def say(self, line):
        self.connection.sendall(line.encode() + b"\n")

    def hear(self):
        return self.file.readline().decode().rstrip("\n")

    def close(self):
        self.file.close()
        self.connection.close()


class ExampleTest:
    """The cases of one backend; each class below is one."""
    backend = ""

    def start(self, name, *arguments, **more):
        program = Program(self.backend, name, *arguments, **more)
        self.addCleanup(program.discard)
        return program

    def assert_ends_cleanly(self, program, number=signal.SIGTERM, complaints=""):
        code, said = program.end(number)
        self.assertEqual((code, said), (0, complaints))

    # echo

    def test_echo_sends_back_every_byte(self):
        for name in ("echo", "echo_fibers", "echo_scopes"):
            with self.subTest(name):
                self.check_echo(name)

    def test_echo_by_scopes_says_goodbye_when_it_is_asked_to_end(self):
        program = self.start("echo_scopes")
        client = program.connect()
        client.sendall(b"x")
        self.assertEqual(client.recv(1), b"x")
        self.assert_ends_cleanly(program)
        self.assertEqual(client.makefile("rb").read(), b"goodbye\n")
        client.close()

    def check_echo(self, name):
        program = self.start(name, "127.0.0.1:0")
        sent = random.Random(1).randbytes(300000)
        with program.connect() as one, program.connect() as other:
            for connection, piece in ((one, sent[:1]), (other, sent[:5000]), (one, sent[7:9])):
                connection.sendall(piece)
                self.assertEqual(receive_exactly(connection, len(piece)), piece)
            got = exchange(one, sent)
            self.assertEqual(got, sent)
            one.shutdown(socket.SHUT_WR)
            self.assertEqual(one.recv(1), b"")
        self.assert_ends_cleanly(program)

    def test_echo_ends_cleanly_on_ctrl_c_with_clients_connected(self):
        program = self.start("echo")
        with program.connect() as idle, program.connect() as busy:
            busy.sendall(b"x")
            self.assertEqual(busy.recv(1), b"x")
            self.assert_ends_cleanly(program, signal.SIGINT)
            self.assertEqual(idle.recv(1), b"")

    def test_echo_ends_cleanly_at_once(self):
        program = self.start("echo")
        program.address()
        self.assert_ends_cleanly(program, signal.SIGINT)

    def test_echo_listens_on_ipv6(self):
        if not has_ipv6():
            self.skipTest("this machine has no IPv6 loopback")
        program = self.start("echo", "[::1]:0")
        with program.connect() as connection:
            connection.sendall(b"six")
            self.assertEqual(receive_exactly(connection, 3), b"six")
        self.assert_ends_cleanly(program)

    def test_wrong_addresses_are_one_line_and_a_failure(self):
        for text in ("nonsense", "127.0.0.1", ":", "1.2.3.4:x", "[::1:7000", "x" * 200 + ":1"):
            program = self.start("echo", text)
            self.assertEqual(program.process.wait(PATIENCE_S), 1)
            self.assertRegex(program.complaints(), r"\A'.*' is no address such as .*\n\Z")

    # file_server

    def test_file_server_sends_files_and_nothing_else(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        content = random.Random(2).randbytes(3 * MEGABYTE)
        inside = os.path.join(folder.name, "in")
        os.mkdir(inside)
        os.mkdir(os.path.join(inside, "sub"))
        files = {"in/big": content, "in/index.html": b"home", "in/sub/a b": b"", "secret": b"no"}
        for name, data in files.items():
            with open(os.path.join(folder.name, name), "wb") as file:
                file.write(data)
        program = self.start("file_server", "127.0.0.1:0", inside)

        def get(request):
            with program.connect() as connection:
                connection.sendall(request + b"\r\nHost: x\r\n\r\n")
                head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
            return head.split(b"\r\n")[0], body

        well = b"HTTP/1.0 200 OK"
        self.assertEqual(get(b"GET /big HTTP/1.0"), (well, content))
        self.assertEqual(get(b"GET / HTTP/1.0"), (well, b"home"))
        self.assertEqual(get(b"GET /sub/a%20b?x=1 HTTP/1.0"), (well, b""))
        for path in (b"/none", b"/sub", b"/sub/none/x"):
            self.assertEqual(get(b"GET " + path + b" HTTP/1.0"), (b"HTTP/1.0 404 Not Found", b""))
        for path in (b"/../secret", b"/sub/../../secret", b"/%2e%2e/secret", b"//etc/passwd",
                     b"/..", b"/%2", b"/%", b"/%00", b"/%zz", b"/sub%5c..%5c..%5csecret", b"/c:/x"):
            self.assertEqual(get(b"GET " + path + b" HTTP/1.0"), (b"HTTP/1.0 400 Bad Request", b""))
        self.assertEqual(get(b"POST / HTTP/1.0")[0], b"HTTP/1.0 400 Bad Request")
        with program.connect() as slow:  # stands still with a file under way
            slow.sendall(b"GET /big HTTP/1.0\r\n\r\n")
            self.assertEqual(slow.recv(8), b"HTTP/1.0")
            self.assert_ends_cleanly(program)

    # chat

    def test_chat_tells_everybody_who_joins_speaks_and_leaves(self):
        program = self.start("chat")
        ann = Chatter(self, program, "ann")
        self.assertEqual(ann.hear(), "* ann joined")
        bob = Chatter(self, program, "bob\r")
        silent = Chatter(self, program)  # has no name, so it hears nothing and nobody hears of it
        for client in (ann, bob):
            self.assertEqual(client.hear(), "* bob joined")
        ann.say("one\ntwo")
        for client in (ann, bob):
            self.assertEqual([client.hear(), client.hear()], ["ann: one", "ann: two"])
        silent.close()
        bob.close()
        self.assertEqual(ann.hear(), "* bob left")
        Chatter(self, program, "")
        Chatter(self, program, "n" * 100)
        self.assertEqual({ann.hear(), ann.hear()},
                         {"* " + "n" * 23 + " joined", "* ? joined"})
        self.assert_ends_cleanly(program, signal.SIGINT)

    def test_chat_takes_lines_in_any_pieces(self):
        program = self.start("chat")
        ann = Chatter(self, program)
        for piece in (b"a", b"nn", b"\nhe", b"llo\n"):
            ann.connection.sendall(piece)
        self.assertEqual([ann.hear(), ann.hear()], ["* ann joined", "ann: hello"])
        ann.say("y" * 511)
        self.assertEqual(ann.hear(), "ann: " + "y" * 511)
        endless = Chatter(self, program, "endless")
        self.assertEqual(ann.hear(), "* endless joined")
        endless.say("z" * 512)
        self.assertEqual(ann.hear(), "* endless left")
        self.assert_ends_cleanly(program)

    def test_chat_lines_joins_stdin_and_all_peers_and_ends_with_stdin(self):
        program = self.start("chat_lines", stdin=subprocess.PIPE)
        flags = fcntl.fcntl(program.process.stdin, fcntl.F_GETFL)
        ann, bob = Chatter(self, program), Chatter(self, program)
        ann.say("from ann")  # bob may not be accepted yet, but stdin's line is typed after it
        self.assertEqual(program.line(), "from ann")
        bob.say("from bob")
        self.assertEqual(program.line(), "from bob")
        self.assertEqual(ann.hear(), "from bob")
        program.process.stdin.write(b"typed\n" + b"x" * 2000 + b"\nlast")
        program.process.stdin.close()
        heard = [bob.hear() for _ in range(3)]
        self.assertIn("typed", heard)
        self.assertEqual(ann.hear(), "typed")
        self.assertEqual(program.process.wait(PATIENCE_S), 0)
        self.assertEqual((program.complaints(), flags & os.O_NONBLOCK), ("", 0))

    def test_chat_lines_ends_cleanly_on_ctrl_c_with_peers_connected(self):
        program = self.start("chat_lines", stdin=subprocess.PIPE)
        ann = Chatter(self, program)
        ann.say("hello")
        self.assertEqual(program.line(), "hello")
        self.assert_ends_cleanly(program, signal.SIGINT)
        program.process.stdin.close()

    def test_chat_drops_who_reads_too_slowly_and_keeps_the_others(self):
        program = self.start("chat")
        ann = Chatter(self, program, "ann")
        self.assertEqual(ann.hear(), "* ann joined")
        Chatter(self, program, "slow")  # never reads
        self.assertEqual(ann.hear(), "* slow joined")
        before = program.most_memory()
        line, said, heard = "w" * 500, 0, ""
        while heard != "* slow left":
            self.assertLess(said, 60000, "30 MB were said, and the slow reader is still there")
            ann.say(line)
            said += 1
            heard = ann.hear()
            if heard != "* slow left":
                self.assertEqual(heard, "ann: " + line)
        self.assertLess(program.most_memory() - before, 2 * MEGABYTE)
        self.assertEqual(ann.hear(), "ann: " + line)
        self.assert_ends_cleanly(program)

    # proxy

    def start_proxy(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        listener.settimeout(PATIENCE_S)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        program = self.start("proxy", "127.0.0.1:0", "127.0.0.1:%d" % listener.getsockname()[1])
        return program, listener

    def connect_through(self, program, listener):
        client = socket.socket()
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            client.setsockopt(socket.SOL_SOCKET, option, 65536)
        client.settimeout(PATIENCE_S)
        client.connect(program.address())
        server = listener.accept()[0]
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        server.settimeout(PATIENCE_S)
        self.addCleanup(client.close)
        self.addCleanup(server.close)
        return client, server

    def test_proxy_moves_8_megabytes_each_way_to_slow_readers_in_bounded_memory(self):
        program, listener = self.start_proxy()
        client, server = self.connect_through(program, listener)
        before = program.most_memory()
        up, down = (random.Random(seed).randbytes(8 * MEGABYTE) for seed in (2, 3))
        flows = {client: Transfer(up, down), server: Transfer(down, up)}
        fill(flows)  # nobody reads: what the kernel's buffers do not take stays with the senders
        move(flows)
        self.assertTrue(flows[server].received == up, "client to server: other bytes arrived")
        self.assertTrue(flows[client].received == down, "server to client: other bytes arrived")
        self.assertLess(program.most_memory() - before, MEGABYTE)
        self.assert_ends_cleanly(program)

    def test_proxy_hands_on_the_end_of_one_direction_and_keeps_the_other(self):
        program, listener = self.start_proxy()
        idle = program.descriptors()
        client, server = self.connect_through(program, listener)
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(receive_exactly(server, 100), b"question")  # up to the end
        server.sendall(b"answer")
        self.assertEqual(receive_exactly(client, 6), b"answer")
        server.sendall(b", the rest")
        server.close()
        self.assertEqual(receive_exactly(client, 100), b", the rest")
        client, server = self.connect_through(program, listener)
        for _ in range(20):  # turns of the proxy's loop, so that the first link has been dealt with
            client.sendall(b"x")
            self.assertEqual(server.recv(1), b"x")
        if not LAUNCHED:  # what starts it has descriptors of its own
            self.assertEqual(program.descriptors(), idle + 2)
        self.assert_ends_cleanly(program)

    def test_proxy_ends_both_connections_when_one_is_reset(self):
        program, listener = self.start_proxy()
        for is_client in (True, False):
            client, server = self.connect_through(program, listener)
            client.sendall(b"x")
            self.assertEqual(server.recv(1), b"x")
            breaks, stays = (client, server) if is_client else (server, client)
            breaks.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            breaks.close()
            self.assertEqual(stays.recv(1), b"")
        self.assert_ends_cleanly(program)

    def test_proxy_closes_the_client_when_the_target_refuses(self):
        with socket.socket() as nobody:  # bound, but not listening
            nobody.bind(("127.0.0.1", 0))
            program = self.start("proxy", "127.0.0.1:0", "127.0.0.1:%d" % nobody.getsockname()[1])
            for _ in range(2):
                with program.connect() as client:
                    self.assertEqual(client.recv(1), b"")
        self.assert_ends_cleanly(program, complaints="connect: connection refused\n" * 2)

    # foreign

    def test_foreign_tells_what_happens_in_a_directory(self):
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        program = self.start("foreign", directory)
        self.assertEqual(program.first_line, f"watching {directory}")
        one, two = os.path.join(directory, "one"), os.path.join(directory, "two")
        with open(one, "w", encoding="ascii") as file:
            self.assertEqual(program.line(), "created one")
            file.write("text")
        self.assertEqual(program.line(), "written one")
        os.rename(one, two)
        self.assertEqual([program.line(), program.line()], ["moved away one", "moved here two"])
        os.remove(two)
        self.assertEqual(program.line(), "deleted two")
        self.assert_ends_cleanly(program, signal.SIGINT)

    def test_foreign_ends_by_itself_when_the_directory_goes(self):
        directory = tempfile.mkdtemp()
        program = self.start("foreign", directory)
        os.rmdir(directory)
        self.assertEqual(program.process.wait(PATIENCE_S), 0)
        self.assertEqual(program.complaints(), "")

    # tail

    def test_tail_prints_what_is_added_below_a_directory(self):
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        old, new = os.path.join(directory, "old"), os.path.join(directory, "sub", "new")
        with open(old, "w", encoding="ascii") as file:
            file.write("not printed\n")
        program = self.start("tail", directory)
        self.assertEqual(program.first_line, f"watching {directory}")
        with open(old, "a", encoding="ascii") as file:
            file.write("one\n")
        self.assertEqual([program.line(), program.line()], ["==> old <==", "one"])
        os.mkdir(os.path.dirname(new))
        with open(new, "w", encoding="ascii") as file:
            file.write("two\n")
        self.assertEqual([program.line(), program.line()], ["==> sub/new <==", "two"])
        os.rename(old, old + ".1")
        with open(old, "w", encoding="ascii") as file:
            file.write("three\n")
        self.assertEqual([program.line(), program.line()], ["==> old <==", "three"])
        self.assert_ends_cleanly(program, signal.SIGINT)

    def test_tail_ends_cleanly_while_files_change(self):
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        program = self.start("tail", directory)
        self.assertEqual(program.first_line, f"watching {directory}")
        for number in range(20): # the last of them are told while the loop closes
            with open(os.path.join(directory, str(number)), "w", encoding="ascii") as file:
                file.write("new\n")
        self.assert_ends_cleanly(program, signal.SIGINT)

    # timeouts

    def test_timeouts_all_fire_and_none_early(self):
        program = self.start("timeouts", "20000")
        self.assertRegex(program.first_line, r"^20000 sessions: 20000 fired, 0 canceled, 0 early, "
                                             r"0 twice; [1-9]\d* times moved on; ")
        self.assertEqual(program.process.wait(PATIENCE_S), 0)
        self.assertEqual(program.complaints(), "")

    # stall

    def test_stall_catches_each_culprit_in_its_function(self):
        program = self.start("stall")
        said = [program.first_line] + list(iter(program.line, None))
        self.assertEqual(program.process.wait(PATIENCE_S), 0)
        said_in_all = "\n".join(said)
        stalls = said_in_all.split("hark: stall: ")[1:]
        self.assertEqual(len(stalls), 3, said)
        for stall, culprit in zip(stalls, ("it runs", "it waits in clock_nanosleep",
                                           "it waits in read of descriptor")):
            self.assertIn('timer_every "every now and then", submitted at', stall)
            self.assertIn("stall.c:", stall)
            self.assertIn(culprit, stall)
        self.assertIn("hark: stall over: ", said_in_all)
        self.assertEqual(program.complaints(), "")

    @here_only("the watch over stalls")
    def test_any_example_is_watched_by_the_environment(self):
        os.environ["HARK_STALL"] = "soon"
        self.addCleanup(os.environ.pop, "HARK_STALL")
        program = self.start("timeouts", "1")
        self.assertEqual(program.process.wait(PATIENCE_S), 0)
        self.assertIn("HARK_STALL=soon is no time", program.complaints())

    # resolve

    def test_resolve_takes_addresses_and_localhost(self):
        done = subprocess.run([*LAUNCHED, path_of("resolve"), "127.0.0.9", "::1", "localhost"],
                              env=dict(os.environ, HARK_BACKEND=self.backend), check=False,
                              capture_output=True, text=True, timeout=PATIENCE_S)
        said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
        self.assertEqual((said["127.0.0.9"], said["::1"]), ("127.0.0.9", "::1"))
        self.assertRegex(said["localhost"], r"^(127\.0\.0\.1|::1)\b")
        self.assertEqual((done.returncode, done.stderr), (0, "3 names: 3 found, 0 not\n"))

    def resolve(self, names, lines=b""):
        """Runs the example against a name server of the test's own."""
        with NameServer() as server:
            done = subprocess.run(
                [*LAUNCHED, path_of("resolve"), "-s", server.place, *names], input=lines,
                env=dict(os.environ, HARK_BACKEND=self.backend), capture_output=True,
                timeout=PATIENCE_S, check=False)
        said = done.stderr.decode()
        if "not offered" in said:
            self.skipTest("built without c-ares: " + said.strip())
        return done.returncode, sorted(done.stdout.decode().splitlines()), said

    def test_resolve_prints_what_the_name_server_says(self):
        code, lines, said = self.resolve(["h7.test", "h300.test", "127.0.0.9", "none.test"])
        self.assertEqual(lines, ["127.0.0.9: 127.0.0.9", "h300.test: 10.0.1.44",
                                 "h7.test: 10.0.0.7", "none.test: no such name"])
        self.assertEqual((code, said), (1, "4 names: 3 found, 1 not\n"))

    def test_resolve_looks_up_every_line_in_parallel(self):
        names = [f"h{number}.test" for number in range(160, 260)]  # what a socket has room for
        code, lines, said = self.resolve([], "\n".join(names).encode())
        self.assertEqual(lines, sorted(f"{name}: 10.0.{number >> 8}.{number & 255}"
                                       for number, name in enumerate(names, 160)))
        self.assertEqual((code, said), (0, "100 names: 100 found, 0 not\n"))

    # supervise

    def test_supervise_starts_again_what_ends_and_waits_longer_each_time(self):
        program = self.start("supervise", "sh", "-c", "exit 3", "--", "hark-no-such-program")
        said = [program.first_line] + [program.line() for _ in range(13)]
        shell = [line for line in said if line.startswith("sh ")]
        absent = [line for line in said if line.startswith("hark-no-such-program")]
        self.assertRegex(shell[0], r"^sh \d+ started$")
        self.assertRegex(shell[1], r"^sh \d+ ended by exit 3$")
        self.assertEqual(shell[2::3][:2], ["sh again in 100 ms", "sh again in 200 ms"])
        self.assertEqual(absent[:2], ["hark-no-such-program: no such file or directory",
                                      "hark-no-such-program again in 100 ms"])
        self.assert_ends_cleanly(program)

    @here_only("a signal that a program can ignore,")
    def test_supervise_ends_its_programs_the_stubborn_ones_by_force(self):
        program = self.start("supervise", "sleep", "1000", "--", "sh", "-c",
                             "trap '' TERM; echo deaf; while :; do sleep 0.1; done")
        said = [program.first_line, program.line(), program.line()]
        self.assertIn("deaf", said)
        pids = [int(line.split()[1]) for line in said if line.endswith("started")]
        self.assertEqual(len(pids), 2)
        self.assert_ends_cleanly(program, signal.SIGINT)
        rest = program.output.decode() + program.process.stdout.read().decode()
        self.assertIn("ended by signal 15", rest)
        self.assertIn("ended by signal 9", rest)
        for pid in pids:
            self.assertFalse(os.path.exists(f"/proc/{pid}"))

    @here_only("orphans")
    def test_supervise_reaps_orphans(self):
        program = self.start("supervise", sys.executable, "-c", LEAVES_AN_ORPHAN)
        said = [program.first_line, program.line(), program.line()]
        orphan = [line for line in said if line.startswith("orphan")][0].split()[1]
        self.assertIn(f"reaped {orphan}, which gave 4", said)
        self.assert_ends_cleanly(program)

    @here_only("pid namespaces")
    def test_supervise_is_a_good_pid_1(self):
        unshare = ["unshare", "--pid", "--fork", "--kill-child"]
        if subprocess.run([*unshare, "true"], check=False, stderr=subprocess.DEVNULL).returncode:
            self.skipTest("this process may not have a pid namespace of its own")
        done = subprocess.run([*unshare, os.path.join(BUILD_DIR, "supervise"), sys.executable,
                               "-c", LEAVES_AN_ORPHAN, "kill -TERM 1"],
                              env=dict(os.environ, HARK_BACKEND=self.backend), check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              timeout=PATIENCE_S)
        said = done.stdout.decode().splitlines()
        self.assertEqual(done.returncode, 0)
        orphan = [line for line in said if line.startswith("orphan")][0].split()[1]
        self.assertIn(f"reaped {orphan}, which gave 4", said)
        self.assertRegex(said[-1], r" \d+ ended by signal 15$")


class NameServer:
    """Answers A for hN.test by 10.x.y.z, z + 256 y + 65536 x = N; there is nothing else."""

    def __enter__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.place = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.socket.sendto(b"", self.socket.getsockname())
        self.thread.join()
        self.socket.close()

    def serve(self):
        while True:
            question, sender = self.socket.recvfrom(512)
            if not question:
                return
            self.socket.sendto(self.answer(question), sender)

    @staticmethod
    def answer(question):
        end = question.index(b"\0", 12) + 5  # behind the name, type and class
        found = re.fullmatch(rb".h(\d+)\x04test", question[12:end - 5])
        if found is None:
            return question[:2] + b"\x81\x83" + question[4:6] + bytes(6) + question[12:end]
        reply = question[:2] + b"\x81\x80" + question[4:6]
        if question[end - 4:end - 2] != b"\0\1":  # not A: the name is there, the data is not
            return reply + bytes(6) + question[12:end]
        record = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x0a" + int(found[1]).to_bytes(3, "big")
        return reply + b"\0\1\0\0\0\0" + question[12:end] + record


@unittest.skipUnless(LAUNCHED, "that backend is of another system")
class IocpTest(ExampleTest, unittest.TestCase):
    backend = "iocp"


@here_only("backends")
class SelectTest(ExampleTest, unittest.TestCase):
    backend = "select"


@here_only("backends")
class PollTest(ExampleTest, unittest.TestCase):
    backend = "poll"


@here_only("backends")
class EpollTest(ExampleTest, unittest.TestCase):
    backend = "epoll"


@here_only("backends")
class UringTest(ExampleTest, unittest.TestCase):
    backend = "io_uring"

    @classmethod
    def setUpClass(cls):
        program = Program(cls.backend, "timeouts", "1")
        code, said = program.process.wait(PATIENCE_S), program.complaints()
        program.discard()
        if code != 0 and said.startswith("no loop: "):
            raise unittest.SkipTest("io_uring: " + said.strip())


class Transfer:
    """What one end of a connection is to send and to receive."""

    def __init__(self, to_send, to_receive):
        self.to_send, self.sent = memoryview(to_send), 0
        self.wanted, self.received = len(to_receive), bytearray()

    def send_some(self, connection):
        self.sent += connection.send(self.to_send[self.sent:self.sent + 65536])

    def receive_some(self, connection, most):
        part = connection.recv(most)
        if not part:
            raise AssertionError(f"the connection ended after {len(self.received)} bytes")
        self.received += part

    def is_sent(self):
        return self.sent == len(self.to_send)

    def is_complete(self):
        return self.is_sent() and len(self.received) >= self.wanted


def fill(flows):
    """Sends on every connection until none of them takes more, and reads nothing."""
    for connection in flows:
        connection.setblocking(False)
    while True:
        wanting = [connection for connection, flow in flows.items() if not flow.is_sent()]
        writable = select.select([], wanting, [], 0.3)[1]
        if not writable:
            return
        for connection in writable:
            flows[connection].send_some(connection)


def move(flows, most=4096):
    """Sends the rest, and reads a little at a time."""
    while not all(flow.is_complete() for flow in flows.values()):
        writing = [connection for connection, flow in flows.items() if not flow.is_sent()]
        ready = select.select(list(flows), writing, [], PATIENCE_S)
        if not ready[0] and not ready[1]:
            raise AssertionError("nothing moves any more")
        for connection in ready[0]:
            flows[connection].receive_some(connection, most)
        for connection in ready[1]:
            flows[connection].send_some(connection)


def exchange(connection, data):
    """Sends data and receives as much."""
    flows = {connection: Transfer(data, data)}
    connection.setblocking(False)
    move(flows, 65536)
    connection.settimeout(PATIENCE_S)
    return bytes(flows[connection].received)


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            return True
    except OSError:
        return False


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        BUILD_DIR = sys.argv.pop(1)
    unittest.main()
