"""What both ends say: messages, paths, headers and problems; pure, and without knowledge of client or server."""
