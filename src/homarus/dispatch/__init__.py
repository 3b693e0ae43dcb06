"""Workers that keep the house: anchors, sweeps, leases, sessions; and the dispatcher."""
