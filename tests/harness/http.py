"""The HTTP client of the tests. httpx.get() and its like make a client for each call, and with it a TLS context: 28 ms of
work, for tests that ask many times a second."""
import httpx

# A connection is for one call: whatever answers may have been killed since the last one.
http = httpx.Client(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
