"""The web page of the documentation: plain files that are sent as they are, and that load nothing from elsewhere."""
