"""Proofs of identity as bytes to bytes: SCRAM-SHA-256 in both roles, md5 towards servers, certificates, tokens.

Nonces, secrets and derived keys are arguments; there are no dice, no clock, no socket and no store of passwords in
here.
"""
