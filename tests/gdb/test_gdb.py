#!/usr/bin/env python3
"""Does gdb see fibers? Runs tests/gdb/program.c under it, with scripts/hark-gdb.py.

    test_gdb.py PROGRAM     exit code 77 and a reason where there is no gdb, or none that may trace
"""
import os
import shutil
import subprocess
import sys
import unittest

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = sys.argv.pop() if len(sys.argv) > 1 else None
SKIPPED = 77


def gdb(*commands):
    words = ["gdb", "-nx", "-batch", "-ex", "set width 0", "-ex", "set confirm off"]
    for command in commands:
        words += ["-ex", command]
    environment = {**os.environ, "HARK_BACKEND": "epoll"}
    run = subprocess.run([*words, PROGRAM], capture_output=True, text=True, timeout=120,
                         stdin=subprocess.DEVNULL, env=environment)
    return run.stdout + run.stderr


def stop_and(*commands):
    return gdb("break all_wait", "run", *commands)


class Gdb(unittest.TestCase):
    def test_a_backtrace_in_a_fiber_ends_where_the_fiber_began(self):
        said = stop_and("backtrace")
        frames = [line for line in said.splitlines() if line.startswith("#")]
        self.assertIn("all_wait", frames[0], said)
        self.assertIn("boss", frames[1], said)
        self.assertIn("switch_begin", frames[-1], said)
        self.assertLess(len(frames), 8, said)
        self.assertNotIn("corrupt", said)

    def test_every_fiber_is_listed_with_what_it_waits_for_and_its_stack(self):
        said = stop_and(f"source {TREE}/scripts/hark-gdb.py", "hark fibers", "backtrace 1")
        listed = [line.strip() for line in said.splitlines() if line.lstrip().startswith("fiber ")]
        self.assertEqual(len(listed), 3, said)
        by_name = {line.split(",")[0]: line for line in listed}
        self.assertIn("running", by_name["fiber the boss"])
        self.assertIn("waiting for channel receive at", by_name["fiber the receiver"])
        self.assertIn("waiting for timer at", by_name["fiber the sleeper"])
        for line in listed[1:]:
            self.assertIn("program.c:", line)
        stack = said[said.index("fiber the receiver"):]
        self.assertIn("waits_deep_down", stack)
        self.assertIn("switch_begin", stack[stack.index("waits_deep_down"):])
        self.assertIn("all_wait", said.splitlines()[-2] + said.splitlines()[-1], said)

    def test_the_program_goes_on_unharmed(self):
        said = stop_and(f"source {TREE}/scripts/hark-gdb.py", "hark fibers", "continue")
        self.assertIn("exited normally", said)


if __name__ == "__main__":
    if shutil.which("gdb") is None:
        print("skipped: gdb is not installed")
        sys.exit(SKIPPED)
    if "all_wait" not in stop_and("backtrace 1"):
        print("skipped: gdb cannot run a program here, or has no Python")
        sys.exit(SKIPPED)
    unittest.main()
