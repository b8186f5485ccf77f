"""Configurations that many tests start from."""


def inbound(type="mixed", **keys):
    """One inbound named lan on a free loopback port; keys are YAML text."""
    keys = {"name": "lan", "listen": '"127.0.0.1:0"', **keys}
    return f"inbounds:\n  - {{type: {type}, " + ", ".join(f"{k}: {v}" for k, v in keys.items()) + "}\n"


USERS = "[{name: ann, password: open-sesame}, {name: bob, password: builder}]"
ANN = ("ann", "open-sesame")
