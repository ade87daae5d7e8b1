# SPDX-License-Identifier: GPL-3.0-or-later
"""What a filter is given, without the wrappers of ansible-core."""

from __future__ import annotations

import typing as t


def plain(value: t.Any) -> t.Any:
    """What ansible-core 2.19 and later wrap to template what is in it when it is read.

    For data that holds no templates, such as a plan: a wrapper is made for every value of every dictionary that is read, which takes
    longer than all that is done with a plan. The method is not announced anywhere; without it, the value is used as it is.
    """
    unwrap = getattr(value, "_non_lazy_copy", None)
    if not callable(unwrap):
        return value
    bare = unwrap()
    if isinstance(bare, dict):  # what was read already is wrapped still
        return {key: plain(item) for key, item in bare.items()}
    return [plain(item) for item in bare] if isinstance(bare, list) else bare
