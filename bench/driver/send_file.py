"""Files sent: what hark_send_file() takes on io_uring, without a thread, and by the pool."""
from .figures import Figure, Report, median, paired_ratio, spread
from .programs import answer_of, note

KIB = 1024
SIZES = {4 * KIB: 20000, 64 * KIB: 6000, 256 * KIB: 2000, 1024 * KIB: 600, 16384 * KIB: 40}
WAYS = {"ring": "io_uring", "pool": "epoll"}
MOST = 1.3  # of the pool's processor time


def measure(build, wire, size, count, rounds):
    taken = {way: {"own_ns": [], "both_ns": [], "wall_ns": [], "threads": []} for way in WAYS}
    for _ in range(rounds):
        for way, backend in WAYS.items():
            answer = answer_of([build.path("send_file"), backend, wire, str(size), str(count)])
            for key, values in taken[way].items():
                values.append(answer[key])
    return taken


def run(build, options):
    rounds = options.rounds or (3 if options.quick else 7)
    report = Report("send_file: cached files, eight connections, us of processor a file")
    if not build.has_ring:
        report.say("no io_uring here: there is nothing to compare")
        return report
    rows, judged = [], []
    for wire in ("tcp", "unix"):
        for size, count in SIZES.items():
            note(f"send_file: {wire}, {size // KIB} KiB")
            count = max(count // 5, 8) if options.quick else count
            taken = measure(build, wire, size, count, rounds)
            report.data[f"{wire} {size}"] = taken
            for way, values in taken.items():
                speed = [size * 1e3 / wall for wall in values["wall_ns"]]
                rows.append([wire, f"{size // KIB} KiB", way,
                             *[spread([time / 1e3 for time in values[key]], 1)
                               for key in ("own_ns", "both_ns")],
                             spread(speed, 0), str(max(values["threads"]))])
            judged.append((f"{wire}, {size // KIB} KiB", taken))
    report.table(["wire", "file", "way", "sender", "both ends", "MB/s", "threads"], rows)
    for what, taken in judged:
        ours, pools = taken["ring"]["both_ns"], taken["pool"]["both_ns"]
        ratio = paired_ratio(ours, pools)
        report.judge(Figure(f"{what}, both ends, us", median(ours) / 1e3,
                            {"pool": median(pools) / 1e3}, ratio, f"ratio <= {MOST:.2f}",
                            ratio <= MOST, 1))
    most = max(max(taken["ring"]["threads"]) for _, taken in judged)
    report.judge(Figure("threads on the ring", most, {}, most, "1: none of the pool", most == 1, 0))
    return report
