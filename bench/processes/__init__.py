"""Programs that benches start: the peers they measure against, and what runs inside a service."""
