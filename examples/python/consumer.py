#!/usr/bin/env python3
"""Reads the telemetry queue and calls a collector's control API. Prints canonical ProtoJSON, one object per line.

The types are generated from //proto. Outside Bazel, run generate.py and add its output directory to PYTHONPATH.
"""

import argparse
import datetime
import itertools
import json
import pathlib
import sys

import grpc
import redis
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from telemetry.v1 import control_pb2, control_pb2_grpc
from telemetry.v1.message_pb2 import TelemetryMessage

MAJOR = "1"


class Unreadable(Exception):
    """An element of the queue is not a message, or has another major version of the schema."""


class Queue:
    """A Redis list. Each message stays in Redis until it is acknowledged."""

    def __init__(self, url, key):
        self.redis = redis.Redis.from_url(url)
        self.key = key
        # Consumers that run at the same time need separate processing lists. (The Rust client also recovers those of dead ones.)
        self.processing = f"{{{key}}}:processing:python"
        self.dead = f"{{{key}}}:dead"
        while self.redis.lmove(self.processing, key, "LEFT", "RIGHT"):
            pass  # Return elements that an earlier run did not acknowledge to the queue, in order.

    def take(self):
        """Waits for an element and returns the oldest one."""
        while True:
            element = self.redis.blmove(self.key, self.processing, timeout=1, src="RIGHT", dest="LEFT")
            if element is not None:
                return element

    def acknowledge(self, element):
        self.redis.lrem(self.processing, -1, element)

    def reject(self, element, reason):
        """Moves an unreadable element to the dead-letter list."""
        letter = {"reason": reason, "payload": element.decode(errors="replace")}
        self.redis.lpush(self.dead, json.dumps(letter))
        self.acknowledge(element)


def parse(element):
    """Parses a message from JSON, which starts with a brace, or protobuf, which never does. Ignores unknown fields."""
    try:
        if element.startswith(b"{"):
            message = json_format.Parse(element, TelemetryMessage(), ignore_unknown_fields=True)
        else:
            message = TelemetryMessage.FromString(element)
    except (json_format.ParseError, DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(str(error)) from error
    if message.schema_version.split(".")[0] != MAJOR:
        raise Unreadable(f"schema {message.schema_version!r} is not supported; this program reads {MAJOR}.x")
    return message


def show(message):
    """Prints canonical ProtoJSON as the collector writes it: with the field names of the schema, including zeros."""
    print(
        json_format.MessageToJson(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=None
        ),
        flush=True,
    )


def read_queue(options):
    queue = Queue(options.redis, options.key)
    shown = 0
    while options.count is None or shown < options.count:
        element = queue.take()
        try:
            message = parse(element)
        except Unreadable as unreadable:
            print(f"moved to {queue.dead}: {unreadable}", file=sys.stderr)
            queue.reject(element, str(unreadable))
            continue
        show(message)
        queue.acknowledge(element)
        shown += 1


def control_channel(options):
    if options.tls_ca:
        files = [path and pathlib.Path(path).read_bytes() for path in (options.tls_ca, options.tls_key, options.tls_cert)]
        return grpc.secure_channel(options.control, grpc.ssl_channel_credentials(*files))
    # For a Unix socket, gRPC would name its path as the authority, which is not a valid one.
    authority = [("grpc.default_authority", "localhost")] if options.control.startswith("unix:") else []
    return grpc.insecure_channel(options.control, options=authority)


def call_control(options):
    # Without TLS, a token is for loopback and Unix sockets only: everybody on the way can read it.
    token = pathlib.Path(options.token_file).read_text().strip() if options.token_file else None
    login = {"metadata": [("authorization", f"Bearer {token}")] if token else []}
    with control_channel(options) as channel:
        control = control_pb2_grpc.ControlServiceStub(channel)
        if options.command == "watch":
            events = control.WatchSnapshots(control_pb2.WatchSnapshotsRequest(delivery=options.delivery), **login)
            for event in itertools.islice(events, options.count):
                show(event)
            return
        login["timeout"] = options.timeout
        if options.command == "snapshot":
            answer = control.GetSnapshot(control_pb2.GetSnapshotRequest(), **login)
        elif options.command == "health":
            answer = control.Health(control_pb2.HealthRequest(), **login)
        else:
            request = control_pb2.SetIntervalRequest(reason=options.reason)
            request.interval.FromTimedelta(datetime.timedelta(seconds=options.seconds))
            if options.ttl:
                request.ttl.FromTimedelta(datetime.timedelta(seconds=options.ttl))
            answer = control.SetInterval(request, **login)
    show(answer)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/0", help="URL of the Redis server (default: %(default)s)")
    parser.add_argument("--key", default="telemetry:queue", help="key of the list (default: %(default)s)")
    parser.add_argument("--control", default="127.0.0.1:50051", help="host:port or unix:///path of the control API (default: %(default)s)")
    parser.add_argument("--tls-ca", help="CA certificates (PEM) to check the control API with; turns TLS on")
    parser.add_argument("--tls-cert", help="client certificate (PEM) for the control API")
    parser.add_argument("--tls-key", help="private key (PEM) of the client certificate")
    parser.add_argument("--token-file", help="file with a bearer token for the control API")
    parser.add_argument("--timeout", type=float, default=10, help="timeout of a call, in seconds (default: %(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    queue = commands.add_parser("queue", help="take messages from the queue and print them")
    queue.add_argument("--count", type=int, help="stop after this many messages")
    commands.add_parser("snapshot", help="print the latest sample")
    watch = commands.add_parser("watch", help="print every message as soon as it is made")
    watch.add_argument("--delivery", action="store_true", help="print what becomes of the messages, too")
    watch.add_argument("--count", type=int, help="stop after this many events")
    commands.add_parser("health", help="print the collector's health")
    interval = commands.add_parser("interval", help="change the sampling interval")
    interval.add_argument("seconds", type=float, help="new interval, in seconds")
    interval.add_argument("--ttl", type=float, help="return to the collector's own interval after so many seconds")
    interval.add_argument("--reason", default="", help="why, for the audit")
    options = parser.parse_args()
    try:
        read_queue(options) if options.command == "queue" else call_control(options)
    except grpc.RpcError as error:
        sys.exit(f"{options.control}: {error.code().name}: {error.details()}")
    except redis.RedisError as error:
        sys.exit(f"{options.key}: {error}")


if __name__ == "__main__":
    main()
