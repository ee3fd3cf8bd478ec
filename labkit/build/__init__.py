"""Building images from Dockerfiles.

A Dockerfile is read into stages of instructions (`dockerfile`: pure data), the stages that the
target needs are solved (`solver`), and each instruction is one function on a stage's state.
"""
