"""Sockets and the life of the process: the last metre, where what the pure parts decided is done."""
