"""Memory: what an idle connection adds to the whole server process, where no buffer is its own."""
import subprocess

from .figures import Figure, Report, median, spread
from .programs import CLIENT_CPU, Failed, client_command, note, pinned, serving

LABELS = ("hark epoll pool", "hark ring pool", "hark epoll ready", "epoll by hand", "ring by hand",
          "libev", "libuv", "libevent", "bufferevent")
# The smaller number touches all buffers of a pool and grows each table once; so the difference is
# what connections cost.
FEW, MANY = 2000, 10000
TARGET_BYTES = 256


def resident_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    raise Failed("smaps_rollup has no Rss")


def resident_with(build, command, idle):
    """Resident memory of a server that holds so many connections, each after one message."""
    with serving(command) as (server, port):
        options = {"connections": 1, "idle": idle, "turns": 1, "messages": 1, "windows": 0,
                   "hold": 1}
        client = subprocess.Popen(client_command(build, server, port, options), text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  preexec_fn=pinned(CLIENT_CPU))
        lines = [client.stdout.readline() for _ in range(2)]
        if "held" not in lines[-1]:
            raise Failed(f"{' '.join(command)}: the client ended with {client.wait()}")
        bytes_now = resident_bytes(server.pid)
        client.communicate()
    return bytes_now


def run(build, options):
    report = Report("memory: resident bytes of the server "
                    f"for each of {MANY - FEW} more connections")
    rounds = options.rounds or (1 if options.quick else 3)
    servers = build.servers(LABELS)
    costs = {label: [] for label in servers}
    for number in range(rounds):
        note(f"memory: round {number + 1} of {rounds}")
        for label, command in servers.items():
            few, many = (resident_with(build, command, idle) for idle in (FEW, MANY))
            costs[label].append((many - few) / (MANY - FEW))
    report.table(["server", "bytes a connection"],
                 [[label, spread(values, 0)] for label, values in costs.items()])
    peers = {label: median(values) for label, values in costs.items()
             if not label.startswith("hark")}
    for label, values in costs.items():
        if label.startswith("hark"):
            report.judge(Figure(label, median(values), peers, None, f"<= {TARGET_BYTES}",
                                median(values) <= TARGET_BYTES, 0))
    report.data = costs
    return report
