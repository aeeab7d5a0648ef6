"""Schedules of learning rate and temperature that are searched for while training (Uni4D §3.3).

``mdp``            states, actions and rewards of the training as a decision process
``config``         every setting of the search and of its rivals
``mcts``, ``tree`` Monte Carlo tree search over any deterministic environment
``trainer``        training for real from any point, out of snapshots
``runners``        the same in this process or in several
``run``            one training with its journal and its ledger: what all strategies are written against
``strategies``     hand-set and adaptive schedules; ``search`` is the tree search among them
``drawing``        a search tree as JSON, Graphviz and a page to look at
"""
