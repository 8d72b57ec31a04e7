"""What all tests share: a hypothesis profile without deadlines (a first call may compile a kernel), the same seed each
time."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "curator", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("curator")
