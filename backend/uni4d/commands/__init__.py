"""The subcommands of ``uni4d``, one class each: its fields are its options, ``run`` does the work and
returns what ``--json`` prints, ``show`` tells a person."""
