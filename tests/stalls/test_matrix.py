#!/usr/bin/env python3
"""What `hark stalls` must name, on every runtime: test_matrix.py HARK BUILD_FOLDER GROUP

Programs in matrix/ hold their loop in each way, PLANTED times. A kind passes if in one run at least
MOST of them were named by the right function, file and line, in the right system call. A machine
that is busy with other things makes a watch see less, so a run that falls short is repeated; what
is wrong and not only missed shows in every run. A stall for which the system gave the thread too
little time is told as that, without blame; it is excused if its stack has the right line.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HARK, BUILD = (os.path.abspath(path) for path in sys.argv[1:3])
GROUP = sys.argv[3]
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "matrix")
PYTHON, NODE = "/usr/bin/python3", shutil.which("node")
PLANTED, MOST, RUNS, HELD_MS = 4, 3, 3, 80
START_DELAY_MS, ATTACH_DELAY_MS = 900, 1500  # the watch reads names at the start
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

# What the call of a stall must look like. None: on the processor, so no call.
PYTHON_CALLS = {
    "processor": None, "sleep": r"(clock_)?nanosleep\(?.*", "lock": r"futex.*",
    "fifo": r"openat\(.*/fifo.*\)", "flock": r"flock\(\d+ -> .*/locked.*\)",
    "recv": r"recvfrom\(\d+ -> 127\.0\.0\.1:\d+.*\)", "sqlite": r"(clock_)?nanosleep\(?.*",
}
NODE_CALLS = {
    "processor": None, "atomics": r"futex.*", "execSync": r"epoll_p?wait.*", "pbkdf2Sync": None,
    "readFileSync": r"open(at)?\(.*/fifo.*\)", "parse": None, "regexp": None,
}
C_CALLS = {
    "processor": None, "sleep": r"(clock_)?nanosleep\(?.*", "lock": r"futex.*",
    "flock": r"flock\(\d+ -> .*/kinds\..*\)", "recv": r"recvfrom\(\d+ -> .*\)",
}


def marked_line(source, kind):
    """The line of the source that ends in the kind's mark."""
    with open(os.path.join(FOLDER, source), encoding="utf-8") as file:
        found = [number for number, line in enumerate(file, 1)
                 if re.search(rf"(#|//|/\*) {kind}( \*/)?$", line)]
    assert len(found) == 1, (source, kind, found)
    return found[0]


def stack_names(report, stall):
    return " < ".join(f"{frame['function']} {os.path.basename(frame['file'] or '?')}:"
                      f"{frame['line']}" for frame in report["stacks"][stall["stack"]][:6])


def guilty_of(report, stall):
    if stall["guilty"] is None:
        return {"function": "?", "file": None, "line": None, "module": None, "offset": None}
    return report["stacks"][stall["stack"]][stall["guilty"]]


class Case(unittest.TestCase):
    def watch(self, command, options=(), before=()):
        """Runs a command under the watch; gives the report and what the command wrote."""
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)
            path = os.path.join(folder, "report")
            ran = subprocess.run([*before, HARK, "stalls", "--quiet", "--json", path, *options,
                                  "--", *command], capture_output=True, text=True, timeout=60,
                                 check=False)
            if ran.returncode == 77:
                self.skipTest("this build has no such loop")
            self.assertEqual(ran.returncode, 0, ran.stderr)
            with open(path, encoding="utf-8") as file:
                return json.load(file), ran.stdout

    def attach(self, command, options=(), before=()):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)
            path = os.path.join(folder, "report")
            with subprocess.Popen([*before, *command], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True) as target:
                time.sleep(0.3)  # until it is the program and no longer setpriv
                ran = subprocess.run([*before, HARK, "stalls", "--quiet", "--json", path, *options,
                                      "-p", str(target.pid)], capture_output=True, text=True,
                                     timeout=60, check=False)
                out, _ = target.communicate(timeout=60)
            if "bpf" in options and ran.returncode != 0:
                self.skipTest(ran.stderr.strip())
            self.assertEqual((ran.returncode, target.returncode), (0, 0), ran.stderr)
            with open(path, encoding="utf-8") as file:
                return json.load(file), out

    def count_right(self, report, source, kinds):
        """How many stalls of each kind were named right: kind -> count."""
        counts = dict.fromkeys(kinds, 0)
        for stall in report["stalls"]:
            frame = guilty_of(report, stall)
            if stall["kind"] == "descheduled":
                frame = next((frame for frame in report["stacks"][stall["stack"]]
                              if "hold_" in frame["function"]), frame)
            kind = frame["function"].split("::")[-1].split("(")[0].split(".")[-1]
            kind = kind.removeprefix("hold_")
            if kind not in kinds:
                continue
            call = kinds[kind]
            is_call = (stall["call"] is None if call is None else
                       re.fullmatch(call, stall["call"] or "") is not None)
            counts[kind] += (is_call and os.path.basename(frame["file"] or "") == source
                             and frame["line"] == marked_line(source, kind))
        return counts

    def check(self, source, kinds, run):
        """In one of some runs most are named right, and in that run no other one is told twice."""
        told = ""
        for _ in range(RUNS):
            report, out = run()
            counts = self.count_right(report, source, kinds)
            if all(count >= MOST for count in counts.values()):
                self.assertTrue(all(count <= PLANTED * 2 for count in counts.values()), counts)
                return report, out
            told += f"named right of {PLANTED}: {counts}; {report['mode']}\n" + "".join(
                f"  {stall['held_ms']} ms {stall['kind']} {stall['state']} {stall['call']}: "
                f"{guilty_of(report, stall)['function']} of {stack_names(report, stall)}\n"
                for stall in report["stalls"])
        self.fail(told)


