"""All that waits: sockets, files, clocks."""
