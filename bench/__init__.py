"""Measurements, against peers where there are some; ``make bench BENCH=<name>`` runs one."""
