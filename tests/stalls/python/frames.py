"""Frames of every kind inside each other. It stands still in os.read() until its input ends.

Each line that a frame stands at has a mark with the frame's name.
"""
import asyncio
import os
import sys


def wait():
    os.read(0, 1)  # at wait


def decorated(function):
    def wrapper(*arguments):
        return function(*arguments)  # at decorated.<locals>.wrapper
    return wrapper


class Outer:
    class Inner:
        @decorated
        def method(self, depth):
            if depth > 0:
                return Outer.Inner.method(self, depth - 1)
            wait()  # at Outer.Inner.method

    @classmethod
    def made(cls):
        cls.Inner().method(0)  # at Outer.made

    @property
    def value(self):
        return self.made()  # at Outer.value


def generate():
    yield 1
    try:
        yield (lambda: Outer().value)()  # at generate.<locals>.<lambda>
    finally:
        pass


def delegate():
    yield from generate()  # at delegate


async def inner():
    await asyncio.sleep(0)
    for _ in delegate():  # at inner
        pass


async def outer():
    with open(__file__, "rb"):
        await inner()  # at outer


print("ready", flush=True)
sys.exit(asyncio.run(outer()))  # at <module>
