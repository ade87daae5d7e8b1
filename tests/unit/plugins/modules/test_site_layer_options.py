# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of site_layer are what its documentation says, and the one with a secret is known as such."""

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.sitelink.tr069.plugins.modules import site_layer

DOCUMENTED = yaml.safe_load(site_layer.DOCUMENTATION)
PROPERTIES = ("type", "elements", "default", "choices", "required")


def properties(options, suboptions):
    """{option: its properties, and those of its suboptions}."""
    found = {}
    for name, option in options.items():
        below = option.get(suboptions)
        about = {key: option.get(key) for key in PROPERTIES}
        about["required"] = bool(about["required"])
        found[name] = (about, properties(below, suboptions) if below else None)
    return found


def test_the_documentation_has_the_options_that_there_are():
    assert properties(DOCUMENTED["options"], "suboptions") == properties(site_layer.ARGUMENTS, "options")


def test_a_secret_content_is_known_for_one():
    """So that nothing that Ansible says of the module shows it."""
    files = [{"dest": "/x", "secret_content": "a-secret"}, {"dest": "/y", "content": "open"}]
    checked = ArgumentSpecValidator(site_layer.ARGUMENTS).validate({"files": files})
    assert checked._no_log_values == {"a-secret"} and checked.error_messages == []


@pytest.mark.parametrize("text", [site_layer.DOCUMENTATION, site_layer.EXAMPLES, site_layer.RETURN])
def test_what_ansible_doc_shows_is_yaml(text):
    assert yaml.safe_load(text)