def words(kinds, delay_ms=START_DELAY_MS):
    return [str(PLANTED), str(delay_ms), *kinds]


def python(loop, kinds, **more):
    return [PYTHON, "-B", FOLDER + "/kinds.py", loop, *words(kinds, **more)]


def node(kinds, **more):
    return [NODE, FOLDER + "/kinds.js", *words(kinds, **more)]


def program(loop, kinds, name="kinds", **more):
    return [os.path.join(BUILD, "stalls_" + name), loop, *words(kinds, **more)]


def has_uvloop():
    return subprocess.run([PYTHON, "-c", "import uvloop"], capture_output=True,
                          check=False).returncode == 0


@unittest.skipUnless(os.path.exists(PYTHON), PYTHON + " is not installed")
class Python(Case):
    def check_loop(self, loop, kinds, **more):
        calls = {kind: PYTHON_CALLS[kind] for kind in kinds}
        return self.check("kinds.py", calls, lambda: self.watch(python(loop, kinds), **more))

    def test_asyncio_names_what_holds_it(self):
        self.check_loop("asyncio", PYTHON_CALLS)

    @unittest.skipUnless(has_uvloop(), "python3-uvloop is not installed")
    def test_uvloop_names_what_holds_it(self):
        self.check_loop("uvloop", PYTHON_CALLS)

    def test_each_of_several_loop_threads_is_watched(self):
        report, _ = self.check_loop("threads", ["sleep"])
        held = [stall["tid"] for stall in report["stalls"]]
        self.assertEqual(len(set(held)), 2)


class Resolver(Case):
    """getaddrinfo, in namespaces where the resolver is ours and slow."""

    def run_slowly(self, loop):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "resolv.conf"), "w", encoding="utf-8") as file:
                file.write("nameserver 127.0.0.1\noptions attempts:1\n")
            with open(os.path.join(folder, "nsswitch.conf"), "w", encoding="utf-8") as file:
                file.write("hosts: dns\n")
            inside = ("ip link set lo up && mount --bind {0}/resolv.conf /etc/resolv.conf && "
                      "mount --bind {0}/nsswitch.conf /etc/nsswitch.conf && "
                      "{1} -B {2}/slow_resolver.py \"$@\"").format(folder, PYTHON, FOLDER)
            before = ["unshare", "--net", "--mount", "--fork", "sh", "-c", inside, "sh"]
            return self.watch(python(loop, ["getaddrinfo"]), before=before)

    def check_loop(self, loop):
        if subprocess.run(["unshare", "--net", "--mount", "ip", "link", "set", "lo", "up"],
                          capture_output=True, check=False).returncode != 0:
            self.skipTest("namespaces may not be made here")
        calls = {"getaddrinfo": r"(poll|ppoll)\(\d+ -> .*127\.0\.0\.1:53.*\)"}
        self.check("kinds.py", calls, lambda: self.run_slowly(loop))

    def test_asyncio_names_a_slow_resolver(self):
        self.check_loop("asyncio")

    @unittest.skipUnless(has_uvloop(), "python3-uvloop is not installed")
    def test_uvloop_names_a_slow_resolver(self):
        self.check_loop("uvloop")


@unittest.skipUnless(NODE, "node is not installed")
class Node(Case):
    def test_the_main_loop_names_what_holds_it(self):
        self.check("kinds.js", NODE_CALLS, lambda: self.watch(node(NODE_CALLS)))

    def test_a_worker_thread_is_watched_too(self):
        calls = {kind: NODE_CALLS[kind] for kind in ("processor", "atomics")}
        report, _ = self.check("kinds.js", calls,
                               lambda: self.watch(node([*calls, "worker"])))
        self.assertTrue(all(stall["tid"] != stall["pid"] for stall in report["stalls"]
                            if stall["held_ms"] > HELD_MS * 0.9
                            and "hold_" in guilty_of(report, stall)["function"]))


