"""UDP datagrams on loopback: one call a packet, batches, segments."""
from .figures import Figure, Report
from .programs import answer_of, note

TARGET = 2  # times as many packets a second of processor time as by one call a packet


def run(build, options):
    report = Report("datagrams: 64 bytes, processor time of both ends")
    rounds = options.rounds or (3 if options.quick else 9)
    packets = 10000 if options.quick else 100000
    for label, backend in (("hark epoll", "epoll"), ("hark ring", "io_uring")):
        if not build.has("datagrams") or (backend == "io_uring" and not build.has_ring):
            continue
        note(f"datagrams: {label}")
        taken = answer_of([build.path("datagrams"), "--json", "--backend", backend,
                           "--rounds", str(rounds), "--packets", str(packets)])
        report.data[label] = taken
        alone, *others = taken
        for way in others:
            reached = taken[way]["ratio"] >= TARGET
            report.judge(Figure(f"{label}, {way}, ns a packet", taken[way]["ns"],
                                {alone: taken[alone]["ns"]}, taken[way]["ratio"],
                                f"ratio >= {TARGET}", reached, 1))
    return report
