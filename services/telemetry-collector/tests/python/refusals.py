#!/usr/bin/env python3
"""Makes calls that a collector with low limits refuses, and prints the status code and the details of each as a JSON object."""

import json
import sys

import grpc

from telemetry.v1 import control_pb2, control_pb2_grpc

TIMEOUT = 10  # seconds; no call takes as long


def interval(milliseconds=200, ttl=0, reason=""):
    request = control_pb2.SetIntervalRequest(reason=reason)
    request.interval.FromMilliseconds(milliseconds)
    if ttl:
        request.ttl.FromMilliseconds(ttl)
    return request


def refusals(control):
    def change(request):
        return lambda: control.SetInterval(request, timeout=TIMEOUT)

    def watch_twice():
        watches = [control.WatchSnapshots(control_pb2.WatchSnapshotsRequest(delivery=True)) for _ in range(2)]
        try:
            for watch in watches:
                next(watch)
        finally:
            for watch in watches:
                watch.cancel()

    def change_often():
        for _ in range(100):
            control.SetInterval(interval(), timeout=TIMEOUT)

    return {
        "interval below the range": change(interval(milliseconds=1)),
        "no interval": change(control_pb2.SetIntervalRequest()),
        "ttl below the range": change(interval(ttl=500)),
        "long reason": change(interval(reason="x" * 257)),
        "large request": change(interval(reason="x" * 2000)),
        "second watch": watch_twice,
        "many changes": change_often,
    }


def refusal(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return "OK", ""


def main():
    with grpc.insecure_channel(sys.argv[1]) as channel:
        control = control_pb2_grpc.ControlServiceStub(channel)
        print(json.dumps({case: refusal(call) for case, call in refusals(control).items()}))


if __name__ == "__main__":
    main()
