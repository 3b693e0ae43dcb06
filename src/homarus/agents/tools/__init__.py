"""What an agent's model may ask for. A tool is a row: name, schema, what it is judged as, how it is
done.

tool.py      the row, arguments from their type, errors as results
hands.py     what a tool acts with: `apply` in the store, `begin` before an act outside
space.py     the agent's workspace: nothing leads out of it
files.py     read, write, edit, list, search         looking.py  the search itself
recall.py    memory                                  chores.py   tasks
talk.py      messages, send, spawn                   asking.py   capabilities, documents
commands.py  exec, process                           web.py      web_fetch
kit.py       all of them, and the tools of MCP servers
"""
