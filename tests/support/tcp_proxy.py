"""A proxy on loopback between inturn and a server, which a test may cut or hold up."""

from ops.chaos.proxy import TcpProxy

__all__ = ["TcpProxy"]
