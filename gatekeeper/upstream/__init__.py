"""Client of the program `gatekeeper-upstream`, which runs the Go libraries that decide in a cluster."""
