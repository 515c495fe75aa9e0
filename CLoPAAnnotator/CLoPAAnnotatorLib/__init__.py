"""The shell: what the clinician sees in Slicer. The only place that imports slicer, qt, ctk and vtk."""
