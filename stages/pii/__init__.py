"""Personal data: found, validated, replaced."""
