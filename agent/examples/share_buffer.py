#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""One buffer in two processes that were started apart; a Unix socket passes its descriptor on.

    share_buffer.py give shared /tmp/buffer.sock &
    share_buffer.py take shared /tmp/buffer.sock

Needs cm-agent alone. The memory is free when both have closed the buffer, or have ended.
"""

import argparse
import atexit
import os
import socket

from cm_agent import Buffer, Context

SIZE, QUESTION_AT, ANSWER_AT, LONGEST = 1 << 20, 0, 4096, 80


def write(buffer: Buffer, place: int, text: str) -> None:
    with buffer.cpu_access("w") as view:
        view[place : place + len(text)] = text.encode()


def read(buffer: Buffer, place: int) -> str:
    with buffer.cpu_access() as view:
        return bytes(view[place : place + LONGEST]).rstrip(b"\0").decode()


def give(pool: Context, server: socket.socket, path: str) -> None:
    with pool.alloc(SIZE, name="shared") as buffer:
        write(buffer, QUESTION_AT, f"who are you? asks process {os.getpid()}")
        server.bind(path)
        atexit.register(os.unlink, path)
        server.listen()
        with server.accept()[0] as connection:
            socket.send_fds(connection, [b"\0"], [buffer.fd])  # a byte must go with them
            connection.recv(1)  # returns when the other process has closed its end
        print(read(buffer, ANSWER_AT) or "the other process wrote nothing")


def take(pool: Context, connection: socket.socket, path: str) -> None:
    connection.connect(path)
    fds = socket.recv_fds(connection, 1, 1, socket.MSG_CMSG_CLOEXEC)[1]
    with pool.adopt(fds[0]) as buffer:  # which owns it now; an error if it is no chunk of the pool
        print(read(buffer, QUESTION_AT))
        write(buffer, ANSWER_AT, f"process {os.getpid()}, with chunk {buffer.id}")


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("role", choices=["give", "take"])
parser.add_argument("context", help="where the buffer is from, the same for both")
parser.add_argument("socket", help="path of the socket, which the giver makes")
args = parser.parse_args()
with Context(args.context) as pool, socket.socket(socket.AF_UNIX) as sock:
    {"give": give, "take": take}[args.role](pool, sock, args.socket)
