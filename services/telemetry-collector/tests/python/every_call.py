#!/usr/bin/env python3
"""Makes every call that a collector answers, as one caller, and prints the status code of each as a JSON object."""

import argparse
import json
import pathlib

import grpc
from google.protobuf import duration_pb2

from telemetry.v1 import control_pb2, control_pb2_grpc

TIMEOUT = 10  # seconds; no call takes as long


def channel_to(options):
    def read(path):
        return pathlib.Path(path).read_bytes() if path else None

    if options.ca is None:
        # For a Unix socket, grpcio would make the authority from the path, with %2F for each slash. HTTP/2 servers in Rust (h2)
        # reject that.
        authority = [("grpc.default_authority", "localhost")] if options.target.startswith("unix:") else []
        return grpc.insecure_channel(options.target, options=authority)
    login = grpc.ssl_channel_credentials(read(options.ca), read(options.key), read(options.cert))
    return grpc.secure_channel(options.target, login)


def raw(value):
    return value


def check_health(channel, metadata):
    """grpc.health.v1.Health/Check of the whole server, which is serving."""
    check = channel.unary_unary("/grpc.health.v1.Health/Check", raw, raw)
    answer = check(b"", metadata=metadata, timeout=TIMEOUT)
    assert answer == b"\x08\x01", answer


def list_services(channel, metadata):
    """grpc.reflection.v1: the request list_services, which is field 7."""
    reflect = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", raw, raw)
    answers = list(reflect(iter([b"\x3a\x01*"]), metadata=metadata, timeout=TIMEOUT))
    assert b"telemetry.v1.ControlService" in answers[0], answers


def watch(control, metadata):
    events = control.WatchSnapshots(control_pb2.WatchSnapshotsRequest(delivery=True), metadata=metadata)
    event = next(events)
    events.cancel()
    assert event.WhichOneof("event") == "delivery", event


def set_interval(control, metadata):
    request = control_pb2.SetIntervalRequest(reason="every_call.py")
    request.interval.FromMilliseconds(200)
    request.ttl.FromSeconds(60)
    answer = control.SetInterval(request, metadata=metadata, timeout=TIMEOUT)
    assert answer.interval == request.interval and answer.HasField("reverts_at"), answer


def unary(call, request, is_whole):
    def run(metadata):
        answer = call(request, metadata=metadata, timeout=TIMEOUT)
        assert is_whole(answer), answer

    return run


def calls(channel):
    control = control_pb2_grpc.ControlServiceStub(channel)
    fresh = control_pb2.GetSnapshotRequest(max_age=duration_pb2.Duration(seconds=10))
    return {
        "GetSnapshot": unary(control.GetSnapshot, fresh, lambda answer: answer.snapshots[0].message.data.cpu.logical_count),
        "WatchSnapshots": lambda metadata: watch(control, metadata),
        "GetConfig": unary(control.GetConfig, control_pb2.GetConfigRequest(), lambda answer: answer.settings[0].name),
        "GetCapabilities": unary(
            control.GetCapabilities, control_pb2.GetCapabilitiesRequest(), lambda answer: answer.groups[0].available
        ),
        "Health": unary(control.Health, control_pb2.HealthRequest(), lambda answer: len(answer.components) >= 3),
        "SetInterval": lambda metadata: set_interval(control, metadata),
        "ResetInterval": unary(
            control.ResetInterval, control_pb2.ResetIntervalRequest(), lambda answer: answer.HasField("effective_since")
        ),
        "grpc.health.v1": lambda metadata: check_health(channel, metadata),
        "grpc.reflection.v1": lambda metadata: list_services(channel, metadata),
    }


def code_of(call, metadata):
    try:
        call(metadata)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", help="host:port or unix:///path")
    parser.add_argument("--ca", help="CA certificates; they turn TLS on")
    parser.add_argument("--cert", help="certificate of the client")
    parser.add_argument("--key", help="private key of the certificate")
    parser.add_argument("--token", help="bearer token")
    options = parser.parse_args()
    metadata = [("authorization", f"Bearer {options.token}")] if options.token else []
    with channel_to(options) as channel:
        print(json.dumps({name: code_of(call, metadata) for name, call in calls(channel).items()}))


if __name__ == "__main__":
    main()
