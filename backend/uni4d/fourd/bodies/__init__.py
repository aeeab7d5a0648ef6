"""A clip as the motion of one rigid body, or of several that hang on one another."""
