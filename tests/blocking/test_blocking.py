#!/usr/bin/env python3
"""Tests of the blocking-call detector: test_blocking.py PROGRAM LIBHARK_BLOCKING HARK

Runs program.c under the detector and reads what it says on standard error. The source line that a
report must name is the one that carries the case's name in a comment.
"""
import os
import re
import signal
import subprocess
import sys
import unittest

PROGRAM, DETECTOR, HARK = sys.argv[1:]
HERE = os.path.dirname(os.path.abspath(__file__))
KERNELS = ("select", "poll", "epoll", "io_uring")
HEAD = "hark: a call that can block on a loop's thread: "


def source_lines():
    """Case name -> line number in program.c."""
    with open(os.path.join(HERE, "program.c"), encoding="utf-8") as file:
        found = [(re.search(r"/\* ([a-z_-]+) \*/$", line), number)
                 for number, line in enumerate(file, 1)]
    return {match.group(1): number for match, number in found if match}


LINES = source_lines()


def run(loop, case, preload=True, **environment):
    given = {**os.environ, **environment}
    if preload:
        given["LD_PRELOAD"] = DETECTOR
    return subprocess.run([PROGRAM, loop, case], env=given, capture_output=True, text=True,
                          timeout=60, check=False)


def reports(text):
    """The reports of an output: (call, its frames)."""
    parts = text.split(HEAD)[1:]
    return [(part.split("\n")[0], part.split("\n")[1:]) for part in parts]


