"""Tier 7: `homarus bridge`, which connects a program on this machine to a company.

It speaks to the daemon by HTTP and socket alone (`homarus.client`), keeps what it must not forget
in a journal on disk, and has tasks done and messages answered by programs that the operator named.

    bridge.py      start, loops, shutdown      working.py   tasks
    listening.py   socket, or long polling     talking.py   messages
    journal.py     the file                    programs.py  what is run, and how it is understood
    rules.py       pure decisions              settings.py  options, environment, configuration file

Control-plane contract, 13. How it is used: docs/how-to/bridge.md.
"""
