# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup opens what Ansible's passwords open, in memory, and passes over the rest."""

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.sitelink.tr069.plugins.lookup.inventory_files import LookupModule

OURS, THEIRS = (("default", VaultSecret(word)) for word in (b"ours", b"theirs"))
GROUPS = {"all": ["site-a"], "sites": ["site-a"], "ungrouped": []}


def look(inventory, *secrets, **options):
    loader = DataLoader()
    loader.set_vault_secrets(list(secrets))
    found = LookupModule(loader=loader).run([str(inventory)], variables={}, **{"groups": GROUPS, **options})
    return [problem["message"] for problem in found]


@pytest.fixture
def inventory(tmp_path):
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "hosts.yml").write_text("sites:\n  hosts:\n    site-a:\n")
    (tmp_path / "group_vars" / "all.yml").write_bytes(VaultLib([OURS]).encrypt("ddns_token: !s3cret\n"))
    return tmp_path


def test_with_the_password_the_slip_is_told(inventory):
    for secrets in ([OURS], [THEIRS, OURS]):
        [message] = look(inventory, *secrets)
        assert message.startswith("group_vars/all.yml, line 1: ") and "s3cret" not in message


def test_without_it_nothing_is_told(inventory):
    assert look(inventory) == look(inventory, THEIRS) == []


@pytest.mark.parametrize(
    "text",
    ["$ANSIBLE_VAULT", "$ANSIBLE_VAULT;1.1;AES256\n", "$ANSIBLE_VAULT;9;X\nzz", "$ANSIBLE_VAULT;1.1;AES256\n32\n"],
)
def test_a_file_that_only_begins_like_an_encrypted_one_is_passed_over(inventory, text):
    (inventory / "group_vars" / "all.yml").write_text(text)
    assert look(inventory, OURS) == []


def test_groups_are_needed(inventory):
    with pytest.raises(AnsibleError, match="groups"):
        look(inventory, groups=None)
