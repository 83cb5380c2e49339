"""Starts a command and tells what it cost: ``python -I -S launch.py DESCRIPTOR PROGRAM ARGUMENTS``.

Linux hands the peak resident set of a parent on to the child it starts, so the parent has to be smaller than anything
that is measured: this process loads nothing but os, sys and time. Writes to the descriptor: exit status as of wait,
seconds of processor time, seconds of wall time, KiB of the largest resident set.
"""

import os
import sys
import time

report, command = int(sys.argv[1]), sys.argv[2:]
os.set_inheritable(report, False)
start = time.monotonic()
child = os.posix_spawnp(command[0], command, os.environ)
_, status, usage = os.wait4(child, 0)
wall = time.monotonic() - start
os.write(report, f"{status} {usage.ru_utime + usage.ru_stime} {wall} {usage.ru_maxrss}".encode())
