"""The command line by its module, for launchers: `torchrun -m claim_transformers.cli finetune ...`."""

from claim_transformers.cli.app import main

if __name__ == "__main__":
    main()