class Detector(unittest.TestCase):
    def check(self, loop, case, *told, **environment):
        """told: (a pattern of the call, the mark of its line)."""
        made = run(loop, case, **environment)
        if made.returncode == 77:
            self.skipTest(f"{loop} is not in this build")
        self.assertEqual((made.returncode, made.stdout), (0, "done, watched: 1\n"), made.stderr)
        found = reports(made.stderr)
        self.assertEqual(len(found), len(told), made.stderr)
        for (call, frames), (pattern, mark) in zip(found, told):
            self.assertRegex(call, "^" + pattern + "$")
            self.assertRegex(frames[0], rf"\bdo_\w+ \(program\.c:{LINES[mark]}\)")

    def test_transfers_on_blocking_descriptors_are_told_at_their_first_time(self):
        self.check("epoll", "read", (r"write\(\d+ -> pipe:\[\d+\]\)", "write"),
                   (r"read\(\d+ -> pipe:\[\d+\]\)", "read"))
        self.check("epoll", "recv", (r"send\(\d+ -> unix socket without a name\)", "send"),
                   (r"recv\(\d+ -> unix socket without a name\)", "recv"))

    def test_connect_is_told_with_its_peer(self):
        self.check("epoll", "connect", (r"connect\(\d+ -> 127\.0\.0\.1:\d+\)", "connect"),
                   (r"accept\(\d+ -> tcp 127\.0\.0\.1:\d+\)", "accept"))

    def test_waits_within_a_callback_are_told(self):
        self.check("epoll", "poll", (r"poll\(\d+ -> pipe:\[\d+\]\)", "poll"))
        self.check("epoll", "select", (r"select\(of descriptors below 0\)", "select"))
        self.check("epoll", "epoll_wait",
                   (r"epoll_wait\(\d+ -> anon_inode:\[eventpoll\]\)", "epoll_wait"))

    def test_sleeps_are_told_with_their_time(self):
        self.check("epoll", "nanosleep", (r"nanosleep\(1 ms\)", "nanosleep"))
        self.check("epoll", "usleep", (r"usleep\(1 ms\)", "usleep"))

    def test_name_lookups_are_told_once_and_not_the_calls_that_they_make(self):
        self.check("epoll", "getaddrinfo", (r'getaddrinfo\("localhost"\)', "getaddrinfo"))

    def test_an_address_in_figures_is_looked_up_nowhere(self):
        self.check("epoll", "address")

    def test_a_child_before_its_exec_holds_no_loop(self):
        for loop in ("epoll", "hark"):
            self.check(loop, "child")

    def test_transfers_at_a_place_of_a_slow_file_are_told(self):
        self.check("epoll", "positioned", (r"pwrite\(\d+ -> /tmp/.*/file\)", "pwrite"),
                   (r"pread\(\d+ -> /tmp/.*/file\)", "pread"), HARK_BLOCKING_SLOW="/tmp")
        self.check("epoll", "positioned")

    def test_opening_a_fifo_is_told(self):
        self.check("epoll", "open", (r'open\("/tmp/.*/fifo"\), a FIFO', "open"),
                   (r"read\(\d+ -> /tmp/.*/fifo\)", "read-fifo"))
        self.check("epoll", "fopen", (r'fopen\("/tmp/.*/fifo"\), a FIFO', "fopen"),
                   (r"fgets\(\d+ -> /tmp/.*/fifo\)", "fgets"))

    def test_what_fortified_programs_call_is_told(self):
        self.check("epoll", "fortified", (r"fprintf\(\d+ -> pipe:\[\d+\]\)", "fprintf-chk"),
                   (r"fgets\(\d+ -> pipe:\[\d+\]\)", "fgets-chk"),
                   (r"fread\(\d+ -> pipe:\[\d+\]\)", "fread-chk"))

    def test_what_programs_of_an_older_libc_call_is_told(self):
        self.check("epoll", "old-stat", (r'stat\("/tmp/.*/file"\), on a network file system',
                                         "old-stat"), HARK_BLOCKING_SLOW="/tmp")
        self.check("epoll", "old-stat")

    def test_the_child_of_a_fork_waits_for_no_thread_that_it_does_not_have(self):
        self.check("epoll", "forks")

    def test_files_on_slow_file_systems_are_told(self):
        slow = r'\("/tmp/.*/file"\), on a network file system'
        self.check("epoll", "slow", ("open" + slow, "open-slow"), ("stat" + slow, "stat-slow"),
                   (r"write\(\d+ -> /tmp/.*/file\)", "write-slow"),
                   HARK_BLOCKING_SLOW="/mnt:/tmp")
        self.check("epoll", "slow", HARK_BLOCKING_SLOW="/tm:/tmpx")

    def test_file_locks_and_fsync_are_told_with_their_path(self):
        for case in ("fsync", "flock"):
            self.check("epoll", case, (case + r"\(\d+ -> /tmp/.*/file\)", case))
        self.check("epoll", "fcntl", (r"fcntl F_SETLKW\(\d+ -> /tmp/.*/file\)", "fcntl"))

    def test_waiting_for_children_is_told(self):
        self.check("epoll", "waitpid", (r"waitpid\(\d+\)", "waitpid"))
        self.check("epoll", "system", (r'system\("exit 3"\)', "system"))

    def test_locks_that_others_hold_are_told(self):
        self.check("epoll", "mutex", (r"pthread_mutex_lock\(.*\), held by another", "mutex"))
        self.check("epoll", "rwlock", (r"pthread_rwlock_rdlock\(.*\), held by another", "rwlock"))
        self.check("epoll", "semaphore", (r"sem_wait\(.*\)", "semaphore"))
        self.check("epoll", "condition", (r"pthread_cond_timedwait\(.*\)", "condition"))
        self.check("epoll", "join", (r"pthread_join\(\)", "join"))

    def test_loops_of_other_makes_are_watched(self):
        for loop in ("libuv", "libevent"):
            with self.subTest(loop):
                self.check(loop, "nanosleep", (r"nanosleep\(1 ms\)", "nanosleep"))
                self.check(loop, "quiet")

    def test_loops_of_hark_are_watched_on_every_backend(self):
        for kernel in KERNELS:
            with self.subTest(kernel):
                self.check("hark", "nanosleep", (r"nanosleep\(1 ms\)", "nanosleep"),
                           HARK_BACKEND=kernel)
                self.check("hark", "poll", (r"poll\(\d+ -> pipe:\[\d+\]\)", "poll"),
                           HARK_BACKEND=kernel)
                self.check("hark", "quiet", HARK_BACKEND=kernel)

    def test_what_cannot_block_is_not_told_and_keeps_its_result(self):
        self.check("epoll", "quiet")

    def test_other_threads_may_block(self):
        self.check("epoll", "elsewhere")

    def test_allowed_scopes_nest_and_may_block(self):
        self.check("epoll", "allowed")

    def test_listed_calls_functions_and_modules_may_block(self):
        for entry in ("nanosleep", "do_nanosleep", os.path.basename(PROGRAM)):
            with self.subTest(entry):
                self.check("epoll", "nanosleep", HARK_BLOCKING_ALLOW="other," + entry)
        self.check("epoll", "nanosleep", (r"nanosleep\(1 ms\)", "nanosleep"),
                   HARK_BLOCKING_ALLOW="nanosleep2,nano,do_nano")

    def test_a_stack_is_told_once(self):
        self.check("epoll", "many", (r"nanosleep\(1 ms\)", "nanosleep"))

    def test_fail_aborts_after_the_report(self):
        made = run("epoll", "nanosleep", HARK_BLOCKING="fail")
        self.assertEqual(made.returncode, -signal.SIGABRT)
        self.assertEqual(len(reports(made.stderr)), 1, made.stderr)
        self.assertEqual(run("epoll", "quiet", HARK_BLOCKING="fail").returncode, 0)

    def test_off_says_nothing(self):
        self.check("epoll", "nanosleep", HARK_BLOCKING="off")

    def test_without_the_detector_the_marks_do_nothing(self):
        made = run("hark", "allowed", preload=False)
        self.assertEqual((made.returncode, made.stdout, made.stderr),
                         (0, "done, watched: 0\n", ""))

    def test_a_server_on_hark_blocks_on_no_backend(self):
        for kernel in KERNELS:
            with self.subTest(kernel):
                self.serve(kernel)

    def serve(self, kernel):
        given = {**os.environ, "LD_PRELOAD": DETECTOR, "HARK_BLOCKING": "fail",
                 "HARK_BACKEND": kernel}
        with subprocess.Popen([HARK, "echo"], env=given, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as server:
            address = server.stdout.readline().split()[2] # it listens
            load = subprocess.run([HARK, "load", address, "--duration", "300ms"],
                                  capture_output=True, text=True, timeout=60, check=False)
            server.send_signal(signal.SIGTERM)
            _, said = server.communicate(timeout=30)
        self.assertEqual((load.returncode, reports(said), server.returncode), (0, [], 0),
                         load.stderr + said)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
