"""How good the parts are, measured: the tables and figures of the paper, each by one command.

Retrieval (Uni4D §4.1, Table 2): :mod:`uni4d.evaluation.retrieval` runs the arms of
:mod:`uni4d.evaluation.arms` on the tasks of :mod:`uni4d.evaluation.tasks`; product search:
:mod:`uni4d.evaluation.product`.
"""
