"""The whole service on a simulated clock, network and disk: a seed gives a world, its workload and its faults.

`make simulate SEEDS=10000`; docs/adr/0039 says what is real here and what is a model.
"""
