"""Networks behind one forward: diffusers' own classes made causal from outside, and teachers in closed form."""
