"""The engine as Slicer sees it: installed, started, connected."""
