"""Where and how programs run: blocks, devices, clusters, compiled programs."""
