"""Slicer's scene: volumes, the proposal's segment, markers, gestures in slice views."""
