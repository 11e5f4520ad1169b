"""`python -m liftout` is the command line."""

from liftout.cli import main

main()
