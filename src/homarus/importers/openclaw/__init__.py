"""`homarus import openclaw DIR`: agents, sessions with their transcripts, workspaces.

    files.py           what lies in the directory, read within bounds
    configuration.py   what openclaw.json says: agents, models, credentials, what is not taken
    sessions.py        sessions.json
    lines.py           transcripts, line by line, in the form that ours have
    source.py          all of it: a Source
    plan.py            what of it would be made, what is there, what cannot be taken and why
    doing.py           makes it, through the daemon
    workspace.py       copies workspace files
    report.py          tells it, before and after

The source is only read. Whatever is wrong with a part of it is a line of the report; the rest is
taken.
"""
