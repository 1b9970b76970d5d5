"""Echoes messages of each kind with the `websockets` library, and tells what it has seen."""

import socket as sockets
import sys

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as connect_to

base, port = sys.argv[1:]


def connect(path, **options):
    """The host's name is in the request alone: no resolver knows it."""
    return connect_to(base + path, sock=sockets.create_connection(("127.0.0.1", int(port))), **options)


def told(message):
    kind = "text" if isinstance(message, str) else "binary"
    return f"{kind} {len(message)}"


with connect("/echo", max_size=None, compression="deflate") as socket:
    print("opened", socket.subprotocol, socket.response.status_code)
    for message in ["text", "caf\u00e9 \U0001f600", "", b"\x00\xff\x01", "l" * 1_000_000, b"b" * 4_000_000]:
        socket.send(message)
        answer = socket.recv()
        print(told(answer), answer == message)
    socket.send(["in ", "three ", "fragments"])
    print(socket.recv())
    print("pong", socket.ping(b"ping").wait(10))
    socket.close(3001, "enough")
    print("closed", socket.close_code, socket.close_reason)

with connect("/protocols", subprotocols=["superchat", "chat"]) as socket:
    print("protocol", socket.subprotocol, socket.recv())

with connect("/close/4000") as socket:
    try:
        socket.recv()
    except ConnectionClosed as closed:
        print("closed by the server", closed.rcvd.code, closed.rcvd.reason)

try:
    connect("/forbidden")
except InvalidStatus as refused:
    print("refused", refused.response.status_code, refused.response.body)
