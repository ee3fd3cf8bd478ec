"""Every endpoint and field of the published API beside what labkit does with it.

`python -m tests.api_table` writes `labkit/daemon/API.md`; a test says when that is not so any more.
"""
