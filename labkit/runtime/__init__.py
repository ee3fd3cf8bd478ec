"""Starting one container: the plan as data, its executor, the spawner and the shim."""
