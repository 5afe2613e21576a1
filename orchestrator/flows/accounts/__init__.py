"""An account at a site, while it lives: placed, provisioned, fenced, moved, converted, by hand and by itself."""
