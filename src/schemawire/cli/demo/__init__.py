"""`schemawire demo`: plain words become stored schemas over a connection that is being broken on purpose."""
