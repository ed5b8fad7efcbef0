"""The mechanics that both populations share."""
