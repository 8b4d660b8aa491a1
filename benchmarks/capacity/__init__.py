"""The capacity plan: a small simulation of KEDA, the pods and the queue, and its results."""
