"""Webhooks: messages about work that has ended, kept until they are delivered."""
