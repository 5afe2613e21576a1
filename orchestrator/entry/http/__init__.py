"""The web doors: webhooks, claims, the operators' API. `app.create_app` puts them together.

Nothing is imported here: commands use what a body looks like without the doors.
"""
