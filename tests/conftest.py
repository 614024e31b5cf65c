"""What all tests share."""

from hypothesis import settings

# Speed belongs to benchmarks: on a busy machine any example may take its time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
