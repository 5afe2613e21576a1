"""A Slurm cluster over SSH to its login node."""
