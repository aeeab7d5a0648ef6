"""The 4D fit: control nodes on a mesh whose motion is found from the frames of a clip."""
