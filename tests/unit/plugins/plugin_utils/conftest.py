# SPDX-License-Identifier: GPL-3.0-or-later
import copy

import pytest
import right_mesh


@pytest.fixture
def mesh():
    return right_mesh.Inventory(copy.deepcopy(right_mesh.MESH))
