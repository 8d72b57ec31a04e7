"""The REST service and web page: runs that are submitted, watched, explained and kept (see docs/service.md)."""
