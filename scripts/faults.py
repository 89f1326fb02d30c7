"""What the scripts that seed faults have in common: which faults are chosen, and their places."""
import argparse
import re


def part(text):
    """K/N as the slice that it means."""
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    if found is None or int(found[1]) > int(found[2]):
        raise argparse.ArgumentTypeError(f"\"{text}\" is no part; the second of three is 2/3")
    return slice(int(found[1]) - 1, None, int(found[2]))


def chosen(description, faults, line=lambda fault: fault[0]):
    """The faults that the command line asks for. Of each the first member is its name; `line` is
    how it is listed."""
    parser = argparse.ArgumentParser(description=description.split("\n", 1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="those that begin with it")
    parser.add_argument("--part", type=part, default="1/1", metavar="K/N", help="each N-th, from K")
    parser.add_argument("--list", action="store_true", help="list them, and do nothing else")
    options = parser.parse_args()
    for name in options.names:
        if not any(fault[0].startswith(name) for fault in faults):
            parser.error(f"there is no fault \"{name}\"; --list tells which there are")
    names = tuple(options.names) or ("",)
    found = [fault for fault in faults if fault[0].startswith(names)][options.part]
    if options.list:
        for fault in found:
            print(line(fault))
        parser.exit()
    return found


def faulty(name, path, old, new):
    """The text of a file with the fault in it."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.count(old) != 1:
        raise SystemExit(f"{name}: {path} has its text {text.count(old)} times, wanted once:\n"
                         f"{old}")
    return text.replace(old, new)
