"""Calls itself as deep as it is told, then stands still."""
import os
import sys


def down(depth):
    if depth == 1:
        print("ready", flush=True)
        os.read(0, 1)  # at bottom
    else:
        down(depth - 1)  # at down


sys.setrecursionlimit(100000)
down(int(sys.argv[1]))
