"""Measure this machine once, then predict networks: python examples/own_device_profile.py [--quick]

The command line does the same: growsearch profile --space mlp-digits -o cpu.json
A study then predicts with it: profiles: {cpu: cpu.json}
"""

import sys
from pathlib import Path

from cost_models import estimate, load_profile, trace
from growsearch.commands.profile import profile
from search_spaces import search_space

FILE = Path("cpu.json")

if __name__ == "__main__":
    quick = "--quick" in sys.argv
    size = {"operators": 20, "networks": 3, "validate": 5, "minutes": 0.001} if quick else {}
    profile(space=["mlp-digits"], out=FILE, **size)
    cpu = load_profile(FILE)
    space = search_space("mlp-digits")
    for width in (16, 64, 256):
        architecture = space.with_widths(space.largest(), {"hidden0": width, "hidden1": width})
        work = trace(space.build(architecture).eval(), space.example_inputs())
        cost = estimate(work, cpu, batch_size=1, phase="inference")
        low, high = (1e6 * seconds for seconds in cost.interval)
        print(f"width {width:3}: {1e6 * cost.latency_s:.0f} µs, from {low:.0f} to {high:.0f}")
