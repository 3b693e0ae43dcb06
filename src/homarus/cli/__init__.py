"""The command line: a thin client over HTTP. Start: main.py, then app.py."""
