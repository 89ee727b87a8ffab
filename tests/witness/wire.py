"""What every message has around it, and bytes in JSON. See docs/protocol.md, "Envelope" and "Output"."""

import base64
import gzip
import json
import time

COMPRESS_ABOVE = 10 * 1024  # larger payloads travel gzipped


def now():
    return int(time.time() * 1000)


def encode(kind, payload, **envelope):
    text = json.dumps(payload)
    if len(text) > COMPRESS_ABOVE:
        envelope["encoding"] = "gzip"
        payload = base64.b64encode(gzip.compress(text.encode(), 1)).decode()
    return json.dumps({"version": "1.0.0", "type": kind, "timestamp": now(), "payload": payload, **envelope})


def decode(text):
    message = json.loads(text)
    if message.get("encoding") == "gzip":
        message["payload"] = json.loads(gzip.decompress(base64.b64decode(message["payload"])))
    return message


def to_json(data):
    try:
        return {"data": data.decode()}
    except UnicodeDecodeError:
        return {"dataB64": base64.b64encode(data).decode()}


def from_json(payload):
    return base64.b64decode(payload["dataB64"]) if "dataB64" in payload else payload.get("data", "").encode()
