"""Everything the add-on does with Blender's data: plain functions over ``bpy`` objects.

No module here knows the backend, the panel, or operators of this add-on.
"""
