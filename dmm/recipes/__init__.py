"""Named settings: one small YAML file each."""
