"""Names beyond ASCII, of one, two and four bytes a character."""
import os


def naïve():
    os.read(0, 1)  # at naïve


def 日本():
    naïve()  # at 日本


def 𐐷():
    日本()  # at 𐐷


print("ready", flush=True)
𐐷()
