"""Python with the packages of examples/python/requirements.txt; takes any command line of `python3`."""

import os
import sys

# The first entry is this file's folder.
packages = [os.path.abspath(entry) for entry in sys.path[1:]]
if "PYTHONPATH" in os.environ:
    packages.insert(0, os.environ["PYTHONPATH"])
os.environ["PYTHONPATH"] = os.pathsep.join(packages)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
