#!/usr/bin/env python3
"""Standard input and output to a TCP port of loopback, for ssh's ProxyCommand: one process, which ends
when either side does.

    tcp.py PORT
"""
import os
import selectors
import socket
import sys


def show(data):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
ways = selectors.DefaultSelector()
ways.register(0, selectors.EVENT_READ, server.sendall)
ways.register(server, selectors.EVENT_READ, show)
while True:
    for key, _ in ways.select():
        data = os.read(key.fd, 65536)
        if not data:
            sys.exit()
        key.data(data)
