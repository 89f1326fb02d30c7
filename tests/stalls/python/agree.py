"""Says "stop" and stands still until it gets a byte, at many places; says "end" at the end.

A helping thread tells where the main thread is, as Python itself sees it: a line for each frame,
then an empty one, for each byte on descriptor 3.
"""
import os
import sys
import threading

MAIN = threading.get_ident()


def answer():
    while os.read(3, 1):
        frame, lines = sys._current_frames()[MAIN], []
        while frame is not None:
            code = frame.f_code
            name = getattr(code, "co_qualname", code.co_name)
            lines.append(f"{frame.f_lineno} {name} {code.co_filename}\n")
            frame = frame.f_back
        os.write(1, ("".join(lines) + "\n").encode())


def wait():
    os.write(1, b"stop\n")
    return os.read(0, 1)  # at wait


def identity(*values):
    return values


def stage_0():
    wait()


def stage_1():
    identity(
        1,
        wait(),
        2)


def stage_2():
    for number in range(3):
        if number == 1: wait()  # noqa: E701: two statements in a line are the point
        else: number += 1  # noqa: E701


def stage_3():
    try:
        raise ValueError(
            "planted")
    except ValueError:
        wait()
    finally:
        identity(4)


def stage_4():
    # A gap of more than 255 lines and of more than 127 back comes from the code that is made here.
    source = "def made(wait):\n" + "    x = 1\n" * 40 + "\n" * 300 + "    x = (1 +\n" + \
             "\n" * 200 + "         len(wait()))\n" + "    y = 2\n" * 400 + "    wait()\n"
    space = {}
    exec(compile(source, "<made>", "exec"), space)
    space["made"](wait)


def stage_5():
    class Manager:
        def __enter__(self):
            wait()
            return self

        def __exit__(self, *reason):
            wait()
    with Manager() as manager, \
            Manager():
        identity(manager)


def stage_6():
    def generator(depth):
        if depth:
            yield from generator(depth - 1)
        yield wait()
    list(generator(30))


def stage_7():
    wait(); wait()
    return (
        wait()
        if identity()
        else
        wait()
    )


def stage_8():
    identity(x for x in [
        1
    ]
    )[0].send(None)
    sorted(
        [3, 2],
        key=lambda value: (
            value,
            wait()))


def stage_9():
    def recurse(depth):
        recurse(depth - 1) if depth else wait()
    recurse(60)


def long_jump():
    while True:
        if identity():
            break
        x = [identity(i) for i in range(2)]
        x.append(
            x)
        assert x, (
            "no")
        match = {"a": 1,
                 "b": wait(),
                 "c": 3}
        del match
        break


threading.Thread(target=answer, daemon=True).start()
stages = [value for name, value in sorted(globals().items()) if name.startswith("stage_")]
for stage in stages + [long_jump]:
    stage()
os.write(1, b"end\n")
