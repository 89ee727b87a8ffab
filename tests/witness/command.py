"""One command of an agent: a program in a terminal or on pipes, its output until it is acked, and its status."""

import asyncio
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections import deque

from wire import from_json, now

PIECE = 32 * 1024  # the most output in one message
HELD = 4 * 1024 * 1024  # output kept for the daemon; beyond it the program waits
INPUT_REPORT = 256 * 1024  # how often `inputOffset` is told


async def ready(fd, write=False):
    """Waits until a file descriptor can be read (or written)."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    add(fd, done.set)
    try:
        await done.wait()
    finally:
        remove(fd)


def own(file):
    """Takes a descriptor out of a file object, which would close it at a time of its own."""
    fd = os.dup(file.fileno())
    file.close()
    return fd


def take_terminal():
    """Makes standard input the controlling terminal of the new session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Command:
    """A command, whether it runs or has ended, until the daemon says that it is settled."""

    def __init__(self, spec, wake):
        self.id, self.spec, self.wake = spec["commandId"], spec, wake
        self.status = {"commandId": self.id, "state": "running"}
        self.pieces, self.next = deque(), 0  # output that is not acked, and the first piece that is not sent
        self.acked = self.length = 0  # offsets of the output
        self.room = asyncio.Event()  # set when an ack made room
        self.input, self.got, self.given = asyncio.Queue(), 0, 0  # input: to write; bytes received, written
        self.tell = False  # the daemon has yet to hear the present status
        self.stdin = self.terminal = self.process = None

    async def run(self):
        try:
            outputs = self.start()
        except OSError as error:
            return self.finish(state="failed", reason=str(error))
        self.change(startedAt=now())
        readers = [asyncio.create_task(self.read(fd, kind)) for fd, kind in outputs]
        helpers = [asyncio.create_task(self.write())]
        if self.spec.get("timeoutMs") is not None:
            helpers.append(asyncio.create_task(self.time_out(self.spec["timeoutMs"] / 1000)))
        pidfd = os.pidfd_open(self.process.pid)
        await ready(pidfd)
        os.close(pidfd)
        code = self.process.wait()
        # A grandchild may hold the pipes open: what comes within two seconds still counts.
        _, late = await asyncio.wait(readers, timeout=2)
        for task in [*late, *helpers]:
            task.cancel()
        await asyncio.gather(*late, *helpers, return_exceptions=True)
        for fd in {fd for fd, _ in outputs} | ({self.stdin} if self.stdin is not None else set()):
            os.close(fd)
        self.stdin = self.terminal = None
        self.finish(state="exited", **({"exitCode": code} if code >= 0 else {"signal": -code}))

    def start(self):
        """Starts the program; gives the descriptors of its output with their kinds."""
        spec = self.spec
        argv = spec["argv"] if "argv" in spec else ["/bin/sh", "-c", spec["shell"]]
        env = {k: v for k, v in os.environ.items() if not k.startswith("OPSCTL_")}
        options = {"cwd": spec.get("cwd"), "start_new_session": True}
        if spec.get("pty"):
            self.terminal, slave = pty.openpty()
            try:
                self.resize(spec.get("cols", 80), spec.get("rows", 24))
                env = {**env, "TERM": "xterm-256color", **spec.get("env", {})}
                self.process = subprocess.Popen(
                    argv, stdin=slave, stdout=slave, stderr=slave, env=env, preexec_fn=take_terminal, **options
                )
            except OSError:
                os.close(self.terminal)
                raise
            finally:
                os.close(slave)
            self.stdin, outputs = self.terminal, [(self.terminal, "output")]
        else:
            env |= spec.get("env", {})
            pipe = subprocess.PIPE
            stdin = pipe if spec.get("stdin") == "stream" else subprocess.DEVNULL
            self.process = subprocess.Popen(argv, stdin=stdin, stdout=pipe, stderr=pipe, env=env, **options)
            outputs = [(own(self.process.stdout), "output"), (own(self.process.stderr), "error")]
            self.stdin = own(self.process.stdin) if self.process.stdin else None
        for fd in [fd for fd, _ in outputs] + ([self.stdin] if self.stdin is not None else []):
            os.set_blocking(fd, False)
        return outputs

    def resize(self, cols, rows):
        if self.terminal is not None:
            fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
            # From here on the terminal has this size; the piece has no bytes.
            self.put(b"", "output", cols=cols, rows=rows)

    async def read(self, fd, kind):
        while True:
            while self.length - self.acked > HELD:
                self.room.clear()
                await self.room.wait()
            await ready(fd)
            try:
                data = os.read(fd, PIECE)
            except OSError:  # a terminal's end is EIO
                return
            if not data:
                return
            self.put(data, kind)

    def put(self, data, kind, **more):
        self.pieces.append((self.length, data, {"commandId": self.id, "kind": kind, "time": now(), **more}))
        self.length += len(data)
        self.wake.set()

    def feed(self, payload):
        """Takes input; gives what is wrong with it."""
        data, offset = from_json(payload), payload.get("offset", self.got)
        if offset > self.got:
            return f"input starts at {offset}, expected {self.got}"
        data = data[self.got - offset :]
        self.got += len(data)
        self.input.put_nowait((data, payload.get("eof", False)))

    async def write(self):
        told = 0
        while self.stdin is not None:
            data, eof = await self.input.get()
            while data:
                await ready(self.stdin, write=True)
                try:
                    written = os.write(self.stdin, data)
                except OSError:  # the program reads no more; what is left goes nowhere
                    written = len(data)
                data, self.given = data[written:], self.given + written
                if self.given - told >= INPUT_REPORT:
                    told = self.given
                    self.change(inputOffset=told)
            if eof and self.terminal is None:
                os.close(self.stdin)
                self.stdin = None
                self.change(inputOffset=self.given)

    def kill(self, name):
        try:
            if name == "INT" and self.terminal is not None:
                os.killpg(os.tcgetpgrp(self.terminal), signal.SIGINT)
            else:
                os.killpg(self.process.pid, getattr(signal, f"SIG{name}"))
        except (OSError, AttributeError):  # it has just ended, or not begun
            pass

    async def interrupt(self, name, escalate):
        self.kill(name)
        for harder in ["TERM", "KILL"] if escalate else []:
            await asyncio.sleep(self.spec.get("killGraceMs", 5000) / 1000)
            if self.status["state"] == "running":
                self.kill(harder)

    async def time_out(self, seconds):
        await asyncio.sleep(seconds)
        self.status["timedOut"] = True
        await self.interrupt("INT", escalate=True)

    def change(self, **fields):
        self.status.update(fields)
        self.tell = True
        self.wake.set()

    def finish(self, **fields):
        self.change(finishedAt=now(), offset=self.length, **fields)

    def ack(self, offset):
        while self.next and self.pieces[0][0] + len(self.pieces[0][1]) <= offset:
            self.pieces.popleft()
            self.next -= 1
        self.acked = max(self.acked, offset)
        self.room.set()

    def resume(self, offset):
        """The daemon has everything before `offset`, and nothing after it."""
        self.next = len(self.pieces)
        self.ack(offset)
        self.next, self.tell = 0, True

    def report(self):
        start = self.pieces[0][0] if self.pieces else self.length
        return {**self.status, "from": start, "to": self.length}
