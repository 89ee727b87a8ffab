#!/usr/bin/env python3
"""An opsctl dashboard, written from docs/protocol.md alone: runs a command on all agents that a selector covers, prints
what they print, and exits with the highest of their exit codes. Needs Python 3.11 and the package `websockets`.

    OPSCTL_TOKEN=… python3 dashboard.py --url ws://127.0.0.1:7600 'env=test' 'echo hi; exit 7'

It comes back when the connection breaks, and misses nothing: the request has a key, the output has offsets.
"""

import argparse
import asyncio
import os
import sys
import uuid

import websockets
from websockets.asyncio.client import connect
from wire import decode, encode, from_json

FINAL = {"exited", "failed", "cancelled", "expired", "lost"}


class Request:
    def __init__(self, selector, line):
        self.request = {"key": str(uuid.uuid4()), "target": {"selector": selector}, "shell": line}
        self.commands = {}  # id → the next output byte that we want
        self.codes = {}  # id → exit code

    async def follow(self, socket):
        """Gives the exit code; or raises, when the connection breaks first."""
        await socket.send(encode("dashboard:connect", {"client": "witness"}, id="hello"))
        await socket.send(encode("command:request", self.request, id="request"))
        async for frame in socket:
            message = decode(frame)
            kind, payload = message["type"], message["payload"]
            if kind == "agent:list":
                names = [agent["agentId"] for agent in payload["agents"] if agent["status"] == "connected"]
                print("connected:", *names, file=sys.stderr)
            elif kind == "command:accepted":
                for command in payload["commands"]:
                    name = command["commandId"]
                    offset = self.commands.setdefault(name, 0)
                    wish = {"channel": f"command:{name}", "since": {"offset": offset}, "lossless": True}
                    await socket.send(encode("subscribe", wish, id=name))
            elif kind == "terminal:output":
                self.print(payload)
            elif kind == "gap":
                print(f"lost bytes {payload['from']} to {payload['to']}: {payload['reason']}", file=sys.stderr)
                self.commands[payload["commandId"]] = payload["to"]
            elif kind == "command:status" and payload["state"] in FINAL:
                self.codes[payload["commandId"]] = self.exit_code(payload)
                if self.commands.keys() <= self.codes.keys():
                    return max(self.codes.values(), default=0)
            elif kind == "error":
                sys.exit(f"{payload['code']}: {payload['message']}")

    def print(self, payload):
        name, data = payload["commandId"], from_json(payload)
        # After a reconnect a piece may begin with what we have.
        data = data[max(0, self.commands[name] - payload["offset"]) :]
        self.commands[name] += len(data)
        stream = sys.stderr if payload["kind"] == "error" else sys.stdout
        stream.buffer.write(data)
        stream.flush()

    @staticmethod
    def exit_code(status):
        if status["state"] != "exited":
            print(f"{status['agentId']}: {status['state']}: {status.get('reason', '')}", file=sys.stderr)
            return 255
        if status.get("timedOut"):
            return 124
        return status["exitCode"] if "exitCode" in status else 128 + status["signal"]


async def run(options):
    request = Request(options.selector, options.line)
    headers = {"Authorization": f"Bearer {os.environ.get('OPSCTL_TOKEN', '')}"}
    for wait in [0, 1, 2, 4, 8, 16, 30]:
        await asyncio.sleep(wait)
        try:
            async with connect(
                options.url + "/ws/dashboard", additional_headers=headers, subprotocols=["opsctl.v1"]
            ) as socket:
                code = await request.follow(socket)
            if code is not None:
                return code
        except websockets.InvalidStatus as error:
            sys.exit(f"refused: {error.response.body.decode()}")
        except (OSError, TimeoutError, websockets.WebSocketException) as error:
            print(f"connection lost: {error}", file=sys.stderr)
    return 1


def main():
    parser = argparse.ArgumentParser(description="run a line on agents; the token stands in OPSCTL_TOKEN")
    parser.add_argument("--url", default="ws://127.0.0.1:7600")
    parser.add_argument("selector")
    parser.add_argument("line")
    sys.exit(asyncio.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
