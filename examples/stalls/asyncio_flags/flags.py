"""A client for a service of feature flags: a value is asked for once in half a second, and kept."""
import socket
import time

KEPT_S = 0.5


class Flags:
    def __init__(self, address):
        self.connection = socket.create_connection(address)
        self.value, self.asked_at = None, 0.0

    def ask(self, name):
        self.connection.sendall(name.encode() + b"\n")
        return self.connection.recv(100).decode().strip()

    def is_on(self, name):
        if time.monotonic() - self.asked_at > KEPT_S:
            self.value = self.ask(name)
            self.asked_at = time.monotonic()
        return self.value == "on"
