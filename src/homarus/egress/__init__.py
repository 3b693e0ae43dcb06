"""The one way out: what runs for an agent reaches the network through this daemon, or not at all.

addresses.py   which addresses are public; hosts.py   which hosts and ports a run may reach (pure)
requests.py    a proxy request's head, strictly (pure); secrets.py   handles and their values
lease.py       a run's way out: credentials, bounds, what went through
proxy.py       the loopback proxy: CONNECT and absolute-form; heads.py   the heads that it writes;
relay.py       the bytes that go through it
client.py      one GET through it, for tools of the daemon itself
"""
