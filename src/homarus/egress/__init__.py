"""The one way out: what runs for an agent reaches the network through this daemon, or not at all.

addresses.py   which addresses are public; hosts.py   which hosts and ports a run may reach (pure)
requests.py    a proxy request's head, strictly (pure); secrets.py   handles and their values
proxy.py       the loopback proxy: CONNECT and absolute-form, credentials per run
client.py      one GET through it, for tools of the daemon itself
"""
