"""What every stage stands on: files written whole, locks, devices, processes, progress and the hash of code."""
