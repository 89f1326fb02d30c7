# Fibers for gdb: source this file, then
#
#     hark fibers              each fiber of the loop that this thread runs: its name, what it waits
#                              for, and its stack
#     hark fibers EXPRESSION   the same for a struct hark_loop *
#
# The library must have its debug information. Stacks are shown by setting stack pointer, frame
# pointer and program counter for a moment, so a running program is needed, not a core.
"""The gdb command `hark`."""
import gdb

STATES = ("ready", "running", "waiting")
REGISTERS = {"i386:x86-64": ("rsp", "rbp", "rip"), "aarch64": ("sp", "x29", "pc")}
FRAMES_WITH_LOOP = ("turn", "hark_run", "hark_step", "settle", "run_ready")


def find_loop():
    """From the fiber that runs, or from a frame of the loop on this stack."""
    fiber = gdb.parse_and_eval("fiber_current")
    if int(fiber) != 0:
        return fiber["fibers"]["loop"]
    frame = gdb.newest_frame()
    while frame is not None:
        if frame.name() in FRAMES_WITH_LOOP:
            try:
                return frame.read_var("loop")
            except ValueError:
                pass
        frame = frame.older()
    raise gdb.GdbError("this thread runs no loop: name one, as in: hark fibers my_loop")


def fibers_below(scope):
    """(depth, fiber) of all that live in a scope: the innermost scopes of each come after it."""
    todo = [(0, scope)]
    while todo:
        depth, at = todo.pop()
        fiber = at["fibers"]
        while int(fiber) != 0:
            yield depth, fiber
            fiber = fiber["home_next"]
        inner = at["first"]
        while int(inner) != 0:
            todo.append((depth + 1, inner.dereference()))
            inner = inner["next"]


def text_of(pointer, otherwise):
    return pointer.string() if int(pointer) != 0 else otherwise


def waits_for(fiber):
    if int(fiber["awaited"]) != 0:
        kind = int(fiber["awaited"]["kind"])
        names = gdb.parse_and_eval("kind_names")
        return f"for {text_of(names[kind], '?')} at {text_of(fiber['awaited']['place'], '?')}"
    return f"for {text_of(fiber['waits_for'], '?')} at {text_of(fiber['waits_at'], '?')}"


def show_stack(fiber):
    names = REGISTERS.get(gdb.selected_frame().architecture().name())
    if names is None:
        print("    (stacks are shown on x86-64 and aarch64 only)")
        return
    selected, left = gdb.selected_frame(), fiber["side"]["left"]
    level = selected.level()
    gdb.newest_frame().select()
    before = [int(gdb.parse_and_eval(f"(unsigned long)${name}")) for name in names]
    try:
        for name, field in zip(names, ("stack", "frame", "at")):
            gdb.execute(f"set ${name} = {int(left[field])}")
        for line in gdb.execute("backtrace", to_string=True).splitlines():
            print("    " + line)
    finally:
        for name, value in zip(names, before):
            gdb.execute(f"set ${name} = {value}")
        gdb.execute(f"frame {level}", to_string=True)


class Hark(gdb.Command):
    """hark fibers [LOOP]: shows the fibers of a loop, what each waits for, and its stack."""

    def __init__(self):
        super().__init__("hark", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = argument.split(None, 1)
        if not words or words[0] != "fibers":
            raise gdb.GdbError("hark: there is one command: hark fibers [LOOP]")
        loop = gdb.parse_and_eval(words[1]) if len(words) > 1 else find_loop()
        if int(loop["fibers"]) == 0:
            print("no fiber was ever started on this loop")
            return
        for depth, fiber in fibers_below(loop["fibers"]["root"]):
            state = STATES[int(fiber["state"])]
            line = f"{'  ' * depth}fiber {text_of(fiber['name'], 'without a name')}, {state}"
            if state == "waiting":
                line += " " + waits_for(fiber)
            print(f"{line}, started at {text_of(fiber['place'], '?')}")
            if state != "running":
                show_stack(fiber)


Hark()
