"""Never stands still: calls, generators, exceptions and code objects that come and go."""
import os
import select


def even(number):
    return number == 0 or odd(number - 1)


def odd(number):
    return number != 0 and even(number - 1)


def count(number):
    if number:
        yield from count(number - 1)
    yield number


def fail(number):
    if number == 0:
        raise KeyError(number)
    fail(number - 1)


def churn():
    even(40)
    sum(count(20))
    try:
        fail(10)
    except KeyError:
        pass
    space = {}
    exec("def made(odd):\n    odd(3)\n    return odd(4)\n", space)
    space["made"](odd)


def main():
    turns = 0
    while True:
        churn()
        turns += 1
        if turns % 100 == 0 and select.select([0], [], [], 0)[0]:
            return


print("ready", flush=True)
main()
