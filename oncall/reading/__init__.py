"""Reading: how urgent a case is, who may read it, who will, in which order, and whether the hour will hold.

Everything here is a pure function of values: the same board, policy and roster version give the same decision.
"""
