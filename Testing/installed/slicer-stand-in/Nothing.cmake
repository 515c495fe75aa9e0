# Slicer writes the extension's description and the package here.
