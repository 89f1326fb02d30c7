"""Threads that stand still, each in a function of its own; tells their numbers, the main first."""
import os
import threading


def first():
    os.read(0, 1)  # at first


def second():
    third()  # at second


def third():
    os.read(0, 1)  # at third


threads = [threading.Thread(target=target, daemon=True) for target in (first, second)]
for thread in threads:
    thread.start()
print(threading.get_native_id(), *(thread.native_id for thread in threads), flush=True)
os.read(0, 1)  # at <module>
