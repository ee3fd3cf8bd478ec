"""`labkit course`, `labkit exercises …` and `labkit grade`: the learner's and the instructor's way.

The work is done in `labkit.course`, which these modules import only when they run.
"""
