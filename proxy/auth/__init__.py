"""Proofs of identity as bytes to bytes: SCRAM-SHA-256 in both roles and its verifier, md5 towards servers.

Nonces, secrets and derived keys are arguments; there are no dice, no clock, no socket and no store of passwords in
here.
"""
