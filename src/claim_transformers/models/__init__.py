"""Model families, each in a folder that can be copied out of the package. This room never opens a file of claims."""
