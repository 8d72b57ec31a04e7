"""The REST service and web page. Nothing is here yet: the service is planned (see docs/roadmap.md)."""
