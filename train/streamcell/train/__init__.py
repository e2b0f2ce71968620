"""Train recurrent networks whose state is a value: front ends, cells, networks, data, the loop (extra `train`)."""
