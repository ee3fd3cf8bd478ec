"""Handing out and handing in: the notebooks of exercises, a learner's folder, a submission.

| part | what it does |
|---|---|
| `notebook` | makes a chapter's notebook from its exercises, with nbgrader's metadata |
| `release` | the learners' version, a submission, a skeleton for an instructor |
| `work_folder` | a learner's own folder with the course's pages |
| `person` | whose it is, also through sudo |
"""
