"""What is served: the graph from raw text to an answer; one file for each kind.

Separation of concerns: `servable` has what all share (strings to token ids,
signatures, saving); each kind's file puts an encoder, a head and an answer
into signatures; `tfbert.serving.package` writes versions, cards and how to
ask.
"""
