"""The Medicare claim encoder (Lahlou et al.): every table of sections 3 to 5."""
