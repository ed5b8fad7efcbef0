"""An outcome read off a head or a vector."""
