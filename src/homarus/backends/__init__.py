"""Where a command's process lives. Today: the local sandbox.

argv.py      templates with typed slots -> the arguments of a command
limits.py    what one command may use
layers.py    which layers of the sandbox hold on this host (`homarus doctor` prints them)
sandbox.py   the view a command gets of the machine, as arguments of bubblewrap (pure)
local.py     run one command: sandboxed, or plainly when an operator marked it trusted
metered.py   the same, within bounds over the whole tree of its processes (`trees.py`, `cgroups.py`)
"""
