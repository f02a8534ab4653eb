"""What is measured inside a process of one build; prints figures as JSON.

A probe is started by `Checkout.probe` with the three packages of a build
before all others on the path, and finds things there by their names
(`defined`), since files may be called otherwise in another build.
"""
