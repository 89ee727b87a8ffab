#!/usr/bin/env python3
"""An opsctl agent, written from docs/protocol.md alone. Needs Linux, Python 3.11 and the package `websockets`.

    OPSCTL_TOKEN=… python3 agent.py --url ws://127.0.0.1:7600 --name py --label env=test

All that is known of a command lives in `Command`. One task for each connection, `Agent.pump`, sends whatever the daemon
doesn't have yet. So a new connection needs no more than to be told where the daemon stands.
"""

import argparse
import asyncio
import getpass
import os
import platform
import random
import sys
import time

import websockets
from command import Command
from websockets.asyncio.client import connect
from wire import decode, encode, to_json

STEERING = {"terminal:ack", "command:interrupt", "command:resize", "command:input"}


class Agent:
    def __init__(self, options):
        self.options, self.commands, self.wake, self.tasks = options, {}, asyncio.Event(), set()

    def spawn(self, coroutine):
        task = asyncio.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def stay(self):
        """Connects, and comes back, until the daemon says not to."""
        token = os.environ.get("OPSCTL_TOKEN", "")
        attempt = 0
        while True:
            began = time.monotonic()
            try:
                async with connect(
                    self.options.url + "/ws/agent",
                    additional_headers={"Authorization": f"Bearer {token}"},
                    subprotocols=["opsctl.v1"],
                    ping_interval=15,
                    ping_timeout=20,
                    compression=None,
                ) as socket:
                    await self.serve(socket)
            except websockets.InvalidStatus as error:
                if error.response.status_code in (400, 401, 403):
                    sys.exit(f"refused: {error.response.body.decode()}")
            except websockets.ConnectionClosed as error:
                code = error.rcvd.code if error.rcvd else 1006
                if code in (1009, 4009) or 4500 <= code <= 4999:
                    sys.exit(f"closed for good: {error}")
            except (OSError, TimeoutError, websockets.InvalidHandshake) as error:
                print(f"no connection: {error}", file=sys.stderr)
            if time.monotonic() - began >= 60:
                attempt = 0
            await asyncio.sleep((0 if attempt == 0 else min(30, 2 ** (attempt - 1))) * random.uniform(0.8, 1.2))
            attempt += 1

    async def serve(self, socket):
        facts = {"os": platform.system().lower(), "arch": platform.machine(), "hostname": platform.node()}
        facts |= {"user": getpass.getuser(), "version": "witness"}
        hello = {
            "agentId": self.options.name,
            "labels": dict(label.split("=", 1) for label in self.options.label),
            "facts": facts,
            "capabilities": ["pty", "stdin", "resize"],
            "maxCommands": 16,
            "commands": [command.report() for command in self.commands.values()],
        }
        reported = set(self.commands)
        await socket.send(encode("agent:connect", hello, id="hello"))
        pump = None
        try:
            async for frame in socket:
                message = decode(frame)
                if message["type"] == "connected":
                    wanted = message["payload"].get("commands", {})
                    for command in reported:
                        if command in wanted:
                            self.commands[command].resume(wanted[command])
                        else:  # settled
                            del self.commands[command]
                    self.wake.set()
                    pump = asyncio.create_task(self.pump(socket))
                else:
                    wrong = self.handle(message["type"], message["payload"])
                    if wrong:
                        await socket.send(encode("error", {"code": wrong[0], "message": wrong[1]}))
        finally:
            if pump:
                pump.cancel()

    def handle(self, kind, payload):
        """Does what the daemon asks for; gives an error's code and message where that can't be."""
        command = self.commands.get(payload.get("commandId"))
        if kind == "command:execute":
            if command is None:
                command = self.commands[payload["commandId"]] = Command(payload, self.wake)
                self.spawn(command.run())
            else:
                command.change()
        elif kind == "error":
            print(f"the daemon says: {payload['code']}: {payload['message']}", file=sys.stderr)
        elif command is None or kind not in STEERING:
            pass  # a command that has been forgotten, or a message of a newer daemon
        elif kind == "terminal:ack":
            command.ack(payload["offset"])
            if payload.get("settled"):
                del self.commands[command.id]
        elif kind == "command:interrupt":
            self.spawn(command.interrupt(payload.get("signal", "INT"), payload.get("escalate", False)))
        elif kind == "command:resize":
            command.resize(payload["cols"], payload["rows"])
        elif kind == "command:input":
            wrong = command.feed(payload)
            return wrong and ("input_rejected", wrong)

    async def pump(self, socket):
        """Sends what the daemon doesn't have: a command's output first, then its status."""
        while True:
            await self.wake.wait()
            self.wake.clear()
            for command in list(self.commands.values()):
                # The start is told before the first output; the end after the last.
                while command.tell or command.next < len(command.pieces):
                    if command.tell and (command.status["state"] == "running" or command.next == len(command.pieces)):
                        command.tell = False
                        await socket.send(encode("command:status", command.status))
                    else:
                        offset, data, rest = command.pieces[command.next]
                        command.next += 1
                        await socket.send(encode("terminal:output", {"offset": offset, **to_json(data), **rest}))


def main():
    parser = argparse.ArgumentParser(description="an opsctl agent; the token stands in OPSCTL_TOKEN")
    parser.add_argument("--url", default="ws://127.0.0.1:7600")
    parser.add_argument("--name", default=platform.node())
    parser.add_argument("--label", action="append", default=[], metavar="KEY=VALUE")
    asyncio.run(Agent(parser.parse_args()).stay())


if __name__ == "__main__":
    main()
