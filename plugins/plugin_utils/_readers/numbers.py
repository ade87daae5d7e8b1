# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole numbers, and what the kernel has numbers for."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault, quote


def integer(low: int, high: int) -> t.Callable[[t.Any], int]:
    """A reader of whole numbers from ``low`` to ``high``, written as a number or in ASCII digits."""

    def read(value: t.Any) -> int:
        number = value if isinstance(value, int) and not isinstance(value, bool) else None
        if isinstance(value, str) and re.fullmatch("[0-9]{1,20}", value.strip(), re.ASCII):
            number = int(value)
        if number is None:
            raise Fault(f"is {quote(value)}, which is not a whole number. Write a number from {low} to {high}.")
        if not low <= number <= high:
            raise Fault(f"is {number}. Write a number from {low} to {high}.")
        return int(number)

    return read


generation = integer(1, 999_999_999)


def routing_table(value: t.Any) -> int:
    """The number of a routing table that is not the system's own."""
    try:
        number = integer(1, 0xFFFFFFFF)(value)
    except Fault:
        raise Fault(
            f"is {quote(value)}, which is no table's number. Write one from 1 to 4294967295, such as 305."
        ) from None
    if 253 <= number <= 255:
        raise Fault(f"is {number}, one of the system's own tables (default, main, local). Write another, such as 305.")
    return number


def mark(value: t.Any) -> int:
    """A firewall mark, as a number, in decimal or in hexadecimal digits."""
    if isinstance(value, str) and re.fullmatch(r"\s*0[xX][0-9a-fA-F]{1,8}\s*", value):
        value = int(value, 16)
    try:
        return integer(1, 0xFFFFFFFF)(value)
    except Fault:
        raise Fault(f"is {quote(value)}. Write a mark from 1 to 0xffffffff, such as 0x131.") from None
