"""The mathematics of diffusion as functions of tensors: no modules, no I/O, no configuration."""
