"""
Redis Cluster: many nodes, each with some of the slots that keys are hashed to.

A partition's keys are in one slot, so it lives on one node, and moves and fails over as a whole.
What is done on one node is not ordered with what is done on another; nothing in inturn relies on
that. A slot that is on its way refuses scripts whose keys are not all on one of the two nodes: its
partition stands still until it has arrived, a message for it is spooled.
"""
