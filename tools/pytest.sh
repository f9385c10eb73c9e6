#!/bin/sh
# Runs pytest on the given files with the first Python that has it (a python3 first in PATH may be another than the packaged one).
for py in python3 /usr/bin/python3; do
    if "$py" -c 'import pytest' 2>/dev/null; then
        exec "$py" -m pytest -q -rs -p no:cacheprovider "$@"
    fi
done
echo "lathe: no python3 here has pytest: make setup (package python3-pytest)" >&2
exit 1
