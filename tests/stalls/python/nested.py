"""An interpreter inside the interpreter: what it runs stands still."""
import os
import sys

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

SOURCE = """
import os
def inside():
    os.read(0, 1)
inside()
"""


def outside():
    number = interpreters.create()
    print("ready", flush=True)
    if sys.version_info >= (3, 13):
        interpreters.exec(number, SOURCE)  # at new
    else:
        interpreters.run_string(number, SOURCE)  # at old


outside()
