"""PostgreSQL protocol 3.0 and 3.2 as pure code: bytes to messages, messages to bytes, and which replies are due.

Knows no tenant and no meaning of SQL; of SASL it frames the bodies only. No socket, no loop, no clock, no dice. The
peer that breaks the protocol gets a RemoteProtocolError, whoever it is: the server is not trusted more than the client.
Source: PostgreSQL documentation, chapter "Frontend/Backend Protocol".
"""
