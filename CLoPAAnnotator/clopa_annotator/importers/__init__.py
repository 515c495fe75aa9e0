"""Labels that exist already, into a campaign: from files of other programs, or from another campaign.

One module per source format finds the labels (`LabelFile`) without reading voxels; `detect` says which format
a path has; `import_run` matches them with the cases, compares patient and grid, and hands them to a
`LabelReceiver`: the campaign's folder, or an engine that holds it. Neither torch nor Qt is needed here, and
no module is loaded before it is asked for: an engine starts without SimpleITK.
"""

from __future__ import annotations
