"""A trained task in, a folder that TF Serving loads out.

In `graphs`, `servable` has what all share (strings to token ids, signatures,
saving), and each kind's file puts an encoder, a head and an answer into
signatures; `package` writes versions, cards and how to ask.
"""
