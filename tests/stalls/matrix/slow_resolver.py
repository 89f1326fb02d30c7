"""A resolver that knows nobody, and takes its time to say so: slow_resolver.py COMMAND...

Answers on 127.0.0.1 port 53, of namespaces that were made for it, until the command has ended.
"""
import os
import signal
import socket
import subprocess
import sys
import time

LATE_S, NOT_FOUND = 0.03, 3  # a name is asked for twice, by its IPv4 and its IPv6 address

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
pid = os.fork()
if pid == 0:
    while True:
        query, peer = server.recvfrom(512)
        time.sleep(LATE_S)
        server.sendto(query[:2] + bytes((0x81, 0x80 | NOT_FOUND)) + query[4:], peer)
server.close()
code = subprocess.run(sys.argv[1:], check=False).returncode
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
sys.exit(code)
