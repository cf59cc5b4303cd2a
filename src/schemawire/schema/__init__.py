"""What a domain is: the document, its operations, rules, identity and comparison; pure values without I/O."""
