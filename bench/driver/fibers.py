"""Fibers: switch, spawn, channel, and a million that wait; echo by fibers beside callbacks."""
from .figures import Figure, Report, median, paired_ratio, spread
from .programs import SERVER_CPU, answer_of, note
from .windows import Sampler, server_us

PEERS = ("go", "tokio", "boost")
TIGHT = {"switch": ("switch, ns", 6), "spawn": ("spawn and end, ns", 25),
         "channel": ("unbuffered send and receive, ns", 60)}
PARKED = {"bytes": "bytes each", "create": "create, ns each", "wake_s": "wake all, s"}
BYTES_MOST, WAKE_MOST_S, ECHO_MOST = 4.4 * 1024, 1.0, 1.10


def alternate(build, names, rounds, *words):
    """Answers by name and by what they measure, a list of rounds each."""
    taken = {name: {} for name in names}
    for number in range(rounds):
        note(f"fibers: {words[0]}, round {number + 1} of {rounds}")
        for name in names:
            answer = answer_of(["taskset", "-c", str(SERVER_CPU), build.path(f"fibers_{name}"),
                                *words])
            for what, value in answer.items():
                taken[name].setdefault(what, []).append(value)
    return taken


def show(report, taken, columns, digits):
    report.table(["by", *columns.values()],
                 [[name, *(spread(values[what], digits) if what in values else "-"
                           for what in columns)] for name, values in taken.items()])


def peers_of(taken, what):
    return {name: median(values[what]) for name, values in taken.items()
            if name != "hark" and what in values}


def judge_tight(report, taken):
    for what, (title, most) in TIGHT.items():
        ours = median(taken["hark"][what])
        report.judge(Figure(title, ours, peers_of(taken, what), None, f"<= {most}", ours <= most,
                            1))


def judge_parked(report, taken):
    bytes_each = median(taken["hark"]["bytes"])
    wake = median(taken["hark"]["wake_s"])
    report.judge(Figure("bytes of one that waits", bytes_each, peers_of(taken, "bytes"), None,
                        f"<= {BYTES_MOST:.0f}", bytes_each <= BYTES_MOST, 0))
    if "go" in taken:
        ratio = paired_ratio(taken["hark"]["create"], taken["go"]["create"])
        report.judge(Figure("create, ns each", median(taken["hark"]["create"]),
                            peers_of(taken, "create"), ratio, "ratio <= 1 of go", ratio <= 1, 0))
    report.judge(Figure("wake a million, s", wake, peers_of(taken, "wake_s"), None,
                        f"<= {WAKE_MOST_S}", wake <= WAKE_MOST_S, 3))


def echo(build, report, rounds, options):
    window_ms = 300 if options.quick else 1500
    sampler = Sampler(build)
    pairs = [("hark epoll", "hark epoll fiber"), ("hark ring", "hark ring fiber")]
    labels = [label for pair in pairs for label in pair]
    servers = build.servers(labels)
    taken = {label: [] for label in servers}
    for number in range(rounds):
        note(f"fibers: echo, round {number + 1} of {rounds}")
        for label, command in servers.items():
            window = sampler.take(command, bytes=64, connections=64, window_ms=window_ms,
                                  count_ms=0)
            taken[label].append(server_us(window["timed"]))
    report.say("Echo, 64 connections, 64 bytes: server processor time, us a message")
    report.table(["server", "us a message"],
                 [[label, spread(values)] for label, values in taken.items()])
    for plain, fiber in pairs:
        if fiber in taken:
            ratio = paired_ratio(taken[fiber], taken[plain])
            report.judge(Figure(f"echo: {fiber}", median(taken[fiber]),
                                {plain: median(taken[plain])}, ratio, f"ratio <= {ECHO_MOST:.2f}",
                                ratio <= ECHO_MOST))
    report.data["echo"] = taken


def run(build, options):
    rounds = options.rounds or (3 if options.quick else 7)
    count = 100000 if options.quick else 1000000
    report = Report(f"fibers: tight loops, and {count:,} that wait")
    names = [name for name in ("hark", *PEERS) if build.has(f"fibers_{name}")]
    tight = alternate(build, names, rounds, "tight")
    show(report, tight, {what: title for what, (title, _) in TIGHT.items()}, 1)
    judge_tight(report, tight)
    parking = [name for name in names if name != "boost"]
    parked = alternate(build, parking, min(rounds, 3), "park", str(count))
    show(report, parked, PARKED, 3)
    judge_parked(report, parked)
    receiving = alternate(build, ["hark"], min(rounds, 3), "recv", str(count))
    report.say("The same in hark_fiber_recv(), on as many descriptors as the limit allows; the "
               "others wait behind those, in the same call")
    show(report, receiving, {**PARKED, "descriptors": "descriptors"}, 3)
    recv_bytes = median(receiving["hark"]["bytes"])
    report.judge(Figure("bytes of one in recv", recv_bytes, {}, None, f"<= {BYTES_MOST:.0f}",
                        recv_bytes <= BYTES_MOST, 0))
    report.data.update(tight=tight, parked=parked, receiving=receiving)
    echo(build, report, rounds, options)
    report.say("All times are processor time. Go and Tokio guard no stacks: Go's grow, Tokio's "
               "tasks have none. Boost's fcontext is the bare switch, without a scheduler. Tokio's "
               "channel holds one item.")
    return report
