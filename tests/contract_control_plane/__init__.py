"""Conformance with the control plane contract: a case per row, over HTTP, a daemon process."""
