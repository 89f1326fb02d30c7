"""Idle: what a round trip costs the server while very many connections say nothing.

Server and client take turns anyway, so they share a processor: on two, each would fall asleep for
every message, and the waking of a processor would be most of what is measured.
"""
from .figures import Figure, Report, median, paired_ratio, spread
from .programs import SERVER_CPU, note
from .windows import Sampler, server_us

LABELS = ("epoll by hand", "hark epoll", "hark epoll pool", "ring by hand", "hark ring",
          "hark ring pool")
FEW, MANY = 100, 9000
TARGET = 1.15


def run(build, options):
    report = Report(f"idle: three connections talk by turns, {FEW} or {MANY} others do not")
    sampler = Sampler(build)
    rounds = options.rounds or (3 if options.quick else 7)
    window_ms = 300 if options.quick else 1000
    servers = build.servers(LABELS)
    times = {label: {FEW: [], MANY: []} for label in servers}
    calls = {label: {FEW: [], MANY: []} for label in servers}
    for number in range(rounds):
        note(f"idle: round {number + 1} of {rounds}")
        for label, command in servers.items():
            for idle in (FEW, MANY):
                windows = sampler.take(command, client_cpu=SERVER_CPU, connections=3, idle=idle,
                                       turns=1, window_ms=window_ms, count_ms=window_ms // 5)
                times[label][idle].append(server_us(windows["timed"]))
                if "counted" in windows:
                    counted = windows["counted"]
                    calls[label][idle].append(counted["all"] / counted["messages"])
    rows = []
    for label, by_idle in times.items():
        ratio = paired_ratio(by_idle[MANY], by_idle[FEW])
        counts = [f"{median(n):.2f}" if n else "not counted" for n in calls[label].values()]
        rows.append([label, spread(by_idle[FEW]), spread(by_idle[MANY]), f"{ratio:.2f}", *counts])
        if label.startswith("hark"):
            report.judge(Figure(f"{label}: us with {MANY} idle", median(by_idle[MANY]),
                                {f"with {FEW}": median(by_idle[FEW])}, ratio, f"ratio <= {TARGET}",
                                ratio <= TARGET))
    report.say(f"Server processor time, us a round trip, median (least-most) of {rounds}; ratio: "
               "the median within rounds")
    report.table(["server", f"{FEW} idle", f"{MANY} idle", "ratio", f"calls, {FEW}",
                  f"calls, {MANY}"], rows)
    for idle in (FEW, MANY):
        for label, partner in (("hark epoll", "epoll by hand"), ("hark ring pool", "ring by hand")):
            if label in times and partner in times:
                ours, theirs = times[label][idle], times[partner][idle]
                report.judge(Figure(f"{label}: us with {idle} idle", median(ours),
                                    {partner: median(theirs)}, paired_ratio(ours, theirs), "-",
                                    None))
    report.say(sampler.remark())
    report.data = {"server_us": times, "calls_a_round_trip": calls}
    return report
