"""The name under which later versions of rules_rust have it."""

load(":extension.bzl", _crate = "crate")

crate = _crate
