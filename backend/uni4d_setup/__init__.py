"""What ``build.py`` does, in modules: environments, system packages, Blenders, the add-on's archives.

Standard library only, because it runs before anything is installed; it imports none of the components.
"""

__all__: list[str] = []
