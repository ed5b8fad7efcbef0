"""The format cms_rif."""
