"""With each byte of its input a garbage collection that lasts until the next; a thread stands by.

Tells the numbers of the main and of the other thread.
"""
import gc
import os
import select
import threading


def spin():
    while not select.select([0], [], [], 0)[0]:
        for _ in range(20000):
            pass


def called(phase, info):
    if phase == "start":
        spin()


gc.disable()
idle = threading.Thread(target=select.select, args=([3], [], []), daemon=True)
idle.start()
print(threading.get_native_id(), idle.native_id, flush=True)
gc.callbacks.append(called)
while os.read(0, 1):
    gc.collect()
