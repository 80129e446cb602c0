"""The stages: each checks its work before anything starts, then runs it to a committed artifact."""
