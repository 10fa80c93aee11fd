"""NVML, kept at arm's length: only a child process loads the driver's library (client.py)."""
