"""What the tests of the guest package share. Run: `PYTHONPATH=runtimes/python python3 -m unittest discover -s test/python`."""

import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT / "runtimes" / "python", Path(__file__).parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

if sys.version_info < (3, 12):
    raise unittest.SkipTest("a Python class exports a buffer from Python 3.12 on (PEP 688)")

import loopback


class GuestCase(unittest.TestCase):
    def load(self, source, **options):
        self.host = loopback.Host(**{k: options.pop(k) for k in ("when", "parts", "out") if k in options})
        return loopback.application(source, **options)

    def run_main(self, event=None):
        """The result document; afterwards no region may be left."""
        try:
            return self.host.run(event)
        finally:
            self.assertEqual(self.host.regions, {}, "a region was left over")

    def failure(self, event=None):
        """The document of the exception that the entry ends with."""
        with self.assertRaises(loopback.Raised) as caught:
            self.run_main(event)
        return caught.exception.document
