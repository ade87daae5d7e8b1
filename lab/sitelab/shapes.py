# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes that a site may have: how systems of the world differ from the lab's plain one."""

from dataclasses import dataclass

from .image import SUITE

SUDO_USER = "admin"
SUDO_PASSWORD = "lab-sudo-password-0001"
# As an administrator of Debian would have it: the group sudo asks for the user's own password, and root has no key.
SUDO = f"""\
useradd --create-home --shell /bin/bash --groups sudo {SUDO_USER}
echo {SUDO_USER}:{SUDO_PASSWORD} | chpasswd
mv /root/.ssh /home/{SUDO_USER}/
chown --recursive {SUDO_USER}: /home/{SUDO_USER}/.ssh
"""


@dataclass(frozen=True)
class Shape:
    """The site's image, who manages its network, and what is done once it runs for the first time."""

    image: str = SUITE
    manager: str = "netplan"
    script: str = ""


SHAPES = {
    "plain": Shape(),
    # Reached as a user with sudo and a password. The inventory has to say so.
    "sudo": Shape(script=SUDO),
    # apt has never read a list, and what the roles need is not installed.
    "bare": Shape(image=f"{SUITE}-bare"),
    # The netplan file of Debian's cloud image: eth0 by DHCP, and every other NIC as well.
    "cloud": Shape(manager="netplan-cloud"),
    "networkmanager": Shape(image=f"{SUITE}-nics", manager="networkmanager"),
}
