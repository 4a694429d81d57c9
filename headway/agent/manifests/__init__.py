"""Which dependencies a manifest or a lock file names, by file name and text alone.

A model wrote these files, so nothing here runs them, follows what they include, or raises at what is wrong in them: a
manifest that cannot be read is searched for words.
"""
