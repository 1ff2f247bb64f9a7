"""What a history lets one expect of configurations: observations, the cube they live in, processes, beliefs."""
