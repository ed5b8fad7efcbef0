"""Private data stays private: what `make privacy` measures.

`canaries` follows planted patients through a whole run, `rare_tokens` counts the patients behind every token of a
checkpoint, `membership` asks whether a checkpoint tells who it was trained on.
"""
