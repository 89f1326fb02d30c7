#!/usr/bin/env python3
"""Runs each example on every backend and checks what it does: test_examples.py BUILD_DIR/examples

The programs listen on a free port and say which; nothing here waits by sleeping. A backend that
this machine refuses is skipped, with the reason."""
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
import unittest

BACKENDS = ["select", "poll", "epoll", "io_uring"]
BUILD_DIR = "."
PATIENCE_S = 60  # only a test that fails waits so long
MEGABYTE = 1 << 20


class Program:
    """A running example; its first line of output tells that it is ready."""

    def __init__(self, backend, name, *arguments):
        environment = dict(os.environ, HARK_BACKEND=backend)
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [os.path.join(BUILD_DIR, name), *arguments], env=environment, bufsize=0,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors)
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
        return line.decode()

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
        self.process.send_signal(number)
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

    def start(self, name, *arguments):
        program = Program(self.backend, name, *arguments)
        self.addCleanup(program.discard)
        return program

    def assert_ends_cleanly(self, program, number=signal.SIGTERM, complaints=""):
        code, said = program.end(number)
        self.assertEqual((code, said), (0, complaints))

    # echo

    def test_echo_sends_back_every_byte(self):
        program = self.start("echo", "127.0.0.1:0")
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

    # timeouts

    def test_timeouts_all_fire_and_none_early(self):
        program = self.start("timeouts", "20000")
        self.assertRegex(program.first_line, r"^20000 sessions: 20000 fired, 0 canceled, 0 early, "
                                             r"0 twice; [1-9]\d* times moved on; ")
        self.assertEqual(program.process.wait(PATIENCE_S), 0)
        self.assertEqual(program.complaints(), "")


class SelectTest(ExampleTest, unittest.TestCase):
    backend = "select"


class PollTest(ExampleTest, unittest.TestCase):
    backend = "poll"


class EpollTest(ExampleTest, unittest.TestCase):
    backend = "epoll"


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