class Native(Case):
    def check_loop(self, loop, kinds=tuple(C_CALLS), **more):
        calls = {kind: C_CALLS[kind] for kind in kinds}
        return self.check("kinds.c", calls, lambda: self.watch(program(loop, kinds), **more))

    def test_epoll(self):
        self.check_loop("epoll")

    def test_libuv(self):
        self.check_loop("libuv", ("processor", "recv"))

    def test_libevent(self):
        self.check_loop("libevent", ("processor", "lock"))

    def check_lengths(self, run, what):
        """All but one of the lengths that the program measured are those of the report."""
        told = ""
        for _ in range(RUNS):
            report, out = run()
            self.assertEqual(report["mode"], "hark", what)
            lengths = [float(length) for length in
                       re.findall(r"(?m)^(?:processor|sleep) ([\d.]+)$", out)]
            held = [stall["held_ms"] for stall in report["stalls"]]
            self.assertEqual(len(lengths), PLANTED * 2)
            off = [min((abs(other - length) for other in held), default=1e9) for length in lengths]
            told += f"{what}: {lengths} and {held}\n"
            if sum(value < 3 for value in off) >= len(off) - 1 and len(held) <= len(lengths) + 1:
                return
        self.fail(told)

    def check_hark(self, attached):
        kinds = ("processor", "sleep")
        for backend in ("select", "poll", "epoll", "io_uring"):
            os.environ["HARK_BACKEND"] = backend
            try:
                if attached:
                    command = program("hark", kinds, delay_ms=ATTACH_DELAY_MS)
                    self.check_lengths(lambda: self.attach(command), backend)
                else:
                    self.check_lengths(lambda: self.watch(program("hark", kinds)), backend)
                    self.check_loop("hark", kinds)
            finally:
                del os.environ["HARK_BACKEND"]

    def test_hark_tells_of_its_turns_to_the_millisecond_on_every_backend(self):
        self.check_hark(attached=False)

    def test_hark_tells_of_them_to_who_comes_later(self):
        self.check_hark(attached=True)

    def check_demangled(self, name, source, function):
        path = os.path.join(BUILD, "stalls_" + name)
        if not os.path.exists(path):
            self.skipTest(f"there is no compiler for {source}")
        calls = {"sleep": r"(clock_)?nanosleep\(?.*"}
        report, _ = self.check(source, calls,
                               lambda: self.watch(program("-", (), name=name)))
        names = {guilty_of(report, stall)["function"] for stall in report["stalls"]}
        self.assertTrue(any(re.fullmatch(function, name) for name in names), names)

    def test_cxx_names_are_demangled(self):
        self.check_demangled("kinds_cc", "kinds.cc", r"shop::Table<int>::hold_sleep(\(int\))?")

    def test_rust_names_are_demangled(self):
        self.check_demangled("kinds_rs", "kinds.rs", r"<?kinds::Table>?::hold_sleep")

    def test_a_stripped_program_is_named_by_module_and_offset(self):
        path = os.path.join(BUILD, "stalls_kinds_bare")
        with open(path + ".offset", encoding="utf-8") as file:
            begin, size = (int(word, 16) for word in file.read().split())
        report, _ = self.watch(program("epoll", ["sleep"], name="kinds_bare"))
        inside = 0
        for stall in report["stalls"]:
            frame = guilty_of(report, stall)
            if frame["module"] and os.path.basename(frame["module"]) == "stalls_kinds_bare":
                inside += begin <= int(frame["offset"], 16) < begin + size
        self.assertGreaterEqual(inside, MOST, report["stalls"])


@unittest.skipUnless(os.geteuid() == 0, "who is not root cannot attach by BPF, nor be nobody")
class Attach(Case):
    """A few of each runtime, by the other two ways, and without root."""
    KINDS = {"python": ("processor", "flock"), "node": ("processor", "atomics"),
             "c": ("processor", "recv")}

    def check_all(self, mode, before=(), runtimes=("python", "node", "c")):
        delay = {"delay_ms": ATTACH_DELAY_MS}
        plans = {"python": ("kinds.py", PYTHON_CALLS, lambda k: python("asyncio", k, **delay)),
                 "node": ("kinds.js", NODE_CALLS, lambda k: node(k, **delay)),
                 "c": ("kinds.c", C_CALLS, lambda k: program("epoll", k, **delay))}
        for runtime in runtimes:
            if runtime == "node" and not NODE:
                continue
            source, calls, command = plans[runtime]
            kinds = {kind: calls[kind] for kind in self.KINDS[runtime]}
            report, _ = self.check(source, kinds, lambda: self.attach(
                command(list(kinds)), options=("--mode", mode), before=before))
            self.assertEqual(report["mode"], mode)

    def test_bpf_sees_the_turns_of_a_running_process(self):
        self.check_all("bpf")

    def test_procfs_finds_the_stalls_of_a_running_process(self):
        self.check_all("procfs")

    def test_nobody_may_attach_to_a_process_of_its_own(self):
        self.check_all("procfs", before=NOBODY, runtimes=("python", "node"))

    def test_nobody_may_start_one(self):
        kinds = {kind: PYTHON_CALLS[kind] for kind in ("processor", "sleep")}
        report, _ = self.check("kinds.py", kinds, lambda: self.watch(
            python("asyncio", list(kinds)), before=NOBODY))
        self.assertEqual(report["mode"], "preload")


GROUPS = {"python": (Python,), "resolver": (Resolver,), "node": (Node,), "native": (Native,),
          "attach": (Attach,)}

if __name__ == "__main__":
    del sys.argv[1:]
    suite = unittest.TestSuite()
    for case in GROUPS[GROUP]:
        suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    sys.exit(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())
