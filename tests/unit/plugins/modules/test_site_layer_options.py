# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the modules are what their documentation says, and those with a secret are known as such."""

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.sitelink.tr069.plugins.modules import site_layer, site_layer_info

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


@pytest.mark.parametrize(
    "module, arguments", [(site_layer, site_layer.ARGUMENTS), (site_layer_info, site_layer_info.LAYERS)]
)
def test_the_documentation_has_the_options_that_there_are(module, arguments):
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert properties(documented, "suboptions") == properties(arguments, "options")


def test_a_secret_content_is_known_for_one():
    """So that nothing that Ansible says of the module shows it."""
    files = [{"dest": "/x", "secret_content": "a-secret"}, {"dest": "/y", "content": "open"}]
    checked = ArgumentSpecValidator(site_layer.ARGUMENTS).validate({"files": files})
    assert checked._no_log_values == {"a-secret"} and checked.error_messages == []


def test_secrets_that_are_compared_are_known_for_such():
    given = {"layers": [{"name": "x", "files": [{"dest": "/x"}]}], "secrets": {"/x": "a-secret"}}
    checked = ArgumentSpecValidator(site_layer_info.LAYERS).validate(given)
    assert checked._no_log_values == {"a-secret"} and checked.error_messages == []
    [file] = site_layer_info.stated(given["layers"][0], given["secrets"]).params["files"]
    assert (file["secret_content"], file["mode"]) == ("a-secret", "0644")


@pytest.mark.parametrize(
    "text",
    [getattr(each, of) for each in (site_layer, site_layer_info) for of in ("DOCUMENTATION", "EXAMPLES", "RETURN")],
)
def test_what_ansible_doc_shows_is_yaml(text):
    assert yaml.safe_load(text)
