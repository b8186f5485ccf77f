"""A network of the test run's own, in which nothing can leave the machine.

As root the whole test process moves into a fresh network namespace before anything else happens:

    lo                    127.0.0.0/8, ::1
    void                  192.0.2.1/24, 2001:db8:0:1::1/64: our own addresses that are not loopback;
                          every other address in these networks swallows packets without an answer
    198.51.100.0/24,      "no route to host"
    2001:db8:0:2::/64
    anything else         "network is unreachable"
"""

import ctypes
import os
import subprocess

import pytest

CLONE_NEWNET = 0x40000000

OWN4, OWN6 = "192.0.2.1", "2001:db8:0:1::1"
SILENT4, SILENT6 = "192.0.2.9", "2001:db8:0:1::9"
NO_HOST4, NO_HOST6 = "198.51.100.1", "2001:db8:0:2::1"
NO_NET4, NO_NET6 = "203.0.113.1", "2001:db8:0:3::1"

_SETUP = f"""
set -e
ip link set lo up
ip link add void type veth peer name abyss
ip link set void arp off up
ip link set abyss arp off up
ip address add {OWN4}/24 dev void
ip address add {OWN6}/64 dev void nodad
ip route add unreachable 198.51.100.0/24
ip route add unreachable 2001:db8:0:2::/64
echo 10000 65000 > /proc/sys/net/ipv4/ip_local_port_range
echo 0 > /proc/sys/net/ipv4/ip_forward
# Full buffers are part of many tests; these fill up sooner.
echo 4096 131072 2097152 > /proc/sys/net/ipv4/tcp_rmem
echo 4096 65536 2097152 > /proc/sys/net/ipv4/tcp_wmem
# The usual BBR paces even loopback.
echo reno > /proc/sys/net/ipv4/tcp_congestion_control
"""

isolated = False


def isolate():
    """Moves this process into its own network. To be called while it has one thread."""
    global isolated
    if os.geteuid() != 0:
        return
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        return
    subprocess.run(["sh", "-c", _SETUP], check=True)
    isolated = True


def need_own_network():
    if not isolated:
        pytest.skip("needs root: a network namespace of its own")


def need_root():
    if os.geteuid() != 0:
        pytest.skip("needs root")
