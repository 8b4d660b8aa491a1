"""How hard we try: pure policies with an injected clock, no SDK."""
