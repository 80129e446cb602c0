"""Distillation methods: small objects that hold networks and functions, never a tower of classes."""
