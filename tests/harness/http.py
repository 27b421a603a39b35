"""The HTTP client of the tests. httpx.get() and its like make a client for each call, and with it a TLS context: 28 ms of
work, for tests that ask many times a second."""
import httpx

# A connection is for one call: whatever answers may have been killed since the last one. The header too, since between
# threads the pool hands a connection on before it is closed.
http = httpx.Client(trust_env=False, headers={"Connection": "close"}, limits=httpx.Limits(max_keepalive_connections=0))
