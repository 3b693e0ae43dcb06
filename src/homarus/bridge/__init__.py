"""Tier 7: `homarus bridge`, which connects a program on this machine to a company.

It speaks to the daemon by HTTP and socket alone (`homarus.client`), keeps what it must not forget
in a journal on disk, and has tasks done and messages answered by programs that the operator named.

    bridge.py      start, loops, shutdown      claiming.py  which task, and hearing of it once
    listening.py   socket, or long polling     working.py   a task in hand, to its report
    journal.py     the file                    leasing.py   resources that a task names
    rules.py       pure decisions              talking.py   messages
    settings.py    what it is told             programs.py  what is run, and how it is understood

Control-plane contract, 13. How it is used: docs/how-to/bridge.md.
"""
