#!/usr/bin/env python3
"""Checks that the pages of this folder are true to the code, as far as a script can.

Every quoted piece of code that begins with a path ("/* src/net/net.c */") stands in that file, line
by line and in that order. Every function that a page names as `name()`, every file that it names in
backquotes or links to, and every test (a name of four words or more) is there. man/hark.1 explains
the options that the command has, and no others. Prints what is not so, a line each; exit code 1 if
anything is not.
"""
import glob
import os
import re
import sys

DOCS = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(DOCS)
FOLDERS = ("", "src/", "docs/", "tests/", "tests/promise/", "include/", "src/backend/",
           "src/loop/", "src/fiber/", "src/process/", "src/signal/", "src/stall/", "src/stalls/",
           "examples/stalls/", "examples/stalls/asyncio_flags/")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def quotes(text):
    """(line number, path, lines) of each piece of code that says where it is from."""
    for match in re.finditer(r"^```c\n/\* (\S+) \*/\n(.*?)^```", text, re.M | re.S):
        yield text.count("\n", 0, match.start()) + 2, match[1], match[2].split("\n")


def is_quoted_truly(path, lines):
    source = [line.strip() for line in read(os.path.join(TREE, path)).split("\n")]
    runs, run = [], []
    for line in [line.strip() for line in lines] + ["..."]:
        if line == "...":
            runs.append(run)
            run = []
        elif line or run:
            run.append(line)
    at = 0
    for run in runs:
        while run and not run[-1]:
            run.pop()
        while at + len(run) <= len(source) and source[at:at + len(run)] != run:
            at += 1
        if at + len(run) > len(source):
            return False
        at += len(run)
    return True


def expand(name):
    """The files that a name such as wheel.[ch] stands for."""
    match = re.fullmatch(r"(.*)\[(\w+)\](.*)", name)
    return [match[1] + letter + match[3] for letter in match[2]] if match else [name]


def is_file(name, folder):
    places = [folder] + [os.path.join(TREE, start) for start in FOLDERS]
    return any(os.path.exists(os.path.join(place, name)) for place in places)


def code():
    paths = [path for start in ("include", "src", "tests", "examples")
             for path in glob.glob(os.path.join(TREE, start, "**", "*.[ch]"), recursive=True)]
    return "\n".join(read(path) for path in paths)


def complaints(path, all_code):
    text = read(path)
    for number, source, lines in quotes(text):
        if not os.path.exists(os.path.join(TREE, source)) or not is_quoted_truly(source, lines):
            yield number, f"this does not stand so in {source}"
    for number, line in enumerate(text.split("\n"), 1):
        for name in re.findall(r"`(\w+)\(\)`", line):
            if not re.search(rf"\b{name}\)?\(", all_code):
                yield number, f"names {name}(), which is nowhere in the code"
        for name in re.findall(r"`([a-z]+(?:_[a-z0-9]+){3,})`", line):
            if not re.search(rf"\b{name}\)", all_code):
                yield number, f"names the test {name}, and there is none"
        named = re.findall(r"`([\w/.\[\]]+\.(?:[chS]|\[ch\]|py|md))`", line)
        linked = re.findall(r"\]\(([^)#:]+)\)", line)
        for name in [one for name in named + linked for one in expand(name)]:
            if not is_file(name, os.path.dirname(path)):
                yield number, f"names the file {name}, which is not there"


def option_complaints():
    tables = "\n".join(read(path) for path in glob.glob(os.path.join(TREE, "src/cli/*.c")))
    known = set(re.findall(r'\{ "--([\w-]+)"', tables))
    page = read(os.path.join(DOCS, "man/hark.1"))
    explained = set(re.findall(r"^\.It Fl Fl ([\w-]+)", page, re.M))
    for name in sorted(known ^ explained):
        yield f"--{name} is " + ("no option of hark" if name in explained else "not explained")


def main():
    all_code, wrong = code(), 0
    for complaint in option_complaints():
        print(f"docs/man/hark.1: {complaint}")
        wrong += 1
    pages = glob.glob(os.path.join(DOCS, "**", "*.md"), recursive=True)
    for path in sorted(pages):
        for number, complaint in complaints(path, all_code):
            print(f"{os.path.relpath(path, TREE)}:{number}: {complaint}")
            wrong += 1
    print(f"docs: {len(pages)} pages, {wrong} complaints")
    return 1 if wrong or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
