"""Functions that Python called and functions that C called; stands still at the innermost."""
import os


def wait():
    os.read(0, 1)  # at wait


def called_by_python():
    wait()


def called_by_map(number):
    called_by_python()


def called_by_sorted(number):
    list(map(called_by_map, [number]))


def top():
    sorted([1], key=called_by_sorted)


print("ready", flush=True)
top()
