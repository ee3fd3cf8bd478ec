"""Control groups: what the user asked (`Limits`) turned into files, on cgroup v1, v2 or both."""
