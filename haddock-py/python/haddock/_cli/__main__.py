"""`python -m haddock._cli`: the command where its script is not on the path, and the processes of `haddock serve`."""

import sys

from haddock._cli import main

sys.exit(main())
