"""`homarus demo`: a small company that does real work on the files of a directory.

catalog.py   the work as data: who does it, with which command, after what
jobs/        the work itself: small programs that need only the standard library
"""
