"""The clients' tests that pass with dockerd 26 and not with labkit, and why."""

NO_SWARM = "labkit has no swarm: it is one engine on one machine"
NO_PLUGINS = "labkit has no plugins"
REASONS = {
    "TestNetworks::test_create_inspect_network_with_scope": NO_SWARM,
    "TestNetworks::test_create_network_attachable": NO_SWARM,
    "TestNetworks::test_create_network_ingress": NO_SWARM,
    "PluginTest::test_create_plugin": NO_PLUGINS,
    "PluginTest::test_plugin_privileges": NO_PLUGINS,
    "ContainerCPUTest::test_create_with_runtime": "the runtime is called labkit, which is shown",
    "CreateContainerTest::test_create_with_cpu_rt_options": "labkit gives no real-time CPU",
    "ContainerTest::test_exec_run_failed": "a command that is not there is 127, as with dockerd 28",
    "BuildTest::test_build_with_cache_from": "--cache-from only adds to the cache",
    "BuildTest::test_build_stderr_data": "what a step writes to stderr is not shown in red",
}
"""The end of a test's name: the reason."""


def reason(test: str) -> str:
    """Return why labkit does not pass a test, "" if there is no reason."""
    return next((why for name, why in REASONS.items() if test.endswith(name)), "")
