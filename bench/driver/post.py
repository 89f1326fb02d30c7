"""Posting from another thread: in bulk, while the loop is awake, and to a loop that sleeps."""
from .figures import Figure, Report, median, paired_ratio, spread
from .programs import PEERS, answer_of, note

PROGRAMS = {"hark epoll": ("post_hark", "epoll"), "hark ring": ("post_hark", "io_uring"),
            "eventfd by hand": ("post_eventfd",), **{peer: (f"post_{peer}",) for peer in PEERS}}
BULK_TARGET_NS = 15
# The most that hark may take of the bare eventfd's median time. On io_uring "no worse"; the margin
# is what rounds differ by.
LATENCY_TARGET = {"hark epoll": 1.10, "hark ring": 1.05}


def measure(build, report, mode, count, cores, rounds):
    """By label, by quantity: a value for each round."""
    taken = {}
    for number in range(rounds):
        note(f"post: {mode}, {cores} processor(s), round {number + 1} of {rounds}")
        for label, (program, *arg) in PROGRAMS.items():
            if not build.has(program) or (label == "hark ring" and not build.has_ring):
                continue
            answer = answer_of([build.path(program), mode, str(count), cores, *arg])
            for quantity, value in answer.items():
                taken.setdefault(label, {}).setdefault(quantity, []).append(value)
    report.data[f"{mode}, {cores}"] = taken
    return taken


def ours_of(taken):
    return [label for label in LATENCY_TARGET if label in taken]


def show(report, text, taken, quantities, scale=1.0, digits=1):
    report.say(text)
    report.table(["library", *quantities.values()],
                 [[label, *(spread([value / scale for value in values[quantity]], digits)
                            for quantity in quantities)] for label, values in taken.items()])


def bulk(build, report, count, rounds):
    taken = measure(build, report, "bulk", count, "two", rounds)
    show(report, f"Bulk: {count:,} items from a thread that does nothing else, ns an item until "
         "all have been handled", taken, {"item_ns": "ns an item"})
    peers = {label: median(v["item_ns"]) for label, v in taken.items()
             if not label.startswith("hark")}
    for label in ours_of(taken):
        ours = median(taken[label]["item_ns"])
        report.judge(Figure(f"bulk, {label}, ns an item", ours, peers, None, f"<= {BULK_TARGET_NS}",
                            ours <= BULK_TARGET_NS, 1))


def awake(build, report, rounds):
    taken = measure(build, report, "awake", 10000, "two", rounds)
    show(report, "Awake: 51 bursts of 10,000 items, posted while the loop is inside a callback, ns "
         "an item; and all system calls of the posting thread in them (-1: not counted)", taken,
         {"posting_ns": "posting", "taking_ns": "taking", "item_ns": "both", "calls": "calls"})
    peers = {label: max(v["calls"]) for label, v in taken.items() if not label.startswith("hark")}
    for label in ours_of(taken):
        calls = max(taken[label]["calls"])
        report.judge(Figure(f"awake, {label}, calls", calls, peers, None, "0",
                            calls == 0 if calls >= 0 else None, 0))
        ours = median(taken[label]["item_ns"])
        report.judge(Figure(f"awake, {label}, ns an item", ours,
                            {k: median(v["item_ns"]) for k, v in taken.items()
                             if not k.startswith("hark")}, None, f"<= {BULK_TARGET_NS}",
                            ours <= BULK_TARGET_NS, 1))


def latency(build, report, count, cores, rounds):
    taken = measure(build, report, "latency", count, cores, rounds)
    place = "both threads on one processor" if cores == "one" else "a processor for each thread"
    show(report, f"Wake-up of a loop that sleeps, {place}: us from the post to the callback", taken,
         {"p50_ns": "p50", "p99_ns": "p99"}, 1000.0, 2)
    bare = "eventfd by hand"
    for label in ours_of(taken):
        most = LATENCY_TARGET[label]
        ours, theirs = taken[label]["p50_ns"], taken[bare]["p50_ns"]
        ratio = paired_ratio(ours, theirs)
        report.judge(Figure(f"wake-up, {cores} cpu, {label}, p50 us", median(ours) / 1000,
                            {bare: median(theirs) / 1000}, ratio, f"ratio <= {most:.2f}",
                            ratio <= most))


def run(build, options):
    report = Report("post: from another thread to the loop")
    rounds = options.rounds or (3 if options.quick else 7)
    bulk(build, report, 200000 if options.quick else 1000000, rounds)
    awake(build, report, rounds)
    for cores in ("one", "two"):
        latency(build, report, 2000 if options.quick else 10000, cores, rounds)
    return report
